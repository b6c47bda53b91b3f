package queueid

import (
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What pflogsumm and Postfix's own tools take for a long queue id.
var longID = regexp.MustCompile(`^[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+$`)

func TestStringParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := New(rapid.Int64Range(1, 1<<53).Draw(t, "micros"), rapid.Uint64().Draw(t, "origin"))
		s := id.String()
		if !longID.MatchString(s) {
			t.Fatalf("%q is not a long queue id", s)
		}
		if back, err := Parse(s); err != nil || back != id {
			t.Fatalf("%x -> %q -> %x %v", id, s, back, err)
		}
	})
}

func TestSourceNeverRepeats(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	s := NewSource(func() time.Time { return clock }, 3, 7)
	seen := map[ID]bool{}
	last := ID{}
	for i := range 1000 {
		if i == 500 {
			clock = clock.Add(-time.Hour) // the clock steps back
		}
		id := s.Next()
		if seen[id] || id.Compare(last) <= 0 || id.IsDerived() {
			t.Fatalf("id %v after %v", id, last)
		}
		seen[id], last = true, id
	}
	if other := NewSource(func() time.Time { return clock }, 3, 8).Next(); seen[other] {
		t.Fatal("two boots share an id")
	}
}

func TestDerive(t *testing.T) {
	id := New(1_800_000_000_000_000, 9)
	d := id.Derive(2, 1)
	if d != id.Derive(2, 1) || d == id.Derive(1, 2) || d == id || !d.IsDerived() || d.Micros() != id.Micros() {
		t.Fatalf("derived %v of %v", d, id)
	}
	if dd := d.Derive(0, 0); dd == d || dd == id.Derive(0, 0) {
		t.Fatal("derivations of derivations must differ")
	}
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err == nil && id.String() != s {
			t.Fatalf("%q parsed to %v", s, id)
		}
	})
}
