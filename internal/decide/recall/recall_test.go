package recall

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_800_000_000, 0)

func TestBounded(t *testing.T) {
	m := Memory{Max: 80}
	for i := range 80 {
		m.Put(start.Add(time.Duration(i)*time.Second), Item{strconv.Itoa(i), "v", start.Add(time.Hour)})
	}
	if _, _, ok := m.Get(start.Add(90*time.Second), "0"); !ok {
		t.Fatal("an entry is gone")
	}
	put, removed := m.Drain()
	if len(put) != 80 || len(removed) != 0 {
		t.Errorf("%d put, %d removed", len(put), len(removed))
	}
	m.Put(start.Add(100*time.Second), Item{"new", "v", start.Add(time.Hour)})
	for key, want := range map[string]bool{"0": true, "1": false, "10": false, "11": true, "79": true, "new": true} {
		if _, _, ok := m.Get(start.Add(100*time.Second), key); ok != want {
			t.Errorf("%s: %t", key, ok)
		}
	}
	put, removed = m.Drain()
	slices.Sort(removed)
	if len(put) != 1 || len(removed) != 10 || m.Len() != 71 {
		t.Errorf("put %v, removed %v, %d left", put, removed, m.Len())
	}
	m.Undrain(put, removed)
	m.Drop("new")
	if put, removed = m.Drain(); len(put) != 0 || len(removed) != 11 {
		t.Errorf("again: put %v, removed %v", put, removed)
	}
	m.Sweep(start.Add(2 * time.Hour))
	if m.Len() != 0 {
		t.Error("what is over stays")
	}
}

// Whoever applies what Drain hands out has what the memory has.
func TestWrittenBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Memory{Max: rapid.IntRange(1, 20).Draw(t, "max")}
		now, written := start, map[string]Item{}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			key := strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "key"))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				m.Put(now, Item{key, strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "value")), now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "for")) * time.Second)})
			case 3:
				m.Drop(key)
			case 4:
				now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pass")) * time.Second)
			case 5:
				put, removed := m.Drain()
				if rapid.Bool().Draw(t, "fails") {
					m.Undrain(put, removed)
					break
				}
				for _, i := range put {
					written[i.Key] = i
				}
				for _, key := range removed {
					delete(written, key)
				}
				m.Sweep(now)
			}
			if m.Len() > m.Max {
				t.Fatalf("%d entries, at most %d", m.Len(), m.Max)
			}
		}
		put, removed := m.Drain()
		for _, i := range put {
			written[i.Key] = i
		}
		for _, key := range removed {
			delete(written, key)
		}
		for _, i := range m.All(time.Time{}) {
			if written[i.Key] != i {
				t.Fatalf("%v was written as %v", i, written[i.Key])
			}
			delete(written, i.Key)
		}
		if len(written) > 0 {
			t.Fatalf("written and forgotten: %v", written)
		}
	})
}
