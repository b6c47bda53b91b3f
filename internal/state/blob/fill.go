package blob

import (
	"github.com/postrider/postrider/internal/mail/status"
)

// A sync of appended bytes must also commit the file's new length to the file system's journal; a sync inside space that
// was written before need not, and takes half the time (docs/design/0001). So the keeper writes zeros into one ready pack,
// and the appending goroutine moves there once its own pack has no written space left. Under load, when groups are long
// and a sync is shared by many, the zeros cost more than they save: then packs simply grow.
const (
	minFill   = 1 << 20
	fillPiece = 4 << 10 // larger ones make Linux keep large folios, and write a whole one for each small change
	fillSync  = 4 << 20 // zeros per sync, so that no other sync waits long behind them

	maxFillGroup = 64 << 10 // groups longer than that do without
)

// shortGroups tells whether groups are short on average. Only the appending goroutine writes groupBytes.
func (s *Store) shortGroups() bool { return s.groupBytes.Load() <= maxFillGroup }

// countGroup adds a group to the moving average.
func (s *Store) countGroup(n int64) {
	s.groupBytes.Store((7*s.groupBytes.Load() + n) / 8)
}

// inFill tells whether the next n bytes lie in written space.
func (p *pack) inFill(n int64) bool { return p.written+n <= p.filled }

// takeFilled returns the filled pack if there is one with room for n bytes.
func (s *Store) takeFilled(n int64) *pack {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.filled
	if p == nil || !p.inFill(n) || !s.shortGroups() {
		return nil
	}
	s.filled = nil
	s.fillAt = 0
	s.packs[p.number] = p
	s.wake()
	return p
}

// askFill makes the keeper fill a pack when a short group was appended outside written space. A store that takes nothing
// costs nothing. Store.mu is held.
func (s *Store) askFill() {
	if s.filled == nil && s.opt.Fill > 0 && s.stats.bytes.Load() >= s.fillAt && s.shortGroups() {
		s.wake()
	}
}

// fillSize is how much is filled next: it follows what was appended so far, up to the limit.
func (s *Store) fillSize() int64 {
	return min(max(4*s.stats.bytes.Load(), minFill), s.opt.Fill)
}

// keepFilled fills a pack if there is none and something was appended. After a failure it tries again when as much was
// appended as it would have filled.
func (s *Store) keepFilled() {
	appended := s.stats.groups.Load() > 0 && s.shortGroups()
	s.mu.Lock()
	want := s.filled == nil && s.opt.Fill > 0 && appended && s.stats.bytes.Load() >= s.fillAt
	if want {
		s.fillAt = s.stats.bytes.Load() + s.fillSize()
	}
	s.mu.Unlock()
	if !want || s.Failed() != nil {
		return
	}
	p, err := s.makePack(s.ctx)
	if err != nil {
		s.log.Warn("no empty pack could be made ready", "err", err)
		return
	}
	if err := s.fill(p, packHeaderSize+s.fillSize()); err != nil {
		s.log.Debug("pack not filled", "pack", p.number, "err", err)
		if s.Failed() == nil {
			err = s.cutFill(p) // gives the space back
		}
		if err == nil {
			s.giveBack(p)
		} else {
			s.setAside(p)
		}
		return
	}
	s.mu.Lock()
	s.filled = p
	s.mu.Unlock()
}

// fill writes zeros behind the header up to an offset.
func (s *Store) fill(p *pack, to int64) error {
	zeros := make([]byte, fillPiece)
	p.filled = packHeaderSize
	for unsynced := int64(0); p.filled < to; {
		if s.ctx.Err() != nil {
			return status.ErrShutdown
		}
		n := min(fillPiece-p.filled%fillPiece, to-p.filled) // pages of the file
		if _, err := p.file.WriteAt(zeros[:n], p.filled); err != nil {
			return s.failWrite("fill", err)
		}
		p.filled += n
		if unsynced += n; unsynced >= fillSync || p.filled == to {
			if err := p.file.Datasync(); err != nil {
				return s.fail("sync", err)
			}
			unsynced = 0
		}
	}
	return nil
}

// cutFill removes what lies behind the last record: zeros, or the rest of a failed write.
func (s *Store) cutFill(p *pack) error {
	if p.filled <= p.written && !p.dirty {
		return nil
	}
	if err := p.file.Truncate(p.written); err != nil {
		return s.failWrite("truncate", err)
	}
	p.filled, p.dirty = 0, false
	return nil
}

// setAside gives up a pack without records that cannot be emptied. The next start replays it and finds nothing.
func (s *Store) setAside(p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.packs, p.number)
	if err := p.close(); err != nil {
		s.log.Warn("closing a pack", "pack", p.number, "err", err)
	}
}
