package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/vfs"
)

// pack is one that this process writes, or whose records are not all settled.
type pack struct {
	number  int64
	created time.Time
	mark    mark
	file    vfs.File // for writing; nil once sealed

	// Of the one goroutine that writes the pack.
	written int64 // end of the last durable record
	filled  int64 // zeros were written up to here; 0: none were
	dirty   bool  // behind written lie bytes of a failed write

	// Guarded by Store.mu.
	streaming bool  // a large body is being written into it
	sealed    bool  // the catalog knows
	end       int64 // the settled position when no record is unsettled
	saved     int64 // the settled position that the catalog has
	records   []span
}

func (p *pack) close() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file = nil
	return f.Close()
}

func (s *Store) path(pack int64) string {
	return path.Join(s.opt.Dir, fmt.Sprintf("%010d.pack", pack))
}

// take returns an empty pack whose name and header are durable.
func (s *Store) take() (*pack, error) {
	defer s.wake()
	s.mu.Lock()
	var p *pack
	if len(s.ready) > 0 {
		p, s.ready = s.ready[0], s.ready[1:]
		s.packs[p.number] = p
	}
	s.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := s.makePack(s.ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.packs[p.number] = p
	s.mu.Unlock()
	return p, nil
}

// giveBack puts a pack without records among the ready ones.
func (s *Store) giveBack(p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.packs, p.number)
	p.streaming = false
	if s.closed { // the next start readies it
		if err := p.close(); err != nil {
			s.log.Warn("closing a pack", "pack", p.number, "err", err)
		}
		return
	}
	s.ready = append(s.ready, p)
}

// makePack makes a pack: row first, then the file, its header and its name, all durable.
func (s *Store) makePack(ctx context.Context) (*pack, error) {
	s.making.Lock()
	defer s.making.Unlock()
	if err := s.Failed(); err != nil {
		return nil, err
	}
	if s.reserved == 0 {
		n, err := s.opt.Catalog.Reserve(ctx, KindJournal, s.opt.Node, s.opt.Epoch, s.opt.Clock())
		if err != nil {
			if s.ctx.Err() != nil { // a body still being written when the store was closed
				return nil, status.ErrShutdown.With("blob: reserve a pack", err)
			}
			return nil, fmt.Errorf("blob: reserve a pack: %w", err)
		}
		s.reserved = n
	}
	p, err := s.makeFile(s.reserved, KindJournal)
	if err != nil {
		return nil, err
	}
	if err := syncNames(s.opt.FS, s.opt.Dir); err != nil {
		return nil, errors.Join(s.fail("sync directory", err), p.close())
	}
	s.reserved = 0
	s.stats.packs.Add(1)
	return p, nil
}

// makeFile makes the file of a pack that holds no record, or makes it anew, with a durable header. The caller syncs the
// directory.
func (s *Store) makeFile(number int64, kind Kind) (*pack, error) {
	h := packHeader{version: formatVersion, kind: kind, node: s.opt.Node, number: number, created: s.opt.Clock(), epoch: s.opt.Epoch,
		owner: s.opt.Installation}
	if _, err := io.ReadFull(s.opt.Rand, h.mark[:]); err != nil {
		return nil, fmt.Errorf("blob: pack %d: %w", number, err)
	}
	name := s.path(number)
	f, err := s.opt.FS.Create(name)
	if errors.Is(err, fs.ErrExist) {
		// Ours, from an attempt that failed before a record: anything longer holds somebody's mail.
		if n, serr := s.opt.FS.Size(name); serr == nil && n > packHeaderSize {
			return nil, s.fail("create pack", fmt.Errorf("%w: %s has %d bytes, and the database does not know it; see `postrider check`", ErrStranger, name, n))
		}
		f, err = s.opt.FS.OpenWrite(name)
	}
	if err != nil {
		return nil, s.failWrite("create pack", err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(h.append(nil), 0)
	}
	if err != nil {
		return nil, errors.Join(s.failWrite("write pack header", err), f.Close())
	}
	if err := f.Datasync(); err != nil {
		return nil, errors.Join(s.fail("sync pack header", err), f.Close())
	}
	return &pack{number: number, created: h.created, mark: h.mark, file: f, written: packHeaderSize, end: packHeaderSize}, nil
}

// retire hands a pack that gets no more records to the keeper, which seals it; one without records is ready again.
func (s *Store) retire(p *pack) {
	if p.written == packHeaderSize && s.Failed() == nil && s.cutFill(p) == nil {
		s.giveBack(p)
		return
	}
	s.mu.Lock()
	s.seal = append(s.seal, p)
	s.mu.Unlock()
	s.wake()
}

// wake tells the keeper to look.
func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// keep is the goroutine that seals packs and keeps empty ones ready, so that no acceptance waits for either.
func (s *Store) keep() {
	defer close(s.kept)
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.kick:
		}
		s.sealAll(s.ctx)
		s.keepReady()
		s.keepFilled()
	}
}

// keepReady makes empty packs.
func (s *Store) keepReady() {
	for s.ctx.Err() == nil && s.Failed() == nil && s.readyPacks() < s.opt.Ready {
		p, err := s.makePack(s.ctx)
		if err != nil {
			// The next Commit that needs a pack tries again, and answers with the error.
			s.log.Warn("no empty pack could be made ready", "err", err)
			return
		}
		s.giveBack(p)
	}
}

func (s *Store) readyPacks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready)
}

// sealAll tells the catalog of complete packs. One that fails is tried again at the next occasion; at worst the next start
// seals it.
func (s *Store) sealAll(ctx context.Context) {
	s.mu.Lock()
	list := s.seal
	s.seal = nil
	s.mu.Unlock()
	for i, p := range list {
		if p.file != nil && s.Failed() == nil {
			if err := s.cutFill(p); err != nil { // what stays is torn or zeros, and known as such
				s.log.Warn("pack keeps what lies behind its records", "pack", p.number, "err", err)
			}
		}
		if err := s.opt.Catalog.Seal(ctx, p.number, p.written); err != nil {
			s.log.Warn("pack not sealed yet", "pack", p.number, "err", err)
			s.mu.Lock()
			s.seal = append(s.seal, list[i:]...)
			s.mu.Unlock()
			return
		}
		s.mu.Lock()
		p.sealed = true
		err := p.close()
		s.forget(p)
		s.mu.Unlock()
		if err != nil {
			s.log.Warn("closing a pack", "pack", p.number, "err", err) // everything in it is synced
		}
	}
}

// removeFile removes the file of a deleted pack and notes that.
func (s *Store) removeFile(ctx context.Context, pack int64) error {
	err := s.opt.FS.Remove(s.path(pack))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.opt.FS.SyncDir(s.opt.Dir); err != nil {
		return s.fail("sync directory", err)
	}
	return s.opt.Catalog.Gone(ctx, pack)
}
