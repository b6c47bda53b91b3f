package pop3

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The list of a large maildrop is small, however it grew.
func TestListingIsCompact(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 100_000} {
		var l listing
		for i := range n {
			l.add(uint32(i+1), 100)
		}
		l.complete()
		for i := range n {
			if i%3 == 0 {
				l.deleted.set(i, n)
			}
			l.retrieved.set(i, n)
		}
		bytes := 4*cap(l.uids) + 8*cap(l.sizes) + 8*(cap(l.deleted)+cap(l.retrieved))
		if bytes > 16*n+64 {
			t.Errorf("%d messages take %d bytes", n, bytes)
		}
	}
}

// The marks of a session against a map.
func TestChosen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		var l listing
		deleted, retrieved := map[int]bool{}, map[int]bool{}
		for i := range n {
			l.add(uint32(i*7+1), 1)
		}
		for range n / 2 {
			d, s := r.IntN(n), r.IntN(n)
			l.deleted.set(d, n)
			l.retrieved.set(s, n)
			deleted[d], retrieved[s] = true, true
		}
		var gone, seen []uint32
		for i, uid := range l.uids {
			switch {
			case deleted[i]:
				gone = append(gone, uid)
			case retrieved[i]:
				seen = append(seen, uid)
			}
		}
		if !slices.Equal(l.chosen(l.deleted, nil), gone) || !slices.Equal(l.chosen(l.retrieved, l.deleted), seen) {
			t.Fatalf("of %d: %v %v, want %v %v", n, l.chosen(l.deleted, nil), l.chosen(l.retrieved, l.deleted), gone, seen)
		}
	}
}
