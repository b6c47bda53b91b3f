package imap_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

// witness remembers what the engine tells.
type witness struct {
	connected []imap.Peer
	ended     []imap.Peer
	stats     []imap.Stats
	logins    []sasl.Result
	origins   []sasl.Origin
}

func (w *witness) Connected(p imap.Peer) { w.connected = append(w.connected, p) }
func (w *witness) Ended(p imap.Peer, s imap.Stats) {
	w.ended, w.stats = append(w.ended, p), append(w.stats, s)
}

func (w *witness) login(ctx context.Context, r sasl.Result) {
	w.logins, w.origins = append(w.logins, r), append(w.origins, sasl.OriginOf(ctx))
}

// Each connection is told of once at its beginning and once at its end, with who it was and how it ended; each login with
// where it came from.
func TestObserver(t *testing.T) {
	for _, c := range []struct {
		name string
		talk func(p *peer)
		who  string
		why  imap.End
	}{
		{"logout", func(p *peer) {
			p.send("a LOGIN alice wrong")
			p.until("a NO")
			p.send("b LOGIN alice secret")
			p.until("b OK")
			p.send("c LOGOUT")
			p.until("c OK")
		}, "alice", imap.EndLogout},
		{"lost", func(p *peer) { p.Close() }, "", imap.EndLost},
		{"timeout", func(p *peer) { p.until("* BYE") }, "", imap.EndTimeout},
		{"nonsense", func(p *peer) {
			for range 6 {
				p.send("x NONSENSE")
			}
			p.until("* BYE")
		}, "", imap.EndLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := observe(t, c.talk)
				if len(w.connected) != 1 || len(w.ended) != 1 || w.connected[0].ID != w.ended[0].ID || w.ended[0].Service != "imap" ||
					w.ended[0].Remote.Addr().String() != "192.0.2.7" || w.ended[0].Identity.Name != c.who {
					t.Fatalf("connected %+v, ended %+v", w.connected, w.ended)
				}
				if st := w.stats[0]; st.Reason != c.why || st.Out == 0 || (st.In == 0) != (st.Commands == 0) {
					t.Errorf("stats %+v, want %s", st, c.why)
				}
				if c.who != "" && (len(w.logins) != 2 || w.logins[0].Name != "alice" || w.logins[0].Err == nil || w.logins[1].Identity.Name != "alice" ||
					w.origins[0].Failures != 0 || w.origins[1].Failures != 1 || w.origins[1].Session != w.ended[0].ID) {
					t.Errorf("logins %+v from %+v", w.logins, w.origins)
				}
			})
		})
	}
}

// observe runs one connection against a server and returns what was told of it.
func observe(t *testing.T, talk func(*peer)) *witness {
	s := newStore()
	w := &witness{}
	config := testConfig(s)
	config.Observer, config.SASL = w, sasl.NewServer(s, sasl.Options{Report: w.login})
	srv := newServer(s, config)
	l := dialogue.Listen()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = srv.Serve(ctx, l, imap.Secure) }() // ends with ctx
	conn, err := l.DialFrom(net.IPv4(192, 0, 2, 7))
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn)
	p.until("* OK")
	talk(p)
	conn.Close()
	synctest.Wait()
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	return w
}
