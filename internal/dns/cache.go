package dns

import (
	"container/list"
	"sync"
	"time"
)

// question is what is asked and what is cached by.
type question struct {
	name  string // canonical
	qtype uint16
}

// cache remembers results until they expire; when it is full the least recently used goes. No entries: no cache.
type cache struct {
	mu      sync.Mutex // guards all below
	max     int
	entries map[question]*list.Element
	order   *list.List // of *cached, most recently used first
}

type cached struct {
	q       question
	result  result
	expires time.Time
}

func newCache(entries int) *cache {
	return &cache{max: entries, entries: map[question]*list.Element{}, order: list.New()}
}

func (c *cache) get(q question, now time.Time) (result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	if !ok {
		return result{}, false
	}
	hit := e.Value.(*cached)
	if !now.Before(hit.expires) {
		c.remove(e)
		return result{}, false
	}
	c.order.MoveToFront(e)
	return hit.result, true
}

func (c *cache) put(q question, r result, now time.Time) {
	if c.max <= 0 || r.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[q]; ok {
		c.remove(e)
	}
	for len(c.entries) >= c.max {
		c.remove(c.order.Back())
	}
	c.entries[q] = c.order.PushFront(&cached{q: q, result: r, expires: now.Add(r.ttl)})
}

func (c *cache) remove(e *list.Element) {
	delete(c.entries, e.Value.(*cached).q)
	c.order.Remove(e)
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}
