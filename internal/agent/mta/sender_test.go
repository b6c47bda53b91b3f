package mta

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Recipients whose copies have different reverse-paths never share a transaction.
func TestSendersApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		tk := task("a@example.com", "b@example.com", "c@example.com", "d@example.com")
		own, null := parse("list-owner@here.example"), address.Address{}
		tk.Recipients[1].Sender, tk.Recipients[3].Sender, tk.Recipients[2].Sender = &own, &own, &null
		for no, got := range deliver(t, start(t, w, nil), tk) {
			if !strings.HasPrefix(got, "relayed") {
				t.Errorf("%d: %s", no, got)
			}
		}
		var dialogue []string
		for _, line := range w.log {
			if strings.HasPrefix(line, "MAIL") || strings.HasPrefix(line, "RCPT") {
				dialogue = append(dialogue, strings.Fields(line)[1])
			}
		}
		want := "FROM:<> TO:<c@example.com> FROM:<a@example.org> TO:<a@example.com> FROM:<list-owner@here.example> TO:<b@example.com> TO:<d@example.com>"
		if got := strings.Join(dialogue, " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestGeneric(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}, "127.0.0.1:24": {}}}
		var fail error
		a := start(t, w, func(s *Settings, _ *Options) {
			s.Generic = func(_ context.Context, a address.Address) (address.Address, error) {
				if a.Domain == "example.org" {
					a.Domain = "public.example"
				}
				return a, fail
			}
		})
		deliver(t, a, task("b@example.com"))
		if w.said("MAIL FROM:<a@public.example>") != 1 || w.said("RCPT TO:<b@example.com>") != 1 {
			t.Errorf("%q", w.log)
		}
		deliver(t, a, via(task("b@example.com"), flow.LMTP, "[127.0.0.1]")) // smtp_generic_maps are smtp's
		if w.said("MAIL FROM:<a@example.org>") != 1 {
			t.Errorf("%q", w.log)
		}
		fail = status.Temp(451, 3, 0, "Temporary lookup failure").With("smtp_generic_maps", errors.New("down"))
		if got := deliver(t, a, task("b@example.com"))[0]; !strings.HasPrefix(got, "deferred") {
			t.Error(got)
		}
	})
}

func TestRelayhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: zone{mx: map[string][]dns.MX{"relay.example": {{Host: "m"}}}, ip: map[string][]string{"m": {"192.0.2.3"}, "example.com": {"192.0.2.4"}}},
			servers: map[string]*script{"192.0.2.3:26": {}, "192.0.2.4:25": {}}}
		a := start(t, w, func(s *Settings, _ *Options) { s.Relayhost = "relay.example:26" })
		deliver(t, a, task("b@example.com"))
		if w.said("connect 192.0.2.3:26") != 1 {
			t.Errorf("%q", w.log)
		}
		deliver(t, a, via(task("b@example.com"), flow.SMTP, "example.com")) // transport_maps said "smtp:"
		if w.said("connect 192.0.2.4:25") != 1 {
			t.Errorf("%q", w.log)
		}
	})
}

// A delivery agent of this host, by a socket in the file system.
func TestLMTPOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			w.serve(c, &script{})
		}
	}()
	got := deliver(t, start(t, w, nil), via(task("a@example.com"), flow.LMTP, "unix:"+path))
	if want := "delivered 2.0.0 localhost[" + path + "]: "; !strings.HasPrefix(got[0], want) {
		t.Errorf("got  %s\nwant %s…", got[0], want)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if w.said("LHLO") != 1 || w.said("RCPT TO:<a@example.com>") != 1 {
		t.Errorf("%q", w.log)
	}
	got = deliver(t, start(t, w, nil), via(task("a@example.com"), flow.LMTP, "unix:"+path))
	if !strings.HasPrefix(got[0], "deferred 4.4.1 none: connection to localhost[") {
		t.Error(got[0])
	}
	if (hop{name: "x", addr: netip.MustParseAddrPort("192.0.2.1:25")}).String() != "x[192.0.2.1]:25" {
		t.Error("hop")
	}
}

// Recipients that the queue has put together go each their own way: it knows routes by names, which may be those of yesterday.
func TestWaysApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{mx: map[string][]dns.MX{"a.example": {{Host: "ma"}}, "b.example": {{Host: "mb"}}},
			ip: map[string][]string{"ma": {"192.0.2.1"}, "mb": {"192.0.2.2"}, "r": {"192.0.2.3"}}}
		servers := map[string]*script{"192.0.2.1:25": {}, "192.0.2.2:25": {}, "192.0.2.3:25": {}}
		for _, c := range []struct{ relayhost, hop, want string }{
			{"", "", "192.0.2.1:25 192.0.2.2:25"},             // the smart host of yesterday is gone
			{"[r]", "b.example", "192.0.2.3:25 192.0.2.2:25"}, // one of them has a next hop of its own
			{"[r]", "", "192.0.2.3:25"},                       // together, as they are meant to be
			{"", "a.example", "192.0.2.1:25"},                 // the same host, on one connection or another
		} {
			w := &world{zone: z, servers: servers}
			a := start(t, w, func(s *Settings, _ *Options) { s.Relayhost = c.relayhost })
			tk := task("x@a.example", "y@b.example")
			tk.Recipients[1].NextHop = c.hop
			for no, got := range deliver(t, a, tk) {
				if !strings.HasPrefix(got, "relayed") {
					t.Errorf("%+v, %d: %s", c, no, got)
				}
			}
			var hosts []string
			for _, line := range w.log {
				if to, ok := strings.CutPrefix(line, "connect "); ok && !slices.Contains(hosts, to) {
					hosts = append(hosts, to)
				}
			}
			if got := strings.Join(hosts, " "); got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
		}
	})
}
