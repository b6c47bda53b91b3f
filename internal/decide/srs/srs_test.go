package srs

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

var now = time.Unix(1700000000, 0)

func rewriter(at time.Time, secrets ...string) *Rewriter {
	w := &Rewriter{Domain: "srs.example", Now: func() time.Time { return at }, Exclude: []string{"friend.example"}}
	for _, s := range secrets {
		w.Secrets = append(w.Secrets, []byte(s))
	}
	return w
}

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s, true)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return a
}

func TestForwardAndBack(t *testing.T) {
	w := rewriter(now, "a secret")
	for _, from := range []string{"alice@source.example", "Alice.B+c=d@source.example", `"a b"@source.example`, "ü@xn--mnchen-3ya.example", "=@source.example", "SRS0x@source.example"} {
		a := parse(t, from)
		out, ok := w.Forward(a)
		if !ok || out.Domain != "srs.example" || !strings.HasPrefix(out.Local, "SRS0=") || !w.Ours(out) {
			t.Fatalf("%s: %v %v", from, out, ok)
		}
		if back, err := w.Reverse(out); err != nil || back != a {
			t.Errorf("%s: %s came back as %s: %v", from, out, back, err)
		}
		// A host on the way may have folded the case.
		folded := out
		folded.Local = strings.ToLower(out.Local)
		if back, err := w.Reverse(folded); err != nil || !strings.EqualFold(back.Local, a.Local) {
			t.Errorf("%s: %s came back as %s: %v", from, folded, back, err)
		}
	}
}

func TestStays(t *testing.T) {
	w := rewriter(now, "a secret")
	for _, a := range []address.Address{{}, parse(t, "a@srs.example"), parse(t, "a@friend.example"), parse(t, "a@sub.friend.example"), parse(t, "a@[192.0.2.1]"),
		{Local: strings.Repeat("x", 230), Domain: "source.example"}, {Local: "postmaster"}} {
		if out, ok := w.Forward(a); ok || out != a {
			t.Errorf("%v became %v", a, out)
		}
	}
	if _, ok := (*Rewriter)(nil).Forward(parse(t, "a@b.example")); ok {
		t.Error("no rewriter, and yet")
	}
}

func TestChain(t *testing.T) {
	first := &Rewriter{Domain: "first.example", Secrets: [][]byte{[]byte("theirs")}, Now: func() time.Time { return now }}
	second, third := rewriter(now, "ours"), rewriter(now, "other")
	third.Domain = "third.example"
	a := parse(t, "alice@source.example")
	s0, _ := first.Forward(a)
	s1, ok := second.Forward(s0)
	if !ok || !strings.HasPrefix(s1.Local, "SRS1=") || !strings.Contains(s1.Local, "=first.example==") {
		t.Fatalf("%v", s1)
	}
	again, ok := third.Forward(s1)
	if !ok || !strings.HasPrefix(again.Local, "SRS1=") || strings.Count(again.Local, "first.example") != 1 || strings.Contains(again.Local, "srs.example") {
		t.Fatalf("%v", again)
	}
	for w, from := range map[*Rewriter]address.Address{second: s1, third: again} {
		back, err := w.Reverse(from)
		if err != nil || back != s0 {
			t.Errorf("%v: %v %v", from, back, err)
		}
	}
	if back, err := first.Reverse(s0); err != nil || back != a {
		t.Errorf("%v %v", back, err)
	}
}

func TestForgedAndExpired(t *testing.T) {
	w := rewriter(now, "a secret")
	good, _ := w.Forward(parse(t, "alice@source.example"))
	for _, local := range []string{"SRS0=AAAA" + good.Local[9:], strings.Replace(good.Local, "alice", "bob", 1), strings.Replace(good.Local, "source", "sauce", 1),
		"SRS0=", "SRS0==", "SRS0====", "SRS0=a=b=c", "SRS1=a", "SRS1=AAAA=h==x", "SRS1====", "SRS0=" + good.Local[5:8] + good.Local[9:],
		good.Local[:7] + good.Local[9:]} {
		if a, err := w.Reverse(address.Address{Local: local, Domain: "srs.example"}); err != ErrForged {
			t.Errorf("%s: %v %v", local, a, err)
		}
	}
	for days, want := range map[int]error{0: nil, 21: nil, 22: ErrExpired, 500: ErrExpired, 1022: ErrExpired, -1: nil, -3: ErrExpired} {
		later := rewriter(now.Add(time.Duration(days)*24*time.Hour), "a secret")
		if _, err := later.Reverse(good); err != want {
			t.Errorf("after %d days: %v, want %v", days, err, want)
		}
	}
}

func TestRotation(t *testing.T) {
	old, both, fresh := rewriter(now, "the old one"), rewriter(now, "the new one", "the old one"), rewriter(now, "the new one")
	a := parse(t, "alice@source.example")
	byOld, _ := old.Forward(a)
	byNew, _ := both.Forward(a)
	if _, err := both.Reverse(byOld); err != nil {
		t.Errorf("the old secret is still there: %v", err)
	}
	if _, err := fresh.Reverse(byNew); err != nil {
		t.Errorf("the first secret signs: %v", err)
	}
	if _, err := fresh.Reverse(byOld); err != ErrForged {
		t.Errorf("the old secret is gone: %v", err)
	}
}

// What is made is read again; nothing that was not made is read.
func FuzzReverse(f *testing.F) {
	for _, s := range []string{"alice", "SRS0=abcd=XY=source.example=alice", "SRS1=abcd=first.example==abcd=XY=source.example=alice", "SRS0+abcd=XY=a.b=c", "SRS0-x",
		"srs0=ABCD=xy=a.b=c", "SRS1=", "SRS1===", "SRS0=====", "SRS1=aaaa=h=+", "SRS1=aaaa=h=-x", "SRS0=aaaa=??=h=l", "SRS0=aaaa=AA=[192.0.2.1]=l",
		"SRS0=aaaa=AA=h.=l", "SRS0=aaaa=AA=H.Example=l", "\"", "a b", "SRS0=ää=AA=h=l", "SRS1=aaaa=h===", "SRS2=a", "x=SRS0"} {
		f.Add(s, "source.example")
	}
	f.Fuzz(func(t *testing.T, local, domain string) {
		w := rewriter(now, "a secret", "another")
		if a, err := w.Reverse(address.Address{Local: local, Domain: w.Domain}); err == nil && !strings.HasPrefix(strings.ToUpper(local), "SRS") {
			t.Fatalf("%q was read as %v", local, a)
		}
		d, err := address.CanonicalDomain(domain)
		if err != nil || local == "" {
			return
		}
		a := address.Address{Local: local, Domain: d}
		out, ok := w.Forward(a)
		if !ok {
			return
		}
		back, err := w.Reverse(out)
		if err != nil {
			t.Fatalf("%v became %v: %v", a, out, err)
		}
		if _, _, _, chained := guarded(local); chained || tagged(local, "SRS0") { // the first host's address, with its first separator
			if !tagged(back.Local, "SRS0") {
				t.Fatalf("%v became %v, came back as %v", a, out, back)
			}
			return
		}
		if back != a {
			t.Fatalf("%v became %v, came back as %v", a, out, back)
		}
	})
}
