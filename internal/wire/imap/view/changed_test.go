package view

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMissingAndVanished(t *testing.T) {
	m := NewMailbox(0)
	for _, uid := range []uint32{2, 3, 7} {
		m.Add(Message{UID: uid, ModSeq: 1})
	}
	m.Loaded(10, 1)
	s := NewSession(m)
	for _, c := range []struct {
		set           Set
		missing, gone string
	}{
		{Set{{1, 0}}, "[{1 1} {4 6}]", "[{1 1} {4 5}]"},
		{Set{{1, 1 << 31}}, "[{1 1} {4 6} {8 9}]", "[{1 1} {4 5} {9 9}]"},
		{Set{{2, 3}}, "[]", "[]"},
		{Set{{5, 3}, {4, 4}, {9, 9}}, "[{4 5} {9 9}]", "[{4 5} {9 9}]"},
		{Set{{11, 20}}, "[]", "[]"},
		{Set{{1, 1<<32 - 1}}, "[{1 1} {4 6} {8 9}]", "[{1 1} {4 5} {9 9}]"},
	} {
		if got := fmt.Sprint(s.Missing(c.set, m.UIDNext())); got != c.missing {
			t.Errorf("missing of %v: %s, want %s", c.set, got, c.missing)
		}
		// 3 is among the tombstones as of later than the session's view: it still has it.
		if got := fmt.Sprint(s.Vanished([]uint32{1, 3, 4, 5, 9}, c.set)); got != c.gone {
			t.Errorf("vanished of %v: %s, want %s", c.set, got, c.gone)
		}
	}
}

// Changed, Missing and Vanished against plain loops.
func TestChangedAgainstPlainLoops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMailbox(0)
		uid := uint32(0)
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			uid += rapid.Uint32Range(1, 4).Draw(t, "gap")
			m.Add(Message{UID: uid, ModSeq: rapid.Uint64Range(1, 20).Draw(t, "modseq")})
		}
		s := NewSession(m)
		if n := s.Exists(); n > 0 {
			m.Apply(Event{ModSeq: 21, Expunged: []uint32{s.UID(uint32(rapid.IntRange(1, n).Draw(t, "gone")))}})
		}
		var set Set
		for range rapid.IntRange(1, 4).Draw(t, "ranges") {
			set = append(set, Range{rapid.Uint32Range(0, 130).Draw(t, "first"), rapid.Uint32Range(0, 130).Draw(t, "last")})
		}
		since := rapid.Uint64Range(0, 22).Draw(t, "since")
		in := func(uid uint32) bool {
			return slices.ContainsFunc(set, func(r Range) bool {
				lo, hi := r.ends(s.MaxUID())
				return lo <= uid && uid <= hi
			})
		}
		var want, got []uint32
		for uid := range s.uids.All() {
			if row, ok := m.Get(uid); ok && row.ModSeq > since && in(uid) {
				want = append(want, uid)
			}
		}
		for _, sp := range s.Changed(m, s.ByUID(set), since) {
			for i := sp.From; i < sp.To; i++ {
				got = append(got, s.UID(uint32(i)+1))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("changed %v, want %v", got, want)
		}
		want, got = nil, nil
		for uid := uint32(1); uid < m.UIDNext(); uid++ {
			if _, known := s.Seq(uid); !known && in(uid) {
				want = append(want, uid)
			}
		}
		if got = numbers(s.Missing(set, m.UIDNext())); !slices.Equal(got, want) {
			t.Fatalf("missing %v, want %v", got, want)
		}
		var all []uint32
		for uid := range m.UIDNext() {
			all = append(all, uid+1)
		}
		if got = numbers(s.Vanished(all[:max(len(all)-1, 0)], set)); !slices.Equal(got, want) {
			t.Fatalf("vanished %v, want %v", got, want)
		}
	})
}

func numbers(set Set) (out []uint32) {
	for _, r := range set {
		for uid := r.First; uid <= r.Last; uid++ {
			out = append(out, uid)
		}
	}
	return out
}

func BenchmarkChangedSince100k(b *testing.B) {
	m := NewMailbox(100000)
	for i := range uint32(100000) {
		m.Add(Message{UID: i + 1 + i/3, ModSeq: uint64(i%1000 + 1)})
	}
	s := NewSession(m)
	b.ReportAllocs()
	for b.Loop() {
		if s.Changed(m, s.All(), 999).Len() != 100 {
			b.Fatal("not 100")
		}
	}
}
