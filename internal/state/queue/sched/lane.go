package sched

import "container/heap"

// lane is what shares a bound of units in flight: all remote sites, or all that stays in this house.
type lane struct {
	remote bool
	total  int // units in flight at most; no bound where it is not remote
	flying int
	bulk   int // of them Bulk
	busy   int // sites with units in flight or due
	rests  int // sites that rest
	pools  [healths]pool
	turns  [classes]turn
	payers map[payerKey]*payer
}

// health is what is known of a remote site.
type health uint8

// The healths. Sites that give trouble, or of which nothing is known yet, have bounds of their own together, so that many
// dead or slow ones leave room for the others.
const (
	proven   health = iota // the last attempts went well, and quickly
	fresh                  // nothing is known
	troubled               // it fails, or is slow
	healths
)

// pool is the sites of one health.
type pool struct {
	flying  int
	starved shareHeap // sites with units due that wait for a larger share
}

// bound is how many units of a pool's sites may be in flight.
func (l *lane) bound(h health) int {
	switch h {
	case fresh:
		return max(1, l.total-l.total/4)
	case troubled:
		return max(1, l.total/4)
	}
	return l.total
}

// free is how many units more a pool has room for.
func (l *lane) free(h health) int {
	return min(l.total-l.flying, l.bound(h)-l.pools[h].flying)
}

// turn is where the payers of one class stand.
type turn struct {
	payers ring[*payer]
	credit int
}

type payerKey struct {
	name  string
	class Class
}

// payer has lines that may run.
type payer struct {
	key   payerKey
	lines ring[*line]
}

// offer lets a line take part in the turns.
func (l *lane) offer(ln *line) {
	key := payerKey{ln.key.payer, ln.key.class}
	p := l.payers[key]
	if p == nil {
		p = &payer{key: key}
		l.payers[key] = p
	}
	if p.lines.pushBack(ln); p.lines.len() == 1 {
		l.turns[key.class].payers.pushBack(p)
	}
}

// next returns the line whose turn it is in a class; nil: none.
func (l *lane) next(c Class) *line {
	t := &l.turns[c]
	if t.payers.len() == 0 {
		return nil
	}
	p := t.payers.popFront()
	ln := p.lines.popFront()
	if p.lines.len() > 0 {
		t.payers.pushBack(p)
	} else {
		delete(l.payers, p.key)
	}
	return ln
}

// full tells whether nothing, or nothing of a class, may start.
func (l *lane) full(c Class) bool {
	if !l.remote {
		return false
	}
	return l.flying >= l.total || c == Bulk && l.bulk >= l.total-reserve(l.total)
}

// pick takes the next unit of the lane: the class with the most credit first, as the smooth weighted round robin goes.
func (l *lane) pick(s *Scheduler) (*entry, *site) {
	l.wake(s)
	var tried [classes]bool
	for {
		best, sum := classes, 0
		for c := range classes {
			if tried[c] || l.turns[c].payers.len() == 0 || l.full(c) {
				continue
			}
			sum += c.weight()
			if best == classes || l.turns[c].credit+c.weight() > l.turns[best].credit+best.weight() {
				best = c
			}
		}
		if best == classes {
			return nil, nil
		}
		e, at := l.pickOf(s, best)
		if e == nil {
			tried[best] = true
			continue
		}
		for c := range classes {
			if c == best || !tried[c] && l.turns[c].payers.len() > 0 && !l.full(c) {
				l.turns[c].credit = min(l.turns[c].credit+c.weight(), 2*sum)
			}
		}
		l.turns[best].credit -= sum
		return e, at
	}
}

// pickOf takes the next unit of a class. Lines whose site has no room any more go back to it.
func (l *lane) pickOf(s *Scheduler, c Class) (*entry, *site) {
	for ln := l.next(c); ln != nil; ln = l.next(c) {
		at := ln.site
		at.offered[c]--
		if n, _ := at.room(c, s); n <= 0 {
			at.parked[c].pushFront(ln)
			at.offer(s)
			continue
		}
		e := ln.pop()
		if ln.units.len() > 0 {
			at.parked[c].pushBack(ln)
		} else {
			delete(at.lines, ln.key)
		}
		if e != nil {
			return e, at
		}
		at.offer(s)
	}
	return nil, nil
}

// wake offers what the sites have that waited for a share, if there is one now.
func (l *lane) wake(s *Scheduler) {
	if !l.remote {
		return
	}
	for h := range healths {
		starved := &l.pools[h].starved
		for len(*starved) > 0 && (*starved)[0].share() > 0 {
			heap.Pop(starved).(*site).offer(s)
		}
	}
}
