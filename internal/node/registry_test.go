package node

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/wire/sasl"
)

var registryStart = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func addConnection(r *registry, id, service, client string) *session {
	s := &session{id: id, service: service, client: netip.AddrPortFrom(netip.MustParseAddr(client), 1000), since: registryStart, kick: func(string) {}}
	r.connected(s)
	return s
}

// A hundred clients of one user, all at once: exactly as many as may get in, and other users are served.
func TestRegistryMemoryHundredClientsOfOneUser(t *testing.T) {
	r := newRegistry()
	const most = 20
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		in, told int
	)
	for i := range 100 {
		id := fmt.Sprint("imaps-", i)
		addConnection(r, id, "imaps", "192.0.2.1")
		group.Go(func() {
			_, err := r.loggedIn(id, sasl.Identity{Account: 1, Name: "alice"}, limits{perAccountAndAddress: most}, registryStart)
			mu.Lock()
			defer mu.Unlock()
			var full *tooMany
			switch {
			case err == nil:
				in++
			case !errors.As(err, &full) || !errors.Is(err, errSiteFull):
				t.Error(err)
			case full.tell:
				told++
			}
		})
	}
	group.Wait()
	if in != most || told != 1 {
		t.Errorf("%d logged in, %d lines for the log; want %d and 1", in, told, most)
	}
	addConnection(r, "bob", "imap", "192.0.2.1")
	if _, err := r.loggedIn("bob", sasl.Identity{Account: 2}, limits{perAccountAndAddress: most}, registryStart); err != nil {
		t.Error(err)
	}
	for i := range 100 {
		group.Go(func() { r.ended(fmt.Sprint("imaps-", i)) })
	}
	group.Wait()
	r.ended("bob")
	r.ended("never there")
	if len(r.sessions)+len(r.uses) != 0 {
		t.Errorf("left: %v %v", r.sessions, r.uses)
	}
}

// What counts together, and what does not.
func TestRegistryMemoryLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		service string
		client  string
		who     sasl.Identity
		want    error
	}{
		{"from the same address", "imap", "192.0.2.1", sasl.Identity{Account: 1}, errSiteFull},
		{"as IPv6 writes it", "imap", "::ffff:192.0.2.1", sasl.Identity{Account: 1}, errSiteFull},
		{"from another", "imap", "192.0.2.9", sasl.Identity{Account: 1}, nil},
		{"in the same /64", "imap", "2001:db8::99", sasl.Identity{Account: 1}, errSiteFull},
		{"in another /64", "imap", "2001:db8:0:1::1", sasl.Identity{Account: 1}, nil},
		{"another protocol", "pop3s", "192.0.2.1", sasl.Identity{Account: 1}, nil},
		{"another account", "imap", "192.0.2.1", sasl.Identity{Account: 2}, nil},
		{"a master", "imap", "192.0.2.1", sasl.Identity{Account: 1, Master: "root"}, nil},
		{"the account is full everywhere", "submission", "192.0.2.77", sasl.Identity{Account: 3}, errAccountFull},
		{"but not for a master", "submission", "192.0.2.77", sasl.Identity{Account: 3, Master: "root"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegistry()
			l := limits{perAccount: 4, perAccountAndAddress: 2}
			for i, client := range []string{"192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2"} {
				id := fmt.Sprint("a", i)
				addConnection(r, id, "imaps", client)
				if _, err := r.loggedIn(id, sasl.Identity{Account: 1}, limits{perAccount: 9, perAccountAndAddress: 2}, registryStart); err != nil {
					t.Fatal(err)
				}
				id = fmt.Sprint("c", i)
				addConnection(r, id, "submissions", fmt.Sprint("192.0.2.", i))
				if _, err := r.loggedIn(id, sasl.Identity{Account: 3}, l, registryStart); err != nil {
					t.Fatal(err)
				}
			}
			addConnection(r, "x", c.service, c.client)
			l.perAccount = 5
			if c.who.Account == 3 {
				l.perAccount = 4
			}
			if _, err := r.loggedIn("x", c.who, l, registryStart); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// A refusal is put into the log at once and then once a minute, with the number of those between.
func TestRegistryMemoryTellsSeldom(t *testing.T) {
	r := newRegistry()
	addConnection(r, "a", "imap", "192.0.2.1")
	one := sasl.Identity{Account: 1}
	if _, err := r.loggedIn("a", one, limits{perAccount: 1}, registryStart); err != nil {
		t.Fatal(err)
	}
	if _, err := r.loggedIn("gone", one, limits{}, registryStart); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		after time.Duration
		tell  bool
		n     int
	}{{0, true, 1}, {time.Second, false, 1}, {59 * time.Second, false, 2}, {time.Minute, true, 3}, {61 * time.Second, false, 1}} {
		id := fmt.Sprint(i)
		addConnection(r, id, "imap", "192.0.2.1")
		_, err := r.loggedIn(id, one, limits{perAccount: 1}, registryStart.Add(c.after))
		var full *tooMany
		if !errors.As(err, &full) || full.tell != c.tell || full.refused != c.n {
			t.Errorf("after %v: %+v, want %+v", c.after, full, c)
		}
	}
}

func TestRegistryMemorySelection(t *testing.T) {
	r := newRegistry()
	for i, c := range []struct{ id, service, client string }{{"imaps-1", "imaps", "192.0.2.1"}, {"smtp-1", "smtp", "2001:db8::1"},
		{"submission-2", "submission", "::ffff:192.0.2.7"}, {"pop3-3", "pop3", "192.0.2.200"}} {
		s := addConnection(r, c.id, c.service, c.client)
		s.since = registryStart.Add(time.Duration(-i) * time.Second)
		if i != 1 {
			if _, err := r.loggedIn(c.id, sasl.Identity{Account: int64(i)}, limits{}, registryStart); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		f    selection
		want string
	}{
		{selection{}, "pop3-3 submission-2 smtp-1 imaps-1 "},
		{selection{service: "imap"}, "imaps-1 "},
		{selection{service: "imaps"}, "imaps-1 "},
		{selection{service: "smtp"}, "smtp-1 "},
		{selection{account: 2}, "submission-2 "},
		{selection{client: netip.MustParsePrefix("192.0.2.0/25")}, "submission-2 imaps-1 "},
		{selection{client: netip.MustParsePrefix("2001:db8::/32")}, "smtp-1 "},
		{selection{ids: []string{"smtp-1", "pop3-3", "no-9"}}, "pop3-3 smtp-1 "},
		{selection{ids: []string{"smtp-1"}, service: "imap"}, ""},
	} {
		got := ""
		for _, s := range r.list(c.f) {
			got += s.id + " "
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.f, got, c.want)
		}
	}
}
