package queue

import (
	"slices"
	"sync"
)

// settled follows, per pack, how far the accept journal is done with: every record before the settled position is in a
// mailbox, in the queue's table, or needs nothing. Records lie in a pack without gaps, so the position moves over a
// record only when that record itself was reported; one that was written but not reported yet holds it back.
type settled struct {
	mu    sync.Mutex
	packs map[int64]*packProgress
}

type packProgress struct {
	position  int64           // settled up to here
	persisted int64           // what the catalog has
	done      map[int64]int64 // record start → end, of records behind the position that are done with
}

func newSettled() *settled { return &settled{packs: map[int64]*packProgress{}} }

// begin sets where a pack's records start, or where the last start of the server left off.
func (s *settled) begin(pack, position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs[pack] = &packProgress{position: position, persisted: position, done: map[int64]int64{}}
}

// settle says that the record [start, end) of pack is done with.
func (s *settled) settle(pack, start, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.packs[pack]
	if p == nil || start < p.position {
		return
	}
	p.done[start] = end
	for {
		next, ok := p.done[p.position]
		if !ok {
			return
		}
		delete(p.done, p.position)
		p.position = next
	}
}

// Progress is a settled position to be made durable.
type Progress struct {
	Pack     int64
	Position int64
}

// moved returns the positions that are ahead of the catalog, lowest pack first.
func (s *settled) moved() []Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Progress
	for pack, p := range s.packs {
		if p.position > p.persisted {
			out = append(out, Progress{pack, p.position})
		}
	}
	slices.SortFunc(out, func(a, b Progress) int { return int(a.Pack - b.Pack) })
	return out
}

// persisted notes what the catalog now has. A pack whose records are all done with stays known: a later append to it
// starts at its position.
func (s *settled) persisted(ps []Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range ps {
		if have := s.packs[p.Pack]; have != nil && p.Position > have.persisted {
			have.persisted = p.Position
		}
	}
}

// forget drops a pack that is sealed and settled to its end.
func (s *settled) forget(pack int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.packs, pack)
}
