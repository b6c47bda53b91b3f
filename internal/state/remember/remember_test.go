package remember_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/remember"
)

func TestRemember(t *testing.T) {
	s, now := &remember.Store{DB: dbtest.Open(t)}, time.Unix(1_800_000_000, 0)
	load := func(kind string) (all []string) {
		t.Helper()
		if err := s.Load(t.Context(), kind, now, func(e remember.Entry) { all = append(all, e.Name+"="+e.Value) }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return all
	}
	change := func(kind string, put []remember.Entry, gone ...string) {
		t.Helper()
		if err := s.Change(t.Context(), kind, put, gone); err != nil {
			t.Fatal(err)
		}
	}
	var many []remember.Entry
	for i := range 1234 {
		many = append(many, remember.Entry{Name: fmt.Sprint("n", i), Value: "v", Until: now.Add(time.Hour)})
	}
	change("greylist", many)
	change("screen", []remember.Entry{{Name: "a", Value: "1", Until: now.Add(time.Minute)}, {Name: "b", Value: "2", Until: now}})
	change("screen", []remember.Entry{{Name: "c", Value: "3", Until: now.Add(time.Hour)}, {Name: "a", Value: "4", Until: now.Add(time.Hour)}}, "c", "none")
	if got := load("screen"); !slices.Equal(got, []string{"a=4"}) {
		t.Error(got)
	}
	if got := load("greylist"); len(got) != 1234 {
		t.Errorf("%d entries", len(got))
	}
	if err := s.Prune(t.Context(), now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	if got := load("screen"); !slices.Equal(got, []string{"a=4"}) {
		t.Errorf("after pruning: %v", got)
	}
}
