package blob

import (
	"github.com/postrider/postrider/internal/mail/recipe"
)

// Limits of one group.
const (
	maxGroup      = 256     // records; three pieces each stay within one pwritev(2)
	maxGroupBytes = 8 << 20 // after which no further record joins
)

// group is what one write and one sync carry.
type group struct {
	writers []*Writer
	bytes   int64
	pieces  [][]byte
}

func (g *group) add(w *Writer) {
	g.writers = append(g.writers, w)
	g.bytes += w.recordSize()
}

func (g *group) full() bool { return len(g.writers) >= maxGroup || g.bytes >= maxGroupBytes }

func (g *group) reset() {
	clear(g.writers)
	clear(g.pieces)
	g.writers, g.pieces, g.bytes = g.writers[:0], g.pieces[:0], 0
}

// appendGroups is the appending goroutine: it takes whatever has gathered, appends it and answers all.
func (s *Store) appendGroups() {
	defer close(s.appended)
	var g group
	for {
		var w *Writer
		select {
		case w = <-s.queue:
		case old := <-s.sealOld:
			s.retireOlder(old)
			continue
		}
		if w == nil { // closed
			return
		}
		g.add(w)
		s.gather(&g)
		err := s.appendGroup(&g)
		for _, w := range g.writers {
			w.result <- err
		}
		g.reset()
	}
}

// gather adds to g what waits already.
func (s *Store) gather(g *group) {
	for !g.full() {
		select {
		case w, ok := <-s.queue:
			if !ok {
				return
			}
			g.add(w)
		default:
			return
		}
	}
}

// appendGroup writes and syncs the group. It returns nil only when every record of it is durable.
func (s *Store) appendGroup(g *group) error {
	if err := s.Failed(); err != nil {
		return err
	}
	p, err := s.roomFor(g.bytes)
	if err != nil {
		return err
	}
	if err := s.cutTail(p); err != nil {
		return err
	}
	end := g.place(p)
	if _, err := p.file.WriteVecAt(g.pieces, p.written); err != nil {
		p.dirty = true
		err = s.failWrite("append", err)
		if s.Failed() == nil {
			_ = s.cutTail(p) // gives the space back; if it fails, the next group tries first
		}
		return err
	}
	if err := syncRecords(p.file); err != nil {
		return s.fail("sync", err)
	}
	p.written = end
	s.stats.groups.Add(1)
	s.stats.syncs.Add(1)
	s.stats.bytes.Add(g.bytes)
	s.countGroup(g.bytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range g.writers {
		p.track(w.ref.Offset, w.end)
	}
	if !p.inFill(0) {
		s.askFill()
	}
	return nil
}

// place gives every record of the group its offset, completes its header and footer, and lists the pieces to write.
func (g *group) place(p *pack) (end int64) {
	end = p.written
	for _, w := range g.writers {
		h := header{
			mark: p.mark, version: formatVersion, id: w.id,
			body: w.size, trailer: int64(len(w.trailer)), durable: p.written,
		}
		w.foot.header = h.put(w.buf)
		w.foot.put(w.tail[:])
		g.pieces = append(g.pieces, w.buf, w.trailer, w.tail[:])
		w.ref = recipe.BlobRef{Pack: p.number, Offset: end, Length: w.size}
		end += w.recordSize()
		w.end = end
	}
	return end
}

// roomFor returns the pack to append n bytes to: the current one while it has written space; else a filled one; else the
// current one until it has reached its size; else a new one.
func (s *Store) roomFor(n int64) (*pack, error) {
	c := s.current
	if c != nil && c.inFill(n) {
		return c, nil
	}
	p := s.takeFilled(n)
	if p == nil {
		if c != nil && (c.written+n <= s.opt.PackSize || c.written == packHeaderSize) {
			return c, nil
		}
		var err error
		if p, err = s.take(); err != nil {
			return nil, err
		}
	}
	if c != nil {
		s.retire(c)
	}
	s.current = p
	return p, nil
}

// cutTail removes what a failed write left behind the last durable record, so that no later record is followed by it. The
// sync of the next record covers the cut.
func (s *Store) cutTail(p *pack) error {
	if !p.dirty {
		return nil
	}
	return s.cutFill(p)
}
