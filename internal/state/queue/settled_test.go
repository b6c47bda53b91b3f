package queue

import (
	"testing"

	"pgregory.net/rapid"
)

// The position never passes a record that was not reported, and reaches the end once all were.
func TestSettledNeverPassesAnOpenRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int64Range(1, 500), 1, 40).Draw(t, "sizes")
		starts := make([]int64, len(sizes))
		at := int64(64)
		for i, n := range sizes {
			starts[i] = at
			at += n
		}
		s := newSettled()
		s.begin(3, 64)
		order := rapid.Permutation(starts).Draw(t, "order")
		reported := map[int64]bool{}
		for _, start := range order {
			i := 0
			for starts[i] != start {
				i++
			}
			s.settle(3, start, start+sizes[i])
			reported[start] = true
			want := int64(64)
			for k := 0; k < len(starts) && reported[starts[k]]; k++ {
				want = starts[k] + sizes[k]
			}
			if got := s.packs[3].position; got != want {
				t.Fatalf("position %d, want %d", got, want)
			}
		}
		m := s.moved()
		if len(m) != 1 || m[0] != (Progress{3, at}) {
			t.Fatalf("moved %v", m)
		}
		s.persisted(m)
		if len(s.moved()) != 0 || len(s.packs[3].done) != 0 {
			t.Fatal("persisted progress is reported again, or memory is kept")
		}
	})
}
