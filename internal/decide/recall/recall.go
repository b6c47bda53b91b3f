// Package recall is a bounded memory of what was learnt about strangers: entries under keys, each with a time until which it
// holds. What changes is handed out for somebody to write down behind it, in batches; so an entry costs no write when it is
// made, and a crash forgets the last batch.
//
// It has no clock, and it is not safe for concurrent use: its owner has a lock.
package recall

import (
	"cmp"
	"slices"
	"time"
)

// Item is an entry as it is written down.
type Item struct {
	Key   string
	Value string
	Until time.Time
}

// Memory remembers at most Max entries; those not used for longest go first.
type Memory struct {
	Max     int // 0: 100,000
	entries map[string]*entry
	changed map[string]struct{} // put or dropped since the last Drain
}

type entry struct {
	value string
	until int64 // seconds since 1970
	used  int64 // the same
}

// Len is how many there are, those that are over too.
func (m *Memory) Len() int { return len(m.entries) }

// Get returns an entry that still holds.
func (m *Memory) Get(now time.Time, key string) (value string, until time.Time, ok bool) {
	e := m.entries[key]
	if e == nil || e.until <= now.Unix() {
		return "", time.Time{}, false
	}
	e.used = now.Unix()
	return e.value, time.Unix(e.until, 0), true
}

// Put makes or replaces an entry. If there is no room the eighth that was not used for longest is forgotten.
func (m *Memory) Put(now time.Time, i Item) {
	if m.put(now, i) {
		m.change(i.Key)
	}
}

// Restore is Put of what was written down already.
func (m *Memory) Restore(now time.Time, i Item) { m.put(now, i) }

func (m *Memory) put(now time.Time, i Item) (changed bool) {
	until := i.Until.Unix()
	if e := m.entries[i.Key]; e != nil {
		changed = e.value != i.Value || e.until != until
		e.value, e.until, e.used = i.Value, until, now.Unix()
		return changed
	}
	if m.entries == nil {
		m.entries = map[string]*entry{}
	}
	if len(m.entries) >= m.bound() {
		m.makeRoom(now)
	}
	m.entries[i.Key] = &entry{i.Value, until, now.Unix()}
	return true
}

func (m *Memory) bound() int {
	if m.Max <= 0 {
		return 100_000
	}
	return m.Max
}

// Drop forgets an entry.
func (m *Memory) Drop(key string) {
	if _, ok := m.entries[key]; ok {
		delete(m.entries, key)
		m.change(key)
	}
}

func (m *Memory) change(key string) {
	if m.changed == nil {
		m.changed = map[string]struct{}{}
	}
	m.changed[key] = struct{}{}
}

// Sweep forgets what is over.
func (m *Memory) Sweep(now time.Time) {
	for key, e := range m.entries {
		if e.until <= now.Unix() {
			m.Drop(key)
		}
	}
}

func (m *Memory) makeRoom(now time.Time) {
	m.Sweep(now)
	surplus := len(m.entries) - m.bound() + max(1, m.bound()/8)
	if surplus <= 0 {
		return
	}
	keys := make([]string, 0, len(m.entries))
	for key := range m.entries {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(m.entries[a].used, m.entries[b].used), cmp.Compare(a, b))
	})
	for _, key := range keys[:min(surplus, len(keys))] {
		m.Drop(key)
	}
}

// Drain returns what changed since the last call: entries to be written, keys to be removed.
func (m *Memory) Drain() (put []Item, removed []string) {
	for key := range m.changed {
		if e := m.entries[key]; e != nil {
			put = append(put, Item{key, e.value, time.Unix(e.until, 0)})
		} else {
			removed = append(removed, key)
		}
	}
	m.changed = nil
	return put, removed
}

// Undrain takes back what could not be written: it is handed out again with what changed meanwhile.
func (m *Memory) Undrain(put []Item, removed []string) {
	for _, i := range put {
		m.change(i.Key)
	}
	for _, key := range removed {
		m.change(key)
	}
}

// All lists what holds, by key.
func (m *Memory) All(now time.Time) []Item {
	var all []Item
	for key, e := range m.entries {
		if e.until > now.Unix() {
			all = append(all, Item{key, e.value, time.Unix(e.until, 0)})
		}
	}
	slices.SortFunc(all, func(a, b Item) int { return cmp.Compare(a.Key, b.Key) })
	return all
}
