package imap_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/test/dialogue"
)

// A client with a network of its own in IPv6 is one client; neighbours in IPv4 are not.
func TestConnectionsPerSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		config := testConfig(s)
		config.MaxConnsPerIP = 1
		srv := newServer(s, config)
		l := dialogue.Listen()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { _ = srv.Serve(ctx, l, imap.Secure) }() // ends with ctx
		for _, c := range []struct{ from, want string }{
			{"2001:db8::1", "* OK"}, {"2001:db8::2", "* BYE"}, {"2001:db8:0:1::1", "* OK"},
			{"192.0.2.1", "* OK"}, {"192.0.2.2", "* OK"}, {"192.0.2.1", "* BYE"},
		} {
			conn, err := l.DialFrom(net.ParseIP(c.from))
			if err != nil {
				t.Fatal(err)
			}
			newPeer(t, conn).until(c.want)
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
