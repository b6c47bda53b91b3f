package view

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestUIDsAgainstSlice compares the run list with a plain slice.
func TestUIDsAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u UIDs
		var model []uint32
		next := uint32(1)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				first := next + uint32(rapid.IntRange(0, 3).Draw(t, "gap"))
				last := first + uint32(rapid.IntRange(0, 5).Draw(t, "more"))
				u.Append(first, last)
				for uid := first; uid <= last; uid++ {
					model = append(model, uid)
				}
				next = last + 1
			},
			"append what is not above": func(t *rapid.T) {
				if len(model) > 0 {
					u.Append(rapid.SampledFrom(model).Draw(t, "uid"), next+5)
				}
			},
			"remove": func(t *rapid.T) {
				gone := rapid.SliceOfN(rapid.Uint32Range(1, next+2), 0, 6).Draw(t, "gone")
				slices.Sort(gone)
				u.Remove(gone)
				model = slices.DeleteFunc(model, func(x uint32) bool { return slices.Contains(gone, x) })
			},
			"": func(t *rapid.T) {
				if got := slices.Collect(u.All()); !slices.Equal(got, model) || u.Len() != len(model) {
					t.Fatalf("have %v (%d), want %v", got, u.Len(), model)
				}
				for uid := uint32(0); uid <= next+1; uid++ {
					i, ok := slices.BinarySearch(model, uid)
					if gi, gok := u.Index(uid); gi != i || gok != ok {
						t.Fatalf("Index(%d) = %d %v, want %d %v", uid, gi, gok, i, ok)
					}
				}
				for i, uid := range model {
					if u.At(i) != uid {
						t.Fatalf("At(%d) = %d, want %d", i, u.At(i), uid)
					}
				}
				for k := 1; k < len(u.runs); k++ {
					if u.runs[k-1].first+(u.runs[k].before-u.runs[k-1].before) == u.runs[k].first {
						t.Fatalf("runs not joined: %v", u.runs)
					}
				}
			},
		})
	})
}

func TestAppendAbove(t *testing.T) {
	var a, b UIDs
	a.Append(1, 3)
	a.Append(7, 7)
	b.Append(2, 2)
	b.Append(7, 9)
	b.Append(20, 21)
	a.AppendAbove(&b)
	if got := slices.Collect(a.All()); !slices.Equal(got, []uint32{1, 2, 3, 7, 8, 9, 20, 21}) {
		t.Fatal(got)
	}
}

func TestSpans(t *testing.T) {
	m := NewMailbox(0)
	for _, uid := range []uint32{2, 3, 4, 10, 12} {
		m.Add(Message{UID: uid, ModSeq: 1})
	}
	s := NewSession(m)
	for _, c := range []struct {
		set  Set
		want Spans
	}{
		{Set{{1, 1}}, Spans{}},
		{Set{{3, 10}}, Spans{{1, 4}}},
		{Set{{5, 9}}, Spans{}},
		{Set{{12, 12}, {2, 3}}, Spans{{0, 2}, {4, 5}}},
		{Set{{4000, 0}}, Spans{{4, 5}}}, // RFC 9051 §9: 4000:* is 12:4000 here
		{Set{{0, 0}}, Spans{{4, 5}}},
		{Set{{4, 2}, {3, 11}}, Spans{{0, 4}}},
	} {
		if got := s.ByUID(c.set); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.set, got, c.want)
		}
	}
	if sp, ok := s.BySeq(Set{{0, 4}, {1, 1}}); !ok || !slices.Equal(sp, Spans{{0, 1}, {3, 5}}) || sp.Len() != 3 || sp.Has(1) || !sp.Has(4) {
		t.Error(sp, ok)
	}
	if _, ok := s.BySeq(Set{{1, 6}}); ok {
		t.Error("6 is no sequence number here")
	}
	if _, ok := NewSession(NewMailbox(0)).BySeq(Set{{0, 0}}); ok {
		t.Error("* in an empty mailbox")
	}
}

func TestFlags(t *testing.T) {
	f := Flags{Seen | Deleted, Keywords("Work", "$Forwarded", "WORK")}
	if f.Keywords != "$Forwarded Work" || f.String() != `\Seen \Deleted $Forwarded Work` {
		t.Fatalf("%q %q", f.Keywords, f)
	}
	if g := f.With(Flags{Draft, "apple"}); g.String() != `\Seen \Deleted \Draft $Forwarded apple Work` || !g.Has(f) || f.Has(g) {
		t.Fatal(g)
	}
	if g := f.Without(Flags{Seen, "work"}); g.String() != `\Deleted $Forwarded` {
		t.Fatal(g)
	}
}
