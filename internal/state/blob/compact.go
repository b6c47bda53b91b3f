package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
)

// CompactOptions of Compact.
type CompactOptions struct {
	Compress bool  // store a body compressed where that saves an eighth of it or more
	Rate     int64 // bytes copied per second at most, and a quarter of it while mail is being accepted; 0: no limit
	// Sleep waits for d or until ctx ends, whose error it then returns; nil: a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Damaged is told of a record that cannot be copied, with ErrDamaged, ErrMissing, ErrUnsupported or the disk's error in
	// reading it; the copying goes on without it if it returns nil. nil: the first such record ends the compaction.
	Damaged func(recipe.BlobRef, error) error
}

// Moved is a record that was copied. To has the length of From, so that whatever range of the one was named is the same
// range of the other.
type Moved struct{ From, To recipe.BlobRef }

// Compact copies the records of live, which may lie in several packs, into as few new packs as they fill, and returns where
// each is now, in the order of From. It returns only when the copies are durable, sealed and read back; the caller then
// moves the references, in transactions that call CheckReferable for the new pack, and the sweep condemns the sources once
// nothing leads there. Trailers, queue ids and bodies stay as they are, byte for byte; so does the plain text of a body that
// is compressed now.
//
// A source pack that is written or has unsettled records is refused with ErrInUse. After an error no copy is left and the
// sources are untouched; after a crash the next start removes copies that were not sealed, and sealed ones that nothing
// refers to are the sweep's. status.ErrNoSpace: the disk is full. The caller ends ctx before Close. Each call should take a
// bounded list: a few gigabytes.
func (s *Store) Compact(ctx context.Context, live []recipe.BlobRef, opt CompactOptions) ([]Moved, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.commits.Done()
	live = slices.Clone(live)
	slices.SortFunc(live, func(a, b recipe.BlobRef) int {
		return cmp.Or(cmp.Compare(a.Pack, b.Pack), cmp.Compare(a.Offset, b.Offset))
	})
	c := compaction{s: s, opt: opt, pace: newPace(s, opt), piece: make([]byte, pieceSize)}
	moved, err := c.run(ctx, slices.Compact(live))
	if err != nil {
		return nil, fmt.Errorf("blob: compact: %w", errors.Join(err, c.discard()))
	}
	return moved, nil
}

// compaction is one call of Compact.
type compaction struct {
	s    *Store
	opt  CompactOptions
	pace *pace

	targets []*copies // the last one is being written
	piece   []byte    // working space
	plain   []byte    // the same, for the plain bytes of a frame
	frame   []byte    // the same, for the frame
}

func (c *compaction) run(ctx context.Context, live []recipe.BlobRef) (moved []Moved, err error) {
	for _, from := range live {
		if err := c.goOn(ctx); err != nil {
			return nil, err
		}
		if c.s.inFlight(from.Pack) {
			return nil, fmt.Errorf("pack %d: %w", from.Pack, ErrInUse)
		}
		to, err := c.copyRecord(ctx, from)
		switch {
		case err == nil:
			moved = append(moved, Moved{from, to})
		case c.opt.Damaged != nil && errors.As(err, new(sourceError)):
			if err := c.opt.Damaged(from, err); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
	for _, t := range c.targets {
		if err := t.finish(ctx, c); err != nil {
			return nil, err
		}
	}
	return moved, c.seal(ctx)
}

// unreadable tells whether err is the record's fault, and not the disk's or the caller's.
func unreadable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrMissing) || errors.Is(err, ErrUnsupported)
}

// sourceError is the fault of a record to be copied, or of the place on the disk where it is: other records may do better.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

func badSource(err error) error {
	if unreadable(err) || errors.Is(err, syscall.EIO) {
		return sourceError{err}
	}
	return err
}

// goOn tells whether there is a reason to stop.
func (c *compaction) goOn(ctx context.Context) error {
	c.s.mu.Lock()
	closed := c.s.closed
	c.s.mu.Unlock()
	if closed {
		return status.ErrShutdown
	}
	return cmp.Or(ctx.Err(), c.s.Failed())
}

// copyRecord checks one record and copies it. A bad source leaves the target as it was.
func (c *compaction) copyRecord(ctx context.Context, ref recipe.BlobRef) (to recipe.BlobRef, err error) {
	h, err := c.s.handles.get(ref.Pack)
	if err != nil {
		return to, badSource(readError(ref, err))
	}
	defer c.s.handles.release(h)
	fr, trailer, err := c.source(ctx, h, ref)
	if err != nil {
		return to, badSource(readError(ref, err))
	}
	t, err := c.target(ctx, overhead+fr.bodyLen+fr.trailerLen)
	if err != nil {
		return to, err
	}
	off, err := t.add(ctx, c, record{frame: fr, file: h.file, trailer: trailer})
	if err != nil {
		return to, fmt.Errorf("copy of pack %d, record at %d: %w", ref.Pack, ref.Offset, err)
	}
	return recipe.BlobRef{Pack: t.p.number, Offset: off, Length: ref.Length}, nil
}

// source reads the record that ref leads to and checks all of it.
func (c *compaction) source(ctx context.Context, h *handle, ref recipe.BlobRef) (fr frame, trailer []byte, err error) {
	if fr, err = readRefFrame(h, ref); err != nil {
		return fr, nil, err
	}
	trailer, err = fr.verify(ctx, h.file, workspace{&c.s.codec, c.piece})
	return fr, trailer, err
}

// target returns the pack to copy n bytes to: the last one unless that would grow beyond the size of packs.
func (c *compaction) target(ctx context.Context, n int64) (*copies, error) {
	if len(c.targets) > 0 {
		t := c.targets[len(c.targets)-1]
		if t.end == packHeaderSize || t.end+n <= c.s.opt.PackSize {
			return t, nil
		}
		if err := t.finish(ctx, c); err != nil {
			return nil, err
		}
	}
	t, err := c.s.makeCopies(ctx)
	if t != nil {
		c.targets = append(c.targets, t)
	}
	return t, err
}

// seal tells the catalog that the copies are complete; from then on they may be referred to.
func (c *compaction) seal(ctx context.Context) error {
	for len(c.targets) > 0 {
		t := c.targets[0]
		if err := c.s.opt.Catalog.Seal(ctx, t.p.number, t.end); err != nil {
			return err
		}
		c.s.copied(t)
		c.targets = c.targets[1:]
	}
	return nil
}

// discard removes the copies that were not sealed. What it cannot remove the next start does.
func (c *compaction) discard() error {
	var errs []error
	for _, t := range c.targets {
		errs = append(errs, t.p.close())
		c.s.handles.drop(t.p.number)
		if c.s.Failed() == nil {
			errs = append(errs, c.s.removeFile(c.s.ctx, t.p.number))
		}
		c.s.copied(t)
	}
	return errors.Join(errs...)
}
