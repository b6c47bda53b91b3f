package rate

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	shards  = 16
	maxName = 320 // bytes of a Key's name that count: an address has no more
)

// Key is what is counted, and whose it is: a network's, or somebody's name.
type Key struct {
	Measure string
	Site    netip.Prefix
	Name    string
}

// Limit is how many there may be in a time. Most 0: any number.
type Limit struct {
	Most int64
	Per  time.Duration
}

// Table is counts by key. It is safe for concurrent use.
type Table struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu   sync.Mutex
	pool *Pool[Key, count]
}

type count struct {
	Window
	limit Limit
}

// weight is how much of its limit a count has used up, in thousandths, and at least 1 while there is something.
func weight(c *count, now int64) int64 {
	used := c.Used(c.limit.Per, now)
	if used == 0 {
		return 0
	}
	return max(used*1000/max(c.limit.Most, 1), 1)
}

// NewTable makes a Table of at most so many keys.
func NewTable(most int) *Table {
	t := &Table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].pool = NewPool[Key](most/shards, weight)
	}
	return t
}

func (t *Table) shard(k *Key) *shard {
	if len(k.Name) > maxName {
		k.Name = k.Name[:maxName]
	}
	return &t.shards[maphash.Comparable(t.seed, *k)%shards]
}

// Take counts n more of a key, unless that were more than the limit: then nothing is counted, so that who goes on trying gets
// what the limit allows, not nothing.
func (t *Table) Take(k Key, n int64, l Limit, now time.Time) bool {
	if l.Most == 0 {
		return true
	}
	s, at := t.shard(&k), now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.pool.Get(k); c != nil && c.Used(l.Per, at)+n > l.Most || n > l.Most {
		return false
	}
	c := s.pool.Make(k, at)
	c.limit = l
	c.Add(n, l.Per, at)
	return true
}

// Fits tells what Take would say, and counts nothing.
func (t *Table) Fits(k Key, n int64, l Limit, now time.Time) bool {
	if l.Most == 0 {
		return true
	}
	s, at := t.shard(&k), now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.pool.Get(k)
	return n <= l.Most && (c == nil || c.Used(l.Per, at)+n <= l.Most)
}

// Add counts n more whatever the limit says, for what has happened; a negative n takes back. It returns the count.
func (t *Table) Add(k Key, n int64, l Limit, now time.Time) int64 {
	s, at := t.shard(&k), now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= 0 && s.pool.Get(k) == nil {
		return 0
	}
	c := s.pool.Make(k, at)
	c.limit = l
	c.Add(n, l.Per, at)
	return c.Used(l.Per, at)
}

// Forget drops what is counted for the keys that fn picks.
func (t *Table) Forget(fn func(Key) bool) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		var gone []Key
		s.pool.Each(func(k Key, _ *count) {
			if fn(k) {
				gone = append(gone, k)
			}
		})
		for _, k := range gone {
			s.pool.Drop(k)
		}
		s.mu.Unlock()
	}
}

// Len is how many keys there are.
func (t *Table) Len() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.pool.Len()
		s.mu.Unlock()
	}
	return n
}

// Usage is how much of a limit is used up.
type Usage struct {
	Key    Key
	Limit  Limit
	Used   int64
	Window Window
}

// Usages returns all counts that are not zero, the fullest first.
func (t *Table) Usages(now time.Time) (list []Usage) {
	at := now.UnixNano()
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.pool.Each(func(k Key, c *count) {
			if used := c.Used(c.limit.Per, at); used > 0 {
				list = append(list, Usage{k, c.limit, used, c.Window})
			}
		})
		s.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Used*max(a.Limit.Most, 1), a.Used*max(b.Limit.Most, 1)), cmp.Compare(a.Key.Measure, b.Key.Measure),
			a.Key.Site.Compare(b.Key.Site), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return list
}

// Restore puts a count back as it was, after a restart.
func (t *Table) Restore(k Key, w Window, l Limit, now time.Time) {
	s, at := t.shard(&k), now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Now < 0 || w.Before < 0 || w.Used(l.Per, at) == 0 {
		return
	}
	*s.pool.Make(k, at) = count{w, l}
}
