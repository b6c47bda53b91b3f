package suppress_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/suppress"
)

var now = time.Unix(1_800_000_000, 0).UTC()

func entry(owner, to, reason string, hold time.Duration) suppress.Entry {
	e := suppress.Entry{Owner: owner, Address: to, Reason: reason, Class: "unknown", Detail: "550 no\r\nsuch\x00 user", Since: now}
	if hold != 0 {
		e.Until = now.Add(hold)
	}
	return e
}

func put(t *testing.T, s *suppress.Store, entries ...suppress.Entry) {
	t.Helper()
	if err := s.Put(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	s := &suppress.Store{DB: dbtest.Open(t)}
	put(t, s, entry("@here.example", "bob@there.example", suppress.Bounce, time.Hour), entry("ann@here.example", "eve@there.example", suppress.Complaint, 0),
		entry("", "@dead.example", suppress.Operator, 0), entry("@here.example", "old@there.example", suppress.Bounce, -time.Second))
	for _, c := range []struct{ owners, to, want string }{
		{"@here.example", "bob@there.example", "@here.example bob@there.example"},
		{"@here.example", "BOB@there.example", "@here.example bob@there.example"},
		{"@else.example", "bob@there.example", ""},
		{"@here.example", "old@there.example", ""},
		{"@here.example", "eve@there.example", ""},
		{"ann@here.example @here.example", "eve@there.example", "ann@here.example eve@there.example"},
		{"@here.example", "x@dead.example", " @dead.example"},
		{"", "x@dead.example", " @dead.example"},
	} {
		a, err := address.Parse(c.to, true)
		if err != nil {
			t.Fatal(err)
		}
		e, ok, err := s.Find(t.Context(), strings.Fields(c.owners), a, now)
		if got := e.Owner + " " + e.Address; err != nil || ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s for %s: %q %v %v", c.to, c.owners, got, ok, err)
		}
		if ok && e.Detail != "550 no  such  user" {
			t.Errorf("%q", e.Detail)
		}
	}
}

// A bounce does not make a complaint's or an operator's entry shorter, nor a complaint an operator's, as long as that holds.
func TestBounceDoesNotReplace(t *testing.T) {
	s := &suppress.Store{DB: dbtest.Open(t)}
	to := address.Address{Local: "bob", Domain: "there.example"}
	for _, c := range []struct {
		e    suppress.Entry
		want string
	}{
		{entry("", "bob@there.example", suppress.Bounce, time.Minute), suppress.Bounce},
		{entry("", "bob@there.example", suppress.Complaint, time.Hour), suppress.Complaint},
		{entry("", "bob@there.example", suppress.Bounce, time.Minute), suppress.Complaint},
		{entry("", "bob@there.example", suppress.Operator, 0), suppress.Operator},
		{entry("", "bob@there.example", suppress.Bounce, time.Minute), suppress.Operator},
		{entry("", "bob@there.example", suppress.Complaint, time.Minute), suppress.Operator},
		{entry("", "bob@there.example", suppress.Operator, -time.Minute), ""},
		{entry("", "bob@there.example", suppress.Complaint, time.Hour), suppress.Complaint},
		{entry("", "bob@there.example", suppress.Complaint, -time.Minute), ""},
		{entry("", "bob@there.example", suppress.Bounce, time.Minute), suppress.Bounce},
	} {
		put(t, s, c.e)
		if e, _, err := s.Find(t.Context(), nil, to, now); err != nil || e.Reason != c.want {
			t.Errorf("after %s: %+v %v", c.e.Reason, e, err)
		}
	}
}

func TestListRemovePrune(t *testing.T) {
	s := &suppress.Store{DB: dbtest.Open(t)}
	var many []suppress.Entry
	for i := range 1234 {
		many = append(many, entry("@here.example", fmt.Sprintf("u%04d@there.example", i), suppress.Bounce, time.Hour))
	}
	put(t, s, many...)
	put(t, s, entry("", "a@b.example", suppress.Operator, 0), entry("ann@here.example", "gone@b.example", suppress.Complaint, -time.Hour))
	count := func(f suppress.Filter) (n int) {
		t.Helper()
		if err := s.List(t.Context(), f, now, func(suppress.Entry) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	everybody := ""
	for _, c := range []struct {
		f    suppress.Filter
		want int
	}{{suppress.Filter{}, 1235}, {suppress.Filter{Expired: true}, 1236}, {suppress.Filter{Owner: &everybody}, 1}, {suppress.Filter{Domain: "B.example"}, 1},
		{suppress.Filter{Reason: suppress.Bounce}, 1234}} {
		if got := count(c.f); got != c.want {
			t.Errorf("%+v: %d", c.f, got)
		}
	}
	end := errors.New("enough")
	if err := s.List(t.Context(), suppress.Filter{}, now, func(suppress.Entry) error { return end }); err != end {
		t.Error(err)
	}
	for _, want := range []bool{true, false} {
		if gone, err := s.Remove(t.Context(), "", "a@b.example"); err != nil || gone != want {
			t.Error(gone, err)
		}
	}
	if err := s.Prune(t.Context(), now.Add(time.Hour)); err != nil || count(suppress.Filter{Expired: true}) != 0 {
		t.Error(err)
	}
	if n, err := s.Count(t.Context()); err != nil || n != 0 {
		t.Error(n, err)
	}
}

func TestText(t *testing.T) {
	e := entry("@here.example", `"a b"@there.example`, suppress.Complaint, time.Hour)
	e.Detail = `said "no", twice`
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.WriteAll([][]string{suppress.Columns(), e.Row()}) // a buffer never fails
	r := suppress.NewReader(&out)
	back, err := r.Next()
	if err != nil || back != e {
		t.Errorf("%+v, %v, want %+v", back, err, e)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"Bob@There.example\n# note\n\n@dead.example\r\n": "bob@there.example @dead.example",
		"reason,Email,x\ncomplaint,a@b.example,1":        "a@b.example",
		"a@b.example,anything,else\nc@d.example":         "a@b.example c@d.example",
		"\ufeffaddress\na@b.example":                     "a@b.example",
		"bob":                                            "!line 1",
		"address,reason\na@b.example,whim":               "!none of",
		"address,until\na@b.example,tomorrow":            "!not a time",
		"address,owner\n,x@b.example":                    "!no address",
		"a@b.example\n" + strings.Repeat("x", 5000):      "!line 2",
	} {
		var got []string
		r := suppress.NewReader(strings.NewReader(text))
		for {
			e, err := r.Next()
			if err != nil {
				if err != io.EOF {
					got = []string{"!" + err.Error()}
				}
				break
			}
			got = append(got, e.Address)
		}
		if all := strings.Join(got, " "); all != want && (want[0] != '!' || !strings.HasPrefix(all, "!") || !strings.Contains(all, want[1:])) {
			t.Errorf("%q: %s, want %s", text, all, want)
		}
	}
}

// FuzzReader: what is read can be written and read again, and is what the table takes.
func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		r := suppress.NewReader(strings.NewReader(text))
		for range 100 {
			e, err := r.Next()
			if err != nil {
				return
			}
			if e.Address == "" || len(e.Detail) > suppress.MaxDetail || suppress.Clip(e.Detail) != e.Detail || !slices.Contains([]string{"bounce", "complaint", "operator"}, e.Reason) {
				t.Fatalf("%+v", e)
			}
			if at := strings.LastIndexByte(e.Address, '@'); at < 0 || e.Address[at+1:] != strings.ToLower(e.Address[at+1:]) {
				t.Fatalf("%q", e.Address)
			}
			if again, err := suppress.ParseKey(e.Address); err != nil || again != e.Address {
				t.Fatalf("%q became %q, %v", e.Address, again, err)
			}
		}
	})
}
