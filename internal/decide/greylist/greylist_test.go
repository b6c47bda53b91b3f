package greylist

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

const day = 24 * time.Hour

var start = time.Unix(1_800_000_000, 0)

func settings() Settings {
	return Settings{Delay: 5 * time.Minute, RetryWindow: 2 * day, Lifetime: 35 * day, AutoAllow: 3, Max: 1000}
}

func addr(s string) address.Address {
	if s == "" {
		return address.Address{}
	}
	local, domain, _ := strings.Cut(s, "@")
	return address.Address{Local: local, Domain: domain}
}

func attempt(client, name, from, to string) Attempt {
	return Attempt{Client: netip.MustParseAddr(client), Name: name, Sender: addr(from), Recipient: addr(to)}
}

// A triplet's life, from somebody who is new to somebody who is known, over virtual weeks.
func TestTriplet(t *testing.T) {
	l, now := New(settings()), start
	for i, step := range []struct {
		after  time.Duration
		client string
		want   string
	}{
		{0, "192.0.2.1", "new 5m0s"},
		{time.Minute, "192.0.2.1", "too early 4m0s"},
		{time.Minute, "192.0.2.200", "too early 3m0s"}, // its neighbour
		{0, "192.0.3.1", "new 5m0s"},
		{3 * time.Minute, "192.0.2.7", "came again"},
		{0, "192.0.2.1", "known triplet"},
		{30 * day, "192.0.2.1", "known triplet"},
		{30 * day, "192.0.2.1", "known triplet"}, // each message prolongs it
		{0, "192.0.3.1", "new 5m0s"},             // the other came too late
		{36 * day, "192.0.2.1", "new 5m0s"},
		{2 * day, "192.0.2.1", "new 5m0s"},
		{2*day - time.Second, "192.0.2.1", "came again"},
		{0, "2001:db8::1", "new 5m0s"},
		{5 * time.Minute, "2001:db8::ffff:1", "came again"},
		{0, "2001:db8:0:1::1", "new 5m0s"},
	} {
		now = now.Add(step.after)
		a := attempt(step.client, "", "a@sender.example", "b@example.test")
		before := l.Len()
		dry := l.Check(now, a, true)
		if l.Len() != before {
			t.Error("a session that is only thought of is remembered")
		}
		v := l.Check(now, a, false)
		got := v.Why
		if !v.Pass {
			got += fmt.Sprint(" ", v.Wait)
		}
		if got != step.want || v != dry {
			t.Errorf("step %d: %s, want %s; only thought of: %+v", i, got, step.want, dry)
		}
	}
}

func TestNetworkThatCameAgain(t *testing.T) {
	l, now := New(settings()), start
	send := func(n int) Verdict {
		return l.Check(now, attempt("192.0.2.1", "", fmt.Sprintf("s%c@sender.example", 'a'+n), "b@example.test"), false)
	}
	for n := range 10 {
		send(n)
	}
	now = now.Add(10 * time.Minute)
	for n := range 10 { // a burst counts once
		if v := send(n); !v.Pass {
			t.Errorf("%d: %+v", n, v)
		}
	}
	for n := 10; n < 12; n++ {
		now = now.Add(2 * time.Hour)
		if v := send(n); v.Pass {
			t.Errorf("%d: known after %d times", n, n-9)
		}
		now = now.Add(10 * time.Minute)
		send(n)
	}
	if v := send(20); v.Why != "known network" {
		t.Errorf("%+v", v)
	}
	// Written down and read again.
	put, removed := l.Drain(now)
	l.Undrain(put, removed)
	if again, _ := l.Drain(now); len(again) != len(put) || len(put) == 0 {
		t.Errorf("%d entries, then %d", len(put), len(again))
	}
	l = New(settings())
	for _, i := range put {
		l.Restore(now, i)
	}
	if v := send(21); v.Why != "known network" {
		t.Errorf("after a restart: %+v", v)
	}
	now = now.Add(36 * day)
	if v := send(22); v.Pass {
		t.Error("known for ever")
	}
}

func TestBounded(t *testing.T) {
	l := New(settings())
	for i := range 5000 {
		l.Check(start.Add(time.Duration(i)*time.Millisecond), attempt("192.0.2.1", "", fmt.Sprintf("%s@sender.example", strings.Repeat("x", i%200+1)),
			fmt.Sprintf("u%d@example.test", i)), false)
	}
	if l.Len() > 2000 {
		t.Errorf("%d entries", l.Len())
	}
}

func TestSite(t *testing.T) {
	for _, c := range [][3]string{
		{"192.0.2.1", "", "192.0.2.0/24"},
		{"::ffff:192.0.2.1", "", "192.0.2.0/24"},
		{"2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"},
		{"192.0.2.1", "Mail-12.Outbound.Provider.co.uk.", "provider.co.uk"},
		{"192.0.2.1", "host-192-0-2-1.dsl.provider.example", "192.0.2.0/24"},
		{"192.0.2.1", "com", "192.0.2.0/24"},
	} {
		if got := Site(netip.MustParseAddr(c[0]), c[1]); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

func TestSender(t *testing.T) {
	for in, want := range map[string]string{
		"":                                                      "<>",
		"Alice@Sender.Example":                                  "alice@sender.example",
		"alice+x1@s.example":                                    "alice@s.example",
		"list-bounces-123-4@s.example":                          "list-bounces-#-#@s.example",
		"bounce-12-bob=example.test@s.example":                  "bounce-#=@s.example",
		"bounces.carol=example.test@s.example":                  "bounces=@s.example",
		"m.0a1b2c3d4e5f.x@s.example":                            "m.#.x@s.example",
		"prvs=1234abcdef=alice@s.example":                       "alice@s.example",
		"SRS0=HHH=TT=first.example=al@fwd.test":                 "srs al@first.example fwd.test",
		"srs1=HHH=other.test==HHH=TT=first.example=al@fwd.test": "srs al@first.example fwd.test",
		"prvs=@s.example":                                       "prvs@s.example",
		"srs0=@s.example":                                       "=@s.example",
		"face@s.example":                                        "face@s.example",
	} {
		if got := Sender(addr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestPoints(t *testing.T) {
	client := netip.MustParseAddr("198.51.100.23")
	for _, c := range []struct {
		s    Suspect
		want int
	}{
		{Suspect{}, 2},
		{Suspect{Unknown: true, Score: 3}, 3},
		{Suspect{Reverse: "mx.example.org"}, 1},
		{Suspect{Reverse: "23.100.51.198.isp.example"}, 2},
		{Suspect{Name: "mx.example.org"}, 0},
		{Suspect{Name: "mx.example.org", Score: -2}, -2},
		{Suspect{Name: "mx2.pool.example.org"}, 2},
		{Suspect{Name: "mail.pool.example.org"}, 0},
		{Suspect{Name: "static-198-51-100-23.isp.example"}, 0},
		{Suspect{Name: "198-51-100-23.isp.example"}, 2},
		{Suspect{Name: "h23.100.51.isp.example"}, 2},
		{Suspect{Name: "c6336417.isp.example"}, 2},
		{Suspect{Name: "ip051.100.023.isp.example"}, 2},
		{Suspect{Name: "dyn12.isp.example"}, 2},
		{Suspect{Name: "node-1-2.isp.example"}, 0},
		{Suspect{Name: "dsl.example"}, 0}, // the domain's own name says nothing
	} {
		c.s.Client = client
		if got := c.s.Points(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.s, got, c.want)
		}
	}
}
