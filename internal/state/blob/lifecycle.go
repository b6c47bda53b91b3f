package blob

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
)

// DeleteAfter is the least time between condemning a pack and deleting its file.
const DeleteAfter = 24 * time.Hour

// SealOlder seals the pack that small records are appended to, if it was made before the given time and holds any: a pack
// can be condemned or compacted only once it is sealed. It waits for a group under way, and for nothing else.
func (s *Store) SealOlder(ctx context.Context, than time.Time) error {
	select {
	case s.sealOld <- than:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.appended:
		return status.ErrShutdown
	}
}

// retireOlder is what the appending goroutine does about it.
func (s *Store) retireOlder(than time.Time) {
	if c := s.current; c != nil && c.created.Before(than) && c.written > packHeaderSize {
		s.current = nil
		s.retire(c)
	}
}

// Condemn marks a sealed pack that nothing refers to. It refuses with ErrInUse while the pack is written, has unsettled
// records or is referred to; from then on the owners of references refuse new ones (ErrCondemned).
func (s *Store) Condemn(ctx context.Context, pack int64) error {
	if s.inFlight(pack) {
		return fmt.Errorf("blob: condemn pack %d: %w", pack, ErrInUse)
	}
	// A pack that is not in flight now never will be: only new packs are written, and only a start replays.
	if err := s.opt.Catalog.Condemn(ctx, pack, s.opt.Clock()); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// Delete removes the file of a pack that was condemned at least DeleteAfter ago, after a second look for references;
// ErrInUse otherwise.
func (s *Store) Delete(ctx context.Context, pack int64) error {
	if s.inFlight(pack) {
		return fmt.Errorf("blob: delete pack %d: %w", pack, ErrInUse)
	}
	if err := s.opt.Catalog.Delete(ctx, pack, s.opt.Clock().Add(-DeleteAfter)); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	s.handles.drop(pack)
	if err := s.removeFile(ctx, pack); err != nil { // the next start tries again
		return fmt.Errorf("blob: delete pack %d: %w", pack, err)
	}
	return nil
}

// inFlight tells whether the pack is written, kept ready, waits for its replay or has unsettled records.
func (s *Store) inFlight(pack int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packs[pack] != nil || s.copying[pack] {
		return true
	}
	for _, p := range s.ready {
		if p.number == pack {
			return true
		}
	}
	for _, r := range s.replay {
		if r.Pack == pack {
			return true
		}
	}
	return false
}
