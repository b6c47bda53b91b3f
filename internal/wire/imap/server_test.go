package imap_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/imaptest"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/test/dialogue"
)

// peer is a hand-driven client.
type peer struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func newPeer(t *testing.T, c net.Conn) *peer { return &peer{t, c, bufio.NewReader(c)} }

func (p *peer) send(s string) { fmt.Fprintf(p, "%s\r\n", s) }

// until reads lines up to one with this beginning, and returns it.
func (p *peer) until(prefix string) string {
	p.t.Helper()
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
	}
}

func TestServeLimitsAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		config := testConfig(s)
		config.MaxConns, config.MaxConnsPerIP = 3, 2
		srv := newServer(s, config)
		l := dialogue.Listen()
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ctx, l, imap.Secure) }()
		connect := func(ip byte) *peer {
			c, err := l.DialFrom(net.IPv4(192, 0, ip, 1))
			if err != nil {
				t.Fatal(err)
			}
			return newPeer(t, c)
		}
		a, b := connect(1), connect(1)
		a.until("* OK")
		b.until("* OK")
		connect(1).until("* BYE [UNAVAILABLE] Too many connections from your address")
		c := connect(2)
		c.until("* OK")
		connect(3).until("* BYE [UNAVAILABLE] Too many connections; try again later")
		b.Close()
		synctest.Wait()
		if n := srv.Connections(); n != 2 {
			t.Fatalf("%d connections", n)
		}
		connect(1).until("* OK")

		a.send("a LOGIN alice secret")
		a.until("a OK")
		a.send("b SELECT INBOX")
		a.until("b OK")
		a.send("c IDLE")
		a.until("+ idling")
		cancel()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		// Serve has ended, connections go on until Shutdown; then they are told.
		c.send("x NOOP")
		c.until("x OK")
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		a.until("* BYE [UNAVAILABLE] Server is shutting down")
		c.until("* BYE [UNAVAILABLE] Server is shutting down")
		if n := s.Watchers(); n != 0 {
			t.Fatalf("%d watches left", n)
		}
	})
}

// TestShutdownCutsOff: who does not end in time is ended.
func TestShutdownCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		srv := newServer(s, testConfig(s))
		client, server := dialogue.Pipe()
		go srv.ServeConn(context.Background(), server, imap.Secure)
		p := newPeer(t, client)
		p.send("a LOGIN alice secret")
		p.until("a OK")
		p.send("b APPEND INBOX {100}")
		p.until("+ ")
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if srv.Connections() != 0 {
			t.Fatal("still there")
		}
	})
}

// TestConfigOfLaterConnections: a connection keeps the configuration it began with.
func TestConfigOfLaterConnections(t *testing.T) {
	s := newStore()
	srv := newServer(s, testConfig(s))
	connect := func() *peer {
		client, server := dialogue.Pipe()
		go srv.ServeConn(context.Background(), server, imap.Secure)
		t.Cleanup(func() { client.Close() })
		return newPeer(t, client)
	}
	before := connect()
	before.until("* OK")
	config := testConfig(s)
	config.Hostname, config.ID = "new.example.test", nil
	srv.SetConfig(config)
	if line := connect().until("* OK"); !strings.Contains(line, "new.example.test") {
		t.Fatal(line)
	}
	before.send("a ID NIL")
	if line := before.until("* ID"); line != `* ID ("name" "Postrider")` {
		t.Fatal(line)
	}
}

// TestBackendFailures: the client hears Public and the right code, never the cause.
func TestBackendFailures(t *testing.T) {
	s := newStore()
	srv := newServer(s, testConfig(s))
	client, server := dialogue.Pipe()
	go srv.ServeConn(context.Background(), server, imap.Secure)
	defer client.Close()
	p := newPeer(t, client)
	p.send("a LOGIN alice secret")
	p.until("a OK")
	p.send("b SELECT INBOX")
	p.until("b OK")
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("secret path /var/x"), "NO [UNAVAILABLE] Local error in processing; try again later"},
		{status.ErrNoSpace, "NO [UNAVAILABLE] Insufficient system storage; try again later"},
		{status.ErrQuota, "NO [OVERQUOTA] Mailbox full"},
		{imap.ErrNotAllowed, "NO [NOPERM] Permission denied"},
		{context.DeadlineExceeded, "NO [UNAVAILABLE] Local error in processing; try again later"},
	} {
		s.Fail(c.err)
		for _, cmd := range []string{"FETCH 1 ENVELOPE", "STORE 1 +FLAGS (\\Flagged)", "SEARCH LARGER 5", "COPY 1 Trash", "UID MOVE 1 Trash",
			"APPEND INBOX {4+}\r\nA: b"} {
			p.send("c " + cmd)
			if got := p.until("c "); got != "c "+c.want {
				t.Errorf("%s: %s, want %s", cmd, got, c.want)
			}
		}
	}
	s.Fail(nil)
	p.send("d FETCH 1 UID")
	p.until("d OK")
}

// panicking is a backend whose accounts panic.
type panicking struct{ *imaptest.Store }

func (panicking) Load(context.Context, imap.MailboxID, func(view.Message)) (uint32, uint64, error) {
	panic("a bug")
}

func TestPanicEndsOneConnection(t *testing.T) {
	s := newStore()
	srv := imap.New(panicking{s}, discard(), testConfig(s))
	for range 2 {
		client, server := dialogue.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.ServeConn(context.Background(), server, imap.Secure)
		}()
		p := newPeer(t, client)
		p.send("a LOGIN alice secret")
		p.until("a OK")
		p.send("b SELECT INBOX")
		p.until("* BYE [UNAVAILABLE] Internal error")
		<-done
	}
	if srv.Connections() != 0 {
		t.Fatal("connections left")
	}
}

// TestViewIsKept: the view of a mailbox outlives its last session, follows the feed, and is shared.
func TestViewIsKept(t *testing.T) {
	s := newStore()
	srv := newServer(s, testConfig(s))
	for round := range 3 {
		client, server := dialogue.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.ServeConn(context.Background(), server, imap.Secure)
		}()
		p := newPeer(t, client)
		p.send("a LOGIN alice secret")
		p.until("a OK")
		p.send("b SELECT INBOX")
		p.until(fmt.Sprintf("* %d EXISTS", 2+round))
		p.send("c LOGOUT")
		p.until("c OK")
		<-done
		if n := s.Watchers(); n != 1 {
			t.Fatalf("%d watches", n)
		}
		s.Deliver("alice", imap.Name{"INBOX"}, plainMessage, view.Flags{})
	}
}

// A client that asks for a mailbox that is not there must not fill the log with warnings.
func TestRefusalIsNotLoggedAsFailure(t *testing.T) {
	var log strings.Builder
	s := newStore()
	srv := imap.New(s, slog.New(slog.NewTextHandler(&log, nil)), testConfig(s))
	client, server := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.ServeConn(context.Background(), server, imap.Secure)
	}()
	p := newPeer(t, client)
	p.until("* OK")
	for _, c := range [][2]string{{"b LOGIN alice secret", "b OK"}, {"c SELECT Nowhere", "c NO [NONEXISTENT]"}, {"d CREATE INBOX", "d NO"}, {"e LOGOUT", "e OK"}} {
		p.send(c[0])
		p.until(c[1])
	}
	<-ended
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("logged: %s", log.String())
	}
}
