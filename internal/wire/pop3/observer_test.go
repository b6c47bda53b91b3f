package pop3_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/pop3"
	"github.com/postrider/postrider/test/dialogue"
)

// witness remembers what the engine tells of one connection.
type witness struct {
	connected, loggedIn, ended []pop3.Peer
	stats                      pop3.Stats
	kick                       func(string)
	refusal                    error // of logins
}

func (w *witness) Connected(p pop3.Peer, kick func(string)) {
	w.connected, w.kick = append(w.connected, p), kick
}
func (w *witness) LoggedIn(p pop3.Peer) error {
	w.loggedIn = append(w.loggedIn, p)
	return w.refusal
}
func (w *witness) Ended(p pop3.Peer, s pop3.Stats) { w.ended, w.stats = append(w.ended, p), s }

// client is the other end, driven by hand.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

// begin serves a connection; wait returns when it has ended.
func begin(t *testing.T, srv *pop3.Server) (c *client, wait func()) {
	t.Helper()
	ours, theirs := dialogue.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(context.Background(), theirs, pop3.Secure)
	}()
	c = &client{t, ours, bufio.NewReader(ours)}
	c.want("+OK ")
	return c, func() { <-done }
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) want(prefix string) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if s, err := c.in.ReadString('\n'); err != nil || !strings.HasPrefix(s, prefix) {
		c.t.Fatalf("got %q, %v; want %q", s, err, prefix)
	}
}

func (c *client) login() {
	c.t.Helper()
	c.send("USER alice", "PASS secret word")
	c.want("+OK")
	c.want("+OK 4 messages")
}

// Each connection is told of once at its beginning and once at its end, with who it was, what it did and how it ended.
func TestObserver(t *testing.T) {
	for _, k := range []struct {
		name string
		talk func(c *client, w *witness)
		who  string
		why  pop3.End
		want pop3.Stats
	}{
		{"quit before login", func(c *client, _ *witness) { c.send("QUIT") }, "", pop3.EndLogout, pop3.Stats{Commands: 1}},
		{"quit", func(c *client, _ *witness) {
			c.login()
			c.send("RETR 1", "TOP 2 0", "DELE 1", "QUIT")
			_, _ = io.Copy(io.Discard, c)
		}, "alice", pop3.EndLogout, pop3.Stats{Commands: 6, Messages: 4, Bytes: 144, Tops: 1, TopBytes: 34, Retrieved: 1, RetrievedBytes: 51, Removed: 1}},
		{"lost", func(c *client, _ *witness) { c.login(); c.send("DELE 1"); c.want("+OK"); c.Close() },
			"alice", pop3.EndLost, pop3.Stats{Commands: 3, Messages: 4, Bytes: 144}},
		{"timeout", func(c *client, _ *witness) { _, _ = io.Copy(io.Discard, c) }, "", pop3.EndTimeout, pop3.Stats{}},
		{"kicked at rest", func(c *client, w *witness) {
			c.login()
			synctest.Wait()
			w.kick("Away with you")
			w.kick("again")
			c.want("-ERR [SYS/TEMP] Away with you")
		}, "alice", pop3.EndKicked, pop3.Stats{Commands: 2, Messages: 4, Bytes: 144}},
		{"kicked in the middle of a line", func(c *client, w *witness) {
			c.login()
			io.WriteString(c, "NO")
			synctest.Wait()
			w.kick("Away with you")
			_, _ = io.Copy(io.Discard, c)
		}, "alice", pop3.EndKicked, pop3.Stats{Commands: 3, Messages: 4, Bytes: 144}},
	} {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, w := newStore(), &witness{}
				config := testConfig(s)
				config.Observer = w
				c, wait := begin(t, newServer(s, config))
				k.talk(c, w)
				c.SetReadDeadline(time.Now().Add(time.Hour))
				_, _ = io.Copy(io.Discard, c)
				wait()
				c.Close()
				if len(w.connected) != 1 || len(w.ended) != 1 || w.ended[0].ID != w.connected[0].ID || w.ended[0].Identity.Name != k.who ||
					w.ended[0].Service != "pop3" || !w.ended[0].Remote.IsValid() || w.stats.Reason != k.why {
					t.Fatalf("connected %+v, ended %+v, %+v", w.connected, w.ended, w.stats)
				}
				got := w.stats
				got.Duration, got.In, got.Out, got.Reason = 0, 0, 0, ""
				if got != k.want {
					t.Errorf("%+v, want %+v", got, k.want)
				}
				if a := w.ended[0].Activity(); a.Commands > 0 && (a.In == 0 || a.Out == 0) || k.who != "" && a.Command == "" {
					t.Errorf("activity %+v", a)
				}
				if k.who != "" && (w.loggedIn[0].Identity.Name != k.who || w.loggedIn[0].Mechanism != "USER") {
					t.Errorf("logged in %+v", w.loggedIn)
				}
				if len(s.open) != 0 {
					t.Error("the maildrop is still held")
				}
			})
		})
	}
}

// A login that the observer refuses gets its words and lets go of the maildrop; who does not stop asking is sent away.
func TestObserverRefusesLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := newStore(), &witness{refusal: status.Temp(454, 7, 0, "Too many connections of this account")}
		config := testConfig(s)
		config.Observer = w
		c, wait := begin(t, newServer(s, config))
		for range 5 {
			c.send("AUTH PLAIN AGFsaWNlAHNlY3JldCB3b3Jk")
			c.want("-ERR [SYS/TEMP] Too many connections of this account")
			if len(s.open) != 0 {
				t.Error("the maildrop is still held")
			}
		}
		wait()
		if w.loggedIn[0].Mechanism != "PLAIN" || !w.ended[0].Identity.IsZero() || w.stats.Reason != pop3.EndLimit {
			t.Errorf("%+v %+v", w.ended, w.stats)
		}
	})
}

// Limits are in all and for a site: an IPv4 address or an IPv6 /64.
func TestConnectionLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		config := testConfig(s)
		config.MaxConns, config.MaxConnsPerIP = 3, 2
		srv := newServer(s, config)
		l := dialogue.Listen()
		served := make(chan error)
		go func() { served <- srv.Serve(context.Background(), l, pop3.StartTLS) }()
		var open []net.Conn
		dial := func(ip, want string) {
			t.Helper()
			c, err := l.DialFrom(net.ParseIP(ip))
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
			(&client{t, c, bufio.NewReader(c)}).want(want)
		}
		dial("2001:db8::1", "+OK")
		dial("2001:db8::2", "+OK")
		dial("2001:db8::3", "-ERR [SYS/TEMP] Too many connections from your address")
		dial("2001:db8:1::1", "+OK")
		dial("198.51.100.1", "-ERR [SYS/TEMP] Too many connections; try again later")
		open[0].Close()
		synctest.Wait()
		dial("198.51.100.1", "+OK")
		if n := srv.Connections(); n != 3 {
			t.Errorf("%d connections", n)
		}
		l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := srv.Shutdown(context.Background()); err != nil || srv.Connections() != 0 {
			t.Error(err)
		}
		for _, c := range open {
			c.Close()
		}
	})
}

// Shutdown tells those who rest, lets a command end, and cuts off who does not read.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.messages[2][1] = "Subject: long\r\n\r\n" + strings.Repeat("x\r\n", 100_000)
		srv := newServer(s, testConfig(s))
		idle, wait := begin(t, srv)
		idle.login()
		stuck, gone := begin(t, srv)
		stuck.send("USER bob", "PASS secret word", "RETR 1", "QUIT")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := srv.Shutdown(ctx); err == nil {
			t.Error("a session that was cut off is an error")
		}
		idle.want("-ERR [SYS/TEMP] Server is shutting down")
		wait()
		gone()
		late, theirs := dialogue.Pipe()
		srv.ServeConn(context.Background(), theirs, pop3.Secure)
		(&client{t, late, bufio.NewReader(late)}).want("-ERR [SYS/TEMP] Server is shutting down")
	})
}

// A client that never begins the TLS that it connected for is let go of.
func TestSilentBeforeTLS(t *testing.T) {
	server, _ := dialogue.TLS(t, "pop.example.test")
	for _, mode := range []pop3.Mode{pop3.Implicit, pop3.StartTLS} {
		synctest.Test(t, func(t *testing.T) {
			s, w := newStore(), &witness{}
			config := testConfig(s)
			config.Observer, config.TLS = w, server
			srv := newServer(s, config)
			ours, theirs := dialogue.Pipe()
			defer ours.Close()
			begin := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				srv.ServeConn(context.Background(), theirs, mode)
			}()
			if mode == pop3.StartTLS {
				c := &client{t, ours, bufio.NewReader(ours)}
				c.want("+OK")
				c.send("STLS")
				c.want("+OK")
			}
			<-done
			if took := time.Since(begin); took != 30*time.Second || w.stats.Reason != pop3.EndTLS {
				t.Errorf("after %v: %+v", took, w.stats)
			}
		})
	}
}

// What cannot be removed is told, and the connection ends as QUIT wants.
func TestUpdateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.broken = os.ErrPermission
		c, wait := begin(t, newServer(s, testConfig(s)))
		c.login()
		c.send("DELE 1", "QUIT")
		c.want("+OK")
		c.want("-ERR [SYS/TEMP] Some deleted messages not removed")
		wait()
		if len(s.messages[1]) != 4 {
			t.Error("messages are gone")
		}
	})
}

// What another session removes is gone here too, numbers stay, and mail that arrives is not seen until the next login.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c, wait := begin(t, newServer(s, testConfig(s)))
		c.login()
		s.remove(1, 101)
		s.messages[1][105] = "Subject: new\r\n\r\n"
		c.send("STAT", "RETR 1", "RETR 2")
		c.want("+OK 4 144")
		c.want("-ERR Message has been removed by another session")
		c.want("+OK 40 octets")
		c.send("RETR 5", "DELE 1", "DELE 3", "QUIT")
		_, _ = io.Copy(io.Discard, c)
		wait()
		if len(s.messages[1]) != 3 || len(s.seen) != 1 || s.seen[0] != 102 {
			t.Errorf("%d messages, seen %v", len(s.messages[1]), s.seen)
		}
	})
}

// A message that breaks off ends the connection without the dot that would call it complete.
func TestUnreadableInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := newStore(), &witness{}
		config := testConfig(s)
		config.Observer = w
		srv := pop3.New(torn{s}, newLog(), config)
		c, wait := begin(t, srv)
		c.login()
		c.send("RETR 1", "QUIT")
		c.SetReadDeadline(time.Now().Add(time.Minute))
		got, err := io.ReadAll(c.in)
		wait()
		if err != nil || !strings.HasPrefix(string(got), "+OK 45 octets\r\n") || strings.Contains(string(got), "\r\n.\r\n") || w.stats.Reason != pop3.EndDamaged {
			t.Errorf("%q %v %+v", got, err, w.stats)
		}
	})
}

// torn is a store whose messages end early.
type torn struct{ *store }

func (s torn) Open(ctx context.Context, id identity, add func(uint32, int64)) (pop3.Maildrop, error) {
	d, err := s.store.Open(ctx, id, add)
	return tornDrop{d}, err
}

type tornDrop struct{ pop3.Maildrop }

func (d tornDrop) Body(ctx context.Context, uid uint32, whole bool) (pop3.Body, error) {
	b, err := d.Maildrop.Body(ctx, uid, whole)
	return tornBody{b}, err
}

type tornBody struct{ pop3.Body }

func (b tornBody) ReadAt(p []byte, off int64) (int, error) {
	n, _ := b.Body.ReadAt(p, off)
	return min(n, 20), io.ErrUnexpectedEOF
}
