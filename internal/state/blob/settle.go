package blob

import (
	"context"
	"fmt"
	"sort"

	"github.com/postrider/postrider/internal/mail/recipe"
)

// span is a record that was committed, or found by Replay.
type span struct {
	start, end int64
	settled    bool
}

// track notes a new record, unsettled. Store.mu is held; records come in the order of their offsets.
func (p *pack) track(start, end int64) {
	p.records = append(p.records, span{start: start, end: end})
	p.end = end
}

// position is the settled position: the first unsettled record, or the end.
func (p *pack) position() int64 {
	if len(p.records) > 0 {
		return p.records[0].start
	}
	return p.end
}

// settle marks the record at start and drops those at the front that are settled.
func (p *pack) settle(start int64) {
	i := sort.Search(len(p.records), func(i int) bool { return p.records[i].start >= start })
	if i == len(p.records) || p.records[i].start != start {
		return
	}
	p.records[i].settled = true
	n := 0
	for n < len(p.records) && p.records[n].settled {
		n++
	}
	p.records = p.records[n:]
	if len(p.records) == 0 {
		p.records = nil // let the array go
	}
}

// forget drops a pack that needs no more attention. Store.mu is held.
func (s *Store) forget(p *pack) {
	if p.sealed && len(p.records) == 0 && p.saved >= p.end {
		delete(s.packs, p.number)
	}
}

// Settle says that a record that Commit returned or Replay reported needs no replay any more: its message is in a mailbox,
// in the queue's table, or done. It is cheap, writes nothing and may be repeated.
func (s *Store) Settle(ref recipe.BlobRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.packs[ref.Pack]; p != nil {
		p.settle(ref.Offset)
	}
}

// Saved tells whether a start would not replay the record of ref: the settled position behind it is durable.
func (s *Store) Saved(ref recipe.BlobRef) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.packs[ref.Pack]; p != nil {
		return ref.Offset < p.saved
	}
	for _, r := range s.replay {
		if r.Pack == ref.Pack {
			return ref.Offset < r.Settled
		}
	}
	return true // sealed, and settled to its end
}

// Unsettled counts the records that wait for their Settle.
func (s *Store) Unsettled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.packs {
		for _, r := range p.records {
			if !r.settled {
				n++
			}
		}
	}
	return n
}

// FlushSettled writes the settled positions that moved to the Catalog. Its owner calls it now and then: what it has not
// written yet is only replayed once more.
func (s *Store) FlushSettled(ctx context.Context) error {
	s.mu.Lock()
	var moved []Settled
	for _, p := range s.packs {
		if pos := p.position(); pos > p.saved {
			moved = append(moved, Settled{p.number, pos})
		}
	}
	s.mu.Unlock()
	if len(moved) == 0 {
		return nil
	}
	sort.Slice(moved, func(i, j int) bool { return moved[i].Pack < moved[j].Pack })
	if err := s.opt.Catalog.Settle(ctx, moved); err != nil {
		return fmt.Errorf("blob: settled positions: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range moved {
		if p := s.packs[m.Pack]; p != nil {
			p.saved = max(p.saved, m.Offset)
			s.forget(p)
		}
	}
	return nil
}
