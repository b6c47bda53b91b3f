package smtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/test/dialogue"
)

// play runs a dialogue against s in the present bubble.
func play(t *testing.T, s *Server, mode TLSMode, text string) {
	t.Helper()
	dialogue.Play(t, dialogue.Script{Name: t.Name(), Text: text, Serve: func(c net.Conn) { s.ServeConn(context.Background(), c, mode) }})
}

// bubble runs f under synctest.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func TestConnectRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{connect: func(*Peer) error { return status.Perm(554, 7, 1, "You are listed") }}
		play(t, testServer(t, "", b, nil), TLSStart, "S: 554 5.7.1 You are listed\nC: EHLO c\nS: 503 5.5.1 Connection was refused; only QUIT is accepted\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		b.connect = func(*Peer) error { return status.Temp(421, 7, 1, "Not now") }
		play(t, testServer(t, "", b, nil), TLSStart, "S: 421 4.7.1 Not now\nS-close")
		b.connect = func(*Peer) error { return status.Perm(521, 7, 1, "Never") }
		play(t, testServer(t, "", b, nil), TLSStart, "S: 521 5.7.1 Never\nS-close") // RFC 7504 §3
		b.connect = func(*Peer) error { return errors.New("database away") }
		play(t, testServer(t, "", b, nil), TLSStart, "S: 451 4.3.0 Local error in processing; try again later\nS-close")
	})
}

func TestGreetPauseSeesEarlyTalkers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &backend{}
		s := testServer(t, "", b, func(c *Config) {
			c.GreetPause = func(*Peer, func()) (time.Duration, func([]byte, error)) { return 5 * time.Second, nil }
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		play(t, s, TLSStart, "S-silent\nsleep 4s\nS-silent\nsleep 2s\nS: 220 mx.example.test ESMTP\nC-close")
		play(t, s, TLSStart, "C: EHLO early\nS: 220 mx.example.test ESMTP\nS...: 250 STARTTLS\nC-close")
		if len(b.peers) != 2 || b.peers[0].Early || !b.peers[1].Early {
			t.Error("early input was not noted as a fact")
		}
		if strings.Count(log.String(), "input before the greeting") != 1 {
			t.Errorf("log: %s", &log)
		}
	})
}

func TestGreetPauseEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []string
		wait, free := 5*time.Second, time.Duration(0)
		s := testServer(t, "", &backend{}, func(c *Config) {
			c.GreetPause = func(_ *Peer, release func()) (time.Duration, func([]byte, error)) {
				if free > 0 {
					time.AfterFunc(free, release)
				} else if free < 0 {
					release()
				}
				began := time.Now()
				return wait, func(early []byte, err error) {
					told = append(told, fmt.Sprintf("%v %q %t", time.Since(began), early, err != nil))
				}
			}
		})
		play(t, s, TLSStart, "S-silent\nsleep 1s\nC: EHLO early\nS: 220 mx.example.test ESMTP\nC-close")
		play(t, s, TLSStart, "S-silent\nsleep 2s\nC-close")
		free = 3 * time.Second
		play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\nsleep 9s\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		free = -1
		play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		wait = 0
		play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		want := []string{`1s "EHLO early\r\n" false`, `2s "" true`, `3s "" false`, `0s "" false`}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestImplicitTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{}
		s := testServer(t, "submission", b, nil)
		play(t, s, TLSImplicit, "C-tls\nS: 220 mx.example.test ESMTP\nC: EHLO c\nS...: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		if p := b.peers[0]; p.TLS == nil || !strings.HasPrefix(p.TLSText(), "TLSv1.3 TLS_") || p.Protocol(false) != "ESMTPS" {
			t.Errorf("%q %q", p.TLSText(), p.Protocol(false))
		}
		play(t, s, TLSImplicit, "C: EHLO plain\nS-close")       // no handshake, no session
		play(t, s, TLSImplicit, "S-silent\nsleep 61s\nS-close") // nor any patience
		if len(b.stats) != 1 {
			t.Errorf("%d sessions", len(b.stats))
		}
	})
}

// countingConn counts writes.
type countingConn struct {
	net.Conn
	writes *int
}

func (c countingConn) Write(p []byte) (int, error) { *c.writes++; return c.Conn.Write(p) }

func TestRepliesLeaveTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		writes := 0
		s := testServer(t, "", &backend{}, nil)
		dialogue.Play(t, dialogue.Script{Name: "grouped", Serve: func(c net.Conn) { s.ServeConn(context.Background(), countingConn{c, &writes}, TLSStart) },
			Text: "S: 220 mx.example.test ESMTP\nC: EHLO c\nS...: 250 STARTTLS\nC> MAIL FROM:<a@b.example>\\r\\nRCPT TO:<b@example.test>\\r\\nRCPT TO:<b@example.test>\\r\\nDATA\\r\\n\nS...: 354 End data with <CR><LF>.<CR><LF>\n" +
				"C> .\\r\\nQUIT\\r\\n\nS...: 221 2.0.0 Bye\nS-close"})
		if writes != 4 { // greeting, EHLO, MAIL to 354, end to QUIT
			t.Errorf("%d writes", writes)
		}
	})
}

func TestConnectionLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := testServer(t, "", &backend{}, func(c *Config) { c.Limits.PerAddress, c.Limits.Connections = 2, 3 })
		l := dialogue.Listen()
		done := make(chan error)
		go func() { done <- s.Serve(t.Context(), l, TLSStart) }()
		greeting := func(ip string) string {
			c, err := l.DialFrom(net.ParseIP(ip))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			line, _ := bufio.NewReader(c).ReadString('\n')
			return line[:3]
		}
		for i, c := range []struct{ ip, want string }{
			{"2001:db8::1", "220"}, {"2001:db8::2", "220"}, {"2001:db8::3", "421"}, {"2001:db8:1::1", "220"}, {"192.0.2.1", "421"}} {
			if got := greeting(c.ip); got != c.want {
				t.Errorf("%d: %s got %s, want %s", i, c.ip, got, c.want)
			}
		}
		if n := s.Connections(); n != 3 {
			t.Errorf("%d connections", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
		if n := s.Connections(); n != 0 {
			t.Errorf("%d left", n)
		}
	})
}

func TestShutdownDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{}
		s := testServer(t, "", b, nil)
		var wg sync.WaitGroup
		serve := func(c net.Conn) { s.ServeConn(context.Background(), c, TLSStart) }
		start := time.Now()
		run := func(text string) {
			wg.Go(func() { dialogue.Play(t, dialogue.Script{Name: "drain", Text: text, Serve: serve}) })
		}
		run("S: 220 mx.example.test ESMTP\nsleep 9s\nS-silent\nsleep 2s\nS: 421 4.3.2 Service is shutting down; try again later\nS-close")
		run("S: 220 mx.example.test ESMTP\nC> EHLO c\\r\\nMAIL FROM:<a@b.example>\\r\\nRCPT TO:<b@example.test>\\r\\nDATA\\r\\n\nS...: 354 End data with <CR><LF>.<CR><LF>\nsleep 15s\nC: late\nC: .\nS: /250 2.0.0 Ok: .*late.*/\nS: 421 4.3.2 Service is shutting down; try again later\nS-close")
		run("S: 220 mx.example.test ESMTP\nC> EHLO c\\r\\nMAIL FROM:<a@b.example>\\r\\nRCPT TO:<b@example.test>\\r\\nDATA\\r\\n\nS...: 354 End data with <CR><LF>.<CR><LF>\nsleep 50s\nS-close")
		run("sleep 12s\nS: 421 4.3.2 Service is shutting down; try again later\nS-close") // comes when it is too late
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the third session had to be broken, but: %v", err)
		}
		if d := time.Since(start); d != 40*time.Second {
			t.Errorf("after %v", d)
		}
		wg.Wait()
		if len(b.got) != 1 {
			t.Errorf("%d messages", len(b.got))
		}
	})
}

func TestSetConfigIsForNewConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := testServer(t, "", &backend{}, nil)
		play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\nC-close")
		next := *s.config.Load()
		next.Hostname = "new.example.test"
		dialogue.Play(t, dialogue.Script{Name: "reload", Serve: func(c net.Conn) { s.ServeConn(context.Background(), c, TLSStart) }, Text: "S: 220 mx.example.test ESMTP\nC: HELO c\nS: 250 mx.example.test\nC-close"})
		s.SetConfig(&next)
		play(t, s, TLSStart, "S: 220 new.example.test ESMTP\nC-close")
	})
}

type brokenClose struct{ Session }

func (brokenClose) Close(Stats) { panic("in Close") }

type brokenBackend struct{ backend }

func (b *brokenBackend) Connect(ctx context.Context, p *Peer) (Session, error) {
	s, err := b.backend.Connect(ctx, p)
	return brokenClose{s}, err
}

func TestPanicAtTheEndStaysInItsConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := testServer(t, "", &backend{}, func(c *Config) { c.Backend = &brokenBackend{} })
		for range 2 {
			play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		}
	})
}

func TestStatsAndSecrets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{}
		s := testServer(t, "", b, nil)
		play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\nC> EHLO c\\r\\nFROB\\r\\nMAIL FROM:<broken@b.example>\\r\\nMAIL FROM:<a@b.example>\\r\\nRCPT TO:<unknown@example.test>\\r\\nRCPT TO:<b@example.test>\\r\\nDATA\\r\\nx\\r\\n.\\r\\n\nS...: /250 2.0.0 Ok: .*/\nsleep 1m\nC-close")
		want := Stats{Duration: time.Minute, Commands: 7, Messages: 1, Recipients: 1, Octets: 3, Errors: 1, Refusals: 2, Last: "DATA", Reason: EndLost}
		if got := b.stats[0]; got != want || got.Trouble() != "lost connection after DATA" {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestEarlyInputOnTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if pendingInput(server) {
		t.Fatal("nothing has been sent yet")
	}
	fmt.Fprintf(client, "EHLO early\r\n")
	buf := make([]byte, 1)
	if _, err := server.Read(buf); err != nil { // now the rest has arrived too
		t.Fatal(err)
	}
	if !pendingInput(server) {
		t.Fatal("input was not seen")
	}
	if rest, _ := bufio.NewReader(server).ReadString('\n'); rest != "HLO early\r\n" {
		t.Fatalf("input was taken: %q", rest)
	}
	server.Close()
}

func TestWriteTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{}
		s := testServer(t, "", b, func(c *Config) { c.Limits.Junk = 1 << 20 })
		client, server := dialogue.Pipe()
		go func() { // never reads
			for {
				if _, err := client.Write(bytes.Repeat([]byte("NOOP\r\n"), 1000)); err != nil {
					return
				}
			}
		}()
		s.ServeConn(context.Background(), server, TLSStart)
		if b.stats[0].Reason != EndTimeout {
			t.Errorf("%+v", b.stats[0])
		}
		client.Close()
	})
}

// halfConn is a pipe's end that can close for writing, as TCP can.
type halfConn struct {
	net.Conn
	closed *bool
}

func (h halfConn) CloseWrite() error { *h.closed = true; return nil }

func TestHangUpLetsTheReplyArrive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		closed := false
		s := testServer(t, "", &backend{}, nil)
		dialogue.Play(t, dialogue.Script{Name: "linger", Serve: func(c net.Conn) { s.ServeConn(context.Background(), halfConn{c, &closed}, TLSStart) },
			Text: "S: 220 mx.example.test ESMTP\nC: GET / HTTP/1.1\nC*100: X: y\nS: 421 4.7.0 This is not an HTTP server; closing connection\nC: still talking\nS-close"})
		if !closed {
			t.Error("closed at once")
		}
	})
}
