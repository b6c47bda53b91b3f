package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func net(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{"192.0.2.7", "192.0.2.7/32", ""},
		{"192.0.2.0/24", "192.0.2.0/24", ""},
		{"2001:db8::/48", "2001:db8::/48", ""},
		{"2001:DB8::1", "2001:db8::1/128", ""},
		{"::ffff:192.0.2.7", "192.0.2.7/32", ""},
		{"::ffff:192.0.2.0/120", "192.0.2.0/24", ""},
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{"192.0.2.7/24", "", "is 192.0.2.0/24 meant, or 192.0.2.7?"},
		{"0.0.0.0/0", "", "too wide"},
		{"::/0", "", "too wide"},
		{"2000::/3", "", "too wide"},
		{"::ffff:0.0.0.0/90", "", "mixes"},
		{"fe80::1%eth0", "", "no address"},
		{"192.0.2", "", "no address"},
		{"192.0.2.0/33", "", "no address"},
		{"192.0.02.1", "", "no address"},
		{"mail.example.org", "", "no address"},
		{"", "", "no address"},
		{strings.Repeat("1", 65), "", "too long"},
	} {
		p, err := Parse(c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", c.in, err, c.err)
			}
		} else if err != nil || p.String() != c.want {
			t.Errorf("%q: %v %v", c.in, p, err)
		}
	}
}

func TestSet(t *testing.T) {
	var s Set
	put := func(network string, o Origin, d time.Duration) bool {
		t.Helper()
		b := Ban{Network: net(network), Origin: o, Since: noon}
		if d > 0 {
			b.Until = noon.Add(d)
		}
		_, changed, _, err := s.Put(b, noon)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	asked := func(a string, after time.Duration) string {
		if b, banned := s.Banned(netip.MustParseAddr(a), noon.Add(after)); banned {
			return b.Network.String()
		}
		return ""
	}
	if asked("192.0.2.1", 0) != "" {
		t.Error("an empty set bans")
	}
	put("192.0.2.0/24", Operator, 0)
	put("192.0.2.1/32", Automatic, time.Hour)
	put("2001:db8::/48", Automatic, time.Hour)
	for _, c := range []struct {
		a     string
		after time.Duration
		want  string
	}{
		{"192.0.2.1", 0, "192.0.2.1/32"}, {"192.0.2.1", time.Hour, "192.0.2.0/24"}, {"192.0.2.255", 0, "192.0.2.0/24"}, {"192.0.3.1", 0, ""},
		{"::ffff:192.0.2.9", 0, "192.0.2.0/24"}, {"2001:db8:0:1::5", 0, "2001:db8::/48"}, {"2001:db8:0:1::5", time.Hour, ""}, {"2001:db8:1::", 0, ""},
	} {
		if got := asked(c.a, c.after); got != c.want {
			t.Errorf("%s after %v: %q, want %q", c.a, c.after, got, c.want)
		}
	}
	for _, c := range []struct {
		network string
		o       Origin
		d       time.Duration
		want    bool
	}{
		{"192.0.2.0/24", Automatic, 0, false},         // an operator's stays
		{"192.0.2.1/32", Automatic, time.Hour, false}, // not longer
		{"192.0.2.1/32", Automatic, 2 * time.Hour, true},
		{"192.0.2.1/32", Operator, time.Minute, true}, // his word counts
		{"192.0.2.0/24", Operator, time.Minute, true},
	} {
		if got := put(c.network, c.o, c.d); got != c.want {
			t.Errorf("%+v: changed %v", c, got)
		}
	}
	if got := fmt.Sprint(s.Prune(noon.Add(time.Minute)), s.Len()); !strings.Contains(got, "] 1") {
		t.Error(got)
	}
	if list := s.List(noon); len(list) != 1 || list[0].Network != net("2001:db8::/48") {
		t.Errorf("%v", list)
	}
	if !s.Remove(net("2001:db8::/48"), noon) || s.Remove(net("2001:db8::/48"), noon) || s.Len() != 0 || asked("2001:db8::1", 0) != "" {
		t.Error("not removed")
	}
}

// TestSetIsBounded: a flood of automatic bans displaces those that end first, and never an operator's.
func TestSetIsBounded(t *testing.T) {
	s := Set{max: 1000}
	mine := net("198.51.100.0/24")
	if _, _, _, err := s.Put(Ban{Network: mine, Origin: Operator}, noon); err != nil {
		t.Fatal(err)
	}
	displaced := 0
	for i := range 5000 {
		b := Ban{Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), Origin: Automatic, Until: noon.Add(time.Hour + time.Duration(i)*time.Second)}
		_, _, gone, err := s.Put(b, noon)
		if err != nil {
			t.Fatal(err)
		}
		displaced += len(gone)
		if s.Len() > 1000 {
			t.Fatal("too many")
		}
	}
	if s.Len()+displaced != 5001 {
		t.Errorf("%d and %d", s.Len(), displaced)
	}
	if _, banned := s.Banned(netip.MustParseAddr("198.51.100.1"), noon); !banned {
		t.Error("the operator's ban went")
	}
	if _, banned := s.Banned(netip.AddrFrom4([4]byte{10, 0, 4999 >> 8, 4999 & 255}), noon); !banned {
		t.Error("the latest went")
	}
	full := Set{max: 1}
	_, _, _, _ = full.Put(Ban{Network: mine, Origin: Operator}, noon)
	if _, _, _, err := full.Put(Ban{Network: net("10.0.0.0/8"), Origin: Operator}, noon); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		if p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" || p.Bits() < 8 {
			t.Fatalf("%q: %v", s, p)
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Fatalf("%q: %v is read as %v, %v", s, p, again, err)
		}
		var set Set
		if _, _, _, err := set.Put(Ban{Network: p}, noon); err != nil {
			t.Fatal(err)
		}
		if b, banned := set.Banned(p.Addr(), noon); !banned || b.Network != p {
			t.Fatalf("%v does not ban %v", p, p.Addr())
		}
	})
}

func BenchmarkBanned(b *testing.B) {
	for _, c := range []struct {
		name    string
		n       int
		lengths []int
	}{{"none", 0, []int{32}}, {"100000 of one length", 100_000, []int{32}}, {"100000 of four lengths", 100_000, []int{32, 24, 20, 16}}} {
		b.Run(c.name, func(b *testing.B) {
			var s Set
			for i := range c.n {
				p, _ := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).Prefix(c.lengths[i%len(c.lengths)])
				_, _, _, _ = s.Put(Ban{Network: p, Origin: Automatic, Until: noon.Add(time.Hour)}, noon)
			}
			a := netip.MustParseAddr("192.0.2.77")
			b.ReportAllocs()
			for b.Loop() {
				if _, banned := s.Banned(a, noon); banned {
					b.Fatal("banned")
				}
			}
		})
	}
}
