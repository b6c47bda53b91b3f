// Package rate counts what clients, accounts and others do, in windows of time, within a bounded memory.
//
// It is pure: the clock is the caller's, there is no goroutine, nothing blocks and nothing is stored. It decides by numbers
// only: what is counted, for whom, and what a client reads is the caller's affair (internal/node/gate_rates.go).
//
//	pool.go    Pool: a bounded memory that forgets what weighs least
//	window.go  Window: a count that slides
//	table.go   Table: counts by measure and by whom
package rate

// looked is how many a full Pool looks at to find what weighs least. An attacker who wants one that is heavy forgotten has to
// make nearly all the others as heavy.
const looked = 8

// Pool holds states by key, at most so many. When it is full the one that weighs least, of some, makes room: so a flood of
// newcomers displaces newcomers. It is not safe for concurrent use.
type Pool[K comparable, V any] struct {
	most   int
	weight func(v *V, now int64) int64
	index  map[K]int
	slots  []slot[K, V]
	hand   int
}

type slot[K comparable, V any] struct {
	key   K
	value V
}

// NewPool makes a Pool. weight tells how much would be lost with a state at a time, in nanoseconds since 1970; 0: nothing.
func NewPool[K comparable, V any](most int, weight func(v *V, now int64) int64) *Pool[K, V] {
	return &Pool[K, V]{most: max(most, 1), weight: weight, index: map[K]int{}}
}

// Len is how many states there are.
func (p *Pool[K, V]) Len() int { return len(p.slots) }

// Get returns a state, or nil. The pointer is good until the next Make or Drop.
func (p *Pool[K, V]) Get(k K) *V {
	if i, there := p.index[k]; there {
		return &p.slots[i].value
	}
	return nil
}

// Make returns a state, a zero one where there was none. The pointer is good until the next Make or Drop.
func (p *Pool[K, V]) Make(k K, now int64) *V {
	if i, there := p.index[k]; there {
		return &p.slots[i].value
	}
	for range 2 { // each newcomer clears away what is worth nothing any more
		if i := p.next(); i >= 0 && p.weight(&p.slots[i].value, now) == 0 {
			p.drop(i)
		}
	}
	if len(p.slots) >= p.most {
		p.drop(p.lightest(now))
	}
	p.index[k] = len(p.slots)
	p.slots = append(p.slots, slot[K, V]{key: k})
	return &p.slots[len(p.slots)-1].value
}

// next moves the hand over all slots, round and round; -1: there is none.
func (p *Pool[K, V]) next() int {
	if len(p.slots) == 0 {
		return -1
	}
	p.hand = (p.hand + 1) % len(p.slots)
	return p.hand
}

func (p *Pool[K, V]) lightest(now int64) int {
	best, least := -1, int64(0)
	for range min(looked, len(p.slots)) {
		i := p.next()
		if w := p.weight(&p.slots[i].value, now); best < 0 || w < least {
			best, least = i, w
		}
	}
	return best
}

// Drop forgets a state.
func (p *Pool[K, V]) Drop(k K) {
	if i, there := p.index[k]; there {
		p.drop(i)
	}
}

// drop puts the last slot into the place of another.
func (p *Pool[K, V]) drop(i int) {
	last := len(p.slots) - 1
	delete(p.index, p.slots[i].key)
	if i != last {
		p.slots[i] = p.slots[last]
		p.index[p.slots[i].key] = i
	}
	p.slots[last] = slot[K, V]{}
	p.slots = p.slots[:last]
}

// Each calls fn for every state.
func (p *Pool[K, V]) Each(fn func(k K, v *V)) {
	for i := range p.slots {
		fn(p.slots[i].key, &p.slots[i].value)
	}
}
