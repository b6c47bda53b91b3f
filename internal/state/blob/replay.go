package blob

import (
	"context"
	"errors"
	"fmt"
)

// Replay reports the records that lie behind the settled positions of the packs which the last run left, in the order of
// packs and offsets: those that were acknowledged and whose messages may not have arrived anywhere yet, and among them some
// that were never acknowledged and some that were settled without its being written down. They are unsettled from now on:
// the visitor's owner calls Settle for each. The packs are sealed afterwards; nothing is ever appended to them.
//
// Damage is reported to the visitor and logged, and the replay goes on. A record that only a later version can read ends it
// with ErrUnsupported: to pass over it could lose its message.
func (s *Store) Replay(ctx context.Context, v Visitor) error {
	s.mu.Lock()
	rows := s.replay
	s.mu.Unlock()
	for len(rows) > 0 {
		if err := s.replayPack(ctx, rows[0], v); err != nil {
			return fmt.Errorf("blob: replay of pack %d: %w", rows[0].Pack, err)
		}
		rows = rows[1:]
		s.mu.Lock()
		s.replay = rows
		s.mu.Unlock()
	}
	return nil
}

func (s *Store) replayPack(ctx context.Context, r Row, v Visitor) error {
	if r.State == PackOpen {
		// A killed process leaves bytes that only the page cache has. What is handed out below ends up in mailboxes, so it
		// must be durable first.
		if err := s.syncExisting(r.Pack); err != nil {
			return err
		}
	}
	p := &pack{number: r.Pack, end: max(r.Settled, packHeaderSize), saved: r.Settled, sealed: r.State != PackOpen}
	s.mu.Lock()
	s.packs[r.Pack] = p
	s.mu.Unlock()
	tail, err := s.Scan(ctx, r.Pack, r.Settled, Visitor{
		Record: func(rec Record) error {
			s.mu.Lock()
			p.track(rec.Ref.Offset, rec.End)
			s.mu.Unlock()
			if v.Record == nil {
				return nil
			}
			return v.Record(rec)
		},
		Damage: func(d Damage) error {
			if errors.Is(d.Err, ErrUnsupported) {
				return d.Err
			}
			return s.reportDamage(d, v)
		},
	})
	switch {
	case errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged): // no file, or one whose beginning tells nothing
		tail.Size = max(r.Size, s.fileSize(r.Pack))
		err = s.reportDamage(Damage{Pack: r.Pack, From: r.Settled, To: tail.Size, Err: err}, v)
	case err != nil:
	case r.Settled > tail.Size:
		// What was settled was durable; now it is not there.
		err = s.reportDamage(Damage{Pack: r.Pack, From: tail.Size, To: r.Settled, Err: damaged("the pack ends early")}, v)
	case tail.Torn > 0:
		s.log.Info("pack ends in a write that was never acknowledged", "pack", r.Pack, "from", tail.Torn, "size", tail.Size)
	case tail.End < tail.Size && r.State == PackOpen:
		tail.Size = s.cutZeros(r.Pack, tail)
	}
	if err != nil {
		return err
	}
	p.written = tail.Size
	s.mu.Lock()
	p.end = max(tail.Size, r.Size)
	if r.State == PackOpen {
		s.seal = append(s.seal, p)
	}
	s.mu.Unlock()
	s.wake()
	return nil
}

func (s *Store) reportDamage(d Damage, v Visitor) error {
	s.log.Error("damage in a pack", "pack", d.Pack, "from", d.From, "to", d.To, "id", d.ID.String(), "err", d.Err)
	if v.Damage == nil {
		return nil
	}
	return v.Damage(d)
}

// fileSize is for a pack that cannot be read: what it takes on the disk, 0 if there is no file.
func (s *Store) fileSize(pack int64) int64 {
	n, err := s.opt.FS.Size(s.path(pack))
	if err != nil {
		return 0
	}
	return n
}

// cutZeros frees the space that was written ahead in a pack of an earlier run.
// It returns the size of the file.
func (s *Store) cutZeros(pack int64, tail Tail) int64 {
	f, err := s.opt.FS.OpenWrite(s.path(pack))
	if err == nil {
		err = errors.Join(f.Truncate(tail.End), f.Close())
	}
	if err != nil {
		s.log.Warn("pack keeps the space behind its records", "pack", pack, "err", err)
		return tail.Size
	}
	return tail.End
}

// syncExisting makes the contents of a pack of an earlier run durable.
func (s *Store) syncExisting(pack int64) error {
	f, err := s.opt.FS.OpenWrite(s.path(pack))
	if err != nil {
		return err
	}
	if err := f.Datasync(); err != nil {
		return errors.Join(s.fail("sync", err), f.Close())
	}
	return f.Close()
}
