package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/dns/dnstest"
)

const zone = `
example.test.      3600 IN MX 20 mx2.example.test.
example.test.      3600 IN MX 10 MX1.Example.Test.
example.test.      60   IN A  192.0.2.80
mx1.example.test.  300  IN A    192.0.2.1
mx1.example.test.  100  IN AAAA 2001:db8::1
mx2.example.test.  300  IN A    192.0.2.2
null.test.         300  IN MX 0 .
odd.test.          300  IN MX 10 a\032b.test.
alias.test.        50   IN CNAME middle.test.
middle.test.       500  IN CNAME example.test.
dead.test.         300  IN CNAME nowhere.example.test.
loop1.test.        300  IN CNAME loop2.test.
loop2.test.        300  IN CNAME loop1.test.
deep.sub.test.     300  IN A 192.0.2.3
txt.test.          300  IN TXT "v=spf1 " "-all"
txt.test.          300  IN TXT "quote\" back\\ byte\255"
zero.test.         0    IN A 192.0.2.9
9.2.0.192.in-addr.arpa. 300 IN PTR mail.example.test.
9.2.0.192.in-addr.arpa. 300 IN PTR evil\032[203.0.113.1].test.
8.2.0.192.in-addr.arpa. 300 IN PTR evil\032name.test.
`

// resolver makes one that asks s by pipes.
func resolver(s *dnstest.Server, o Options) *Resolver {
	o.Dial = s.Dial
	if o.Servers == nil {
		o.Servers = []string{"192.0.2.53:53"}
	}
	return New(o)
}

func TestLookupMX(t *testing.T) {
	s := dnstest.New(t, zone)
	r := resolver(s, Options{})
	for _, c := range []struct {
		domain string
		want   []MX
		kind   Kind
		err    bool
	}{
		{domain: "Example.Test.", want: []MX{{10, "mx1.example.test"}, {20, "mx2.example.test"}}},
		{domain: "alias.test", want: []MX{{10, "mx1.example.test"}, {20, "mx2.example.test"}}},
		{domain: "null.test", want: []MX{{0, ""}}},
		{domain: "mx1.example.test", kind: NoData, err: true},
		{domain: "sub.test", kind: NoData, err: true}, // an empty non-terminal
		{domain: "none.test", kind: NXDomain, err: true},
		{domain: "dead.test", kind: NXDomain, err: true},
		{domain: "loop1.test", kind: Temporary, err: true},
		{domain: "odd.test", kind: Invalid, err: true},
		{domain: "localhost", kind: NoData, err: true},
		{domain: "", kind: Invalid, err: true},
		{domain: "a..test", kind: Invalid, err: true},
		{domain: "a b.test", kind: Invalid, err: true},
		{domain: strings.Repeat("a", 64) + ".test", kind: Invalid, err: true},
		{domain: strings.Repeat("a.", 127) + "test", kind: Invalid, err: true},
	} {
		got, _, err := r.LookupMX(t.Context(), c.domain)
		if !reflect.DeepEqual(got, c.want) || (err != nil) != c.err || (c.err && KindOf(err) != c.kind) {
			t.Errorf("%q: %v %v, want %v %v", c.domain, got, err, c.want, c.kind)
		}
	}
}

func TestLookupIP(t *testing.T) {
	r := resolver(dnstest.New(t, zone), Options{})
	for _, c := range []struct {
		host string
		ip   IPVersions
		want string
	}{
		{"mx1.example.test", AnyIP, "[2001:db8::1 192.0.2.1]"},
		{"mx1.example.test", IPv4, "[192.0.2.1]"},
		{"mx1.example.test", IPv6, "[2001:db8::1]"},
		{"mx2.example.test", AnyIP, "[192.0.2.2]"},
		{"localhost", AnyIP, "[::1 127.0.0.1]"},
		{"x.LOCALHOST.", IPv4, "[127.0.0.1]"},
		{"mx2.example.test", IPv6, "no such record"},
		{"txt.test", AnyIP, "no such record"},
		{"none.test", AnyIP, "no such name"},
	} {
		got, _, err := r.LookupIP(t.Context(), c.host, c.ip)
		text := fmt.Sprint(got)
		if err != nil {
			text = KindOf(err).String()
		}
		if text != c.want {
			t.Errorf("%s: %s (%v), want %s", c.host, text, err, c.want)
		}
	}
}

func TestLookupTXTGivesBytes(t *testing.T) {
	r := resolver(dnstest.New(t, zone), Options{})
	got, _, err := r.LookupTXT(t.Context(), "txt.test")
	if want := []string{"v=spf1 -all", "quote\" back\\ byte\xff"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q %v", got, err)
	}
}

// A PTR record is a stranger's text: only names pass.
func TestLookupPTR(t *testing.T) {
	r := resolver(dnstest.New(t, zone), Options{})
	got, _, err := r.LookupPTR(t.Context(), netip.MustParseAddr("::ffff:192.0.2.9"))
	if err != nil || !reflect.DeepEqual(got, []string{"mail.example.test"}) {
		t.Errorf("%q %v", got, err)
	}
	if _, _, err := r.LookupPTR(t.Context(), netip.MustParseAddr("192.0.2.8")); KindOf(err) != NoData {
		t.Error(err)
	}
	if got := reverse(netip.MustParseAddr("2001:db8::1")); got != "1."+strings.Repeat("0.", 23)+"8.b.d.0.1.0.0.2.ip6.arpa" {
		t.Error(got)
	}
}

func TestLookupNS(t *testing.T) {
	r := resolver(dnstest.New(t, "ns.test. 60 IN NS NS1.example.test.\nns.test. 60 IN NS bad!name.\n"), Options{})
	got, _, err := r.LookupNS(t.Context(), "ns.test")
	if err != nil || !reflect.DeepEqual(got, []string{"ns1.example.test"}) {
		t.Errorf("%q %v", got, err)
	}
	if _, _, err := r.LookupNS(t.Context(), "none.test"); KindOf(err) != NXDomain {
		t.Error(err)
	}
}

func TestMeta(t *testing.T) {
	s := dnstest.New(t, zone)
	s.SetAuthentic(true)
	r := resolver(s, Options{})
	_, meta, err := r.LookupMX(t.Context(), "alias.test")
	if want := (Meta{Canonical: "example.test", Authentic: true, TTL: 50 * time.Second}); err != nil || meta != want {
		t.Errorf("%+v %v", meta, err)
	}
	_, meta, err = r.LookupIP(t.Context(), "mx1.example.test", AnyIP)
	if err != nil || meta.TTL != 100*time.Second || !meta.Authentic {
		t.Errorf("%+v %v", meta, err)
	}
}

// Every way to answer badly is either overcome or temporary; never "no such name".
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault dnstest.Fault
		name  string
		ok    bool
		tcp   bool
	}{
		{dnstest.Silent, "silent", false, false},
		{dnstest.ServFail, "servfail", false, false},
		{dnstest.Refused, "refused", false, false},
		{dnstest.Truncated, "truncated", true, true},
		{dnstest.CutOff, "cut off", false, true},
		{dnstest.Garbage, "garbage", false, false},
		{dnstest.WrongID, "wrong id", false, false},
		{dnstest.Spoofed, "spoofed", true, false},
		{dnstest.Lame, "lame", false, false},
		{dnstest.NoEDNS, "no EDNS", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := dnstest.New(t, zone)
				s.SetFault("", c.fault)
				r := resolver(s, Options{Timeout: time.Second, Attempts: 3})
				begin := time.Now()
				mxs, _, err := r.LookupMX(t.Context(), "example.test")
				if c.ok != (err == nil) || (c.ok && len(mxs) != 2) || (!c.ok && !IsTemporary(err)) {
					t.Errorf("%v %v", mxs, err)
				}
				if took := time.Since(begin); took > 3*time.Second {
					t.Errorf("took %v", took)
				}
				if used := s.Networks()["tcp"] > 0; used != c.tcp {
					t.Errorf("TCP used: %v", used)
				}
			})
		})
	}
}

func TestAliasWithoutItsTargetIsAskedFor(t *testing.T) {
	s := dnstest.New(t, zone)
	s.SetFault("alias.test", dnstest.CNAMEOnly)
	r := resolver(s, Options{CacheEntries: 10})
	mxs, meta, err := r.LookupMX(t.Context(), "alias.test")
	if err != nil || len(mxs) != 2 || meta.Canonical != "example.test" || meta.TTL != 50*time.Second {
		t.Errorf("%v %+v %v", mxs, meta, err)
	}
	for _, name := range []string{"loop1.test", "loop2.test"} {
		s.SetFault(name, dnstest.CNAMEOnly)
	}
	if _, _, err := r.LookupMX(t.Context(), "loop1.test"); !IsTemporary(err) || !errors.Is(err, errLoop) {
		t.Errorf("%v", err)
	}
}

// If one kind of address is there, the other's failure does not count; if not, it might have been there.
func TestOneAddressFamilyFails(t *testing.T) {
	s := dnstest.New(t, "four.test. IN A 192.0.2.1\ntext.test. IN TXT x\n")
	r := New(Options{Servers: []string{"192.0.2.53:53"}, Attempts: 1, Timeout: time.Second, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := s.Dial(ctx, network, addr)
		return &failAAAA{Conn: conn}, err
	}})
	if got, _, err := r.LookupIP(t.Context(), "four.test", AnyIP); err != nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
	if _, _, err := r.LookupIP(t.Context(), "text.test", AnyIP); !IsTemporary(err) {
		t.Errorf("%v", err)
	}
}

// failAAAA breaks connections that ask for AAAA.
type failAAAA struct{ net.Conn }

func (c *failAAAA) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "\x04test\x00\x00\x1c") {
		return 0, errors.New("broken")
	}
	return c.Conn.Write(p)
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.New(t, zone+"soa.test. 900 IN SOA ns.test. h.test. 1 1 1 1 120\n")
		r := resolver(s, Options{CacheEntries: 100, MaxTTL: 30 * time.Minute})
		asked := func(key string) int { return s.Queries()[key] }
		look := func(name string) {
			t.Helper()
			if _, _, err := r.LookupIP(t.Context(), name, IPv4); err != nil && !IsNotFound(err) {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name string
			ttl  time.Duration // within it one question, after it another
		}{{"mx1.example.test", 300 * time.Second}, {"none.test", 120 * time.Second}, {"txt.test", 120 * time.Second}} {
			look(c.name)
			look(strings.ToUpper(c.name) + ".")
			time.Sleep(c.ttl - time.Second)
			look(c.name)
			if n := asked(c.name + " A"); n != 1 {
				t.Errorf("%s asked %d times within its TTL", c.name, n)
			}
			time.Sleep(time.Second)
			look(c.name)
			if n := asked(c.name + " A"); n != 2 {
				t.Errorf("%s asked %d times after its TTL", c.name, n)
			}
		}
		look("zero.test")
		look("zero.test")
		if n := asked("zero.test A"); n != 2 {
			t.Errorf("TTL 0 was cached: %d", n)
		}
		// The longest TTL of ours is shorter than the record's hour.
		for range 2 {
			if _, _, err := r.LookupMX(t.Context(), "example.test"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(31 * time.Minute)
		}
		if n := asked("example.test MX"); n != 2 {
			t.Errorf("kept beyond MaxTTL: %d", n)
		}
		// A temporary failure is not remembered.
		s.SetFault("mx2.example.test", dnstest.ServFail)
		if _, _, err := r.LookupIP(t.Context(), "mx2.example.test", IPv4); !IsTemporary(err) {
			t.Fatal(err)
		}
		s.SetFault("mx2.example.test", dnstest.None)
		look("mx2.example.test")
		// Absence without SOA must not be.
		s.SetFault("gone.test", dnstest.NoSOA)
		look("gone.test")
		look("gone.test")
		if n := asked("gone.test A"); n != 2 {
			t.Errorf("absence without SOA was cached: %d", n)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(3)
	now := time.Unix(0, 0)
	put := func(name string) { c.put(question{name, 1}, result{ttl: time.Hour, canonical: name}, now) }
	put("a")
	put("b")
	put("c")
	if _, ok := c.get(question{"a", 1}, now); !ok {
		t.Fatal("a is gone")
	}
	put("d")
	if _, ok := c.get(question{"b", 1}, now); ok || c.len() != 3 {
		t.Error("the least recently used is still there")
	}
	if _, ok := c.get(question{"a", 1}, now); !ok {
		t.Error("the recently used is gone")
	}
	none := newCache(0)
	none.put(question{"a", 1}, result{ttl: time.Hour}, now)
	if none.len() != 0 {
		t.Error("a cache of no entries keeps one")
	}
}

// Many who ask the same at once make one question; if the first gives up, the rest still get an answer.
func TestSharedQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.New(t, zone)
		release := make(chan struct{})
		r := New(Options{Servers: []string{"192.0.2.53:53"}, Timeout: time.Hour, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			select {
			case <-release:
				return s.Dial(ctx, network, addr)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}})
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := r.LookupMX(first, "example.test"); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if mxs, _, err := r.LookupMX(t.Context(), "example.test"); err != nil || len(mxs) != 2 {
					t.Errorf("%v %v", mxs, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		wg.Wait()
		if n := s.Queries()["example.test MX"]; n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A dead server costs its time-out once; then the one that answered is asked first.
func TestDeadServerCostsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alive, dead := dnstest.New(t, zone), dnstest.New(t, zone)
		dead.SetFault("", dnstest.Silent)
		r := New(Options{Servers: []string{"192.0.2.1:53", "192.0.2.2:53"}, Timeout: time.Second, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "192.0.2.1:53" {
				return dead.Dial(ctx, network, addr)
			}
			return alive.Dial(ctx, network, addr)
		}})
		begin := time.Now()
		for range 10 {
			if _, _, err := r.LookupMX(t.Context(), "example.test"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.New(t, zone)
		s.SetFault("", dnstest.Silent)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, _, err := resolver(s, Options{Timeout: time.Minute}).LookupMX(ctx, "example.test")
		if !errors.Is(err, context.DeadlineExceeded) || !IsTemporary(err) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// The same over real sockets, each question from a port of its own.
func TestRealSockets(t *testing.T) {
	s := dnstest.New(t, zone)
	s.SetFault("mx2.example.test", dnstest.Truncated)
	r := New(Options{Servers: []string{s.Listen(t)}, CacheEntries: 10})
	if mxs, _, err := r.LookupMX(t.Context(), "example.test"); err != nil || len(mxs) != 2 {
		t.Errorf("%v %v", mxs, err)
	}
	if ips, _, err := r.LookupIP(t.Context(), "mx2.example.test", IPv4); err != nil || len(ips) != 1 || s.Networks()["tcp"] != 1 {
		t.Errorf("%v %v %v", ips, err, s.Networks())
	}
}

func TestParseConf(t *testing.T) {
	text := "# nameserver 192.0.2.1\nnameserver 192.0.2.2 # comment\n\tnameserver\t2001:db8::1\nnameserver fe80::1%eth0\nnameserver mx.test\nsearch test\nnameserver\n"
	want := []string{"192.0.2.2:53", "[2001:db8::1]:53", "[fe80::1%eth0]:53"}
	if got := parseConf(text); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if got := parseConf(strings.Repeat("nameserver 192.0.2.1\n", 100)); len(got) != maxServers {
		t.Errorf("%d servers", len(got))
	}
	if got := SystemResolvers("/nonexistent"); !reflect.DeepEqual(got, []string{"127.0.0.1:53"}) {
		t.Errorf("%q", got)
	}
}
