package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scarce is a listener of a process that is short of descriptors.
type scarce struct {
	net.Listener
	mu      sync.Mutex
	results []error // of Accept, in turn; nil: a connection. After them: closed
	calls   []time.Duration
	began   time.Time
	ends    []net.Conn
}

func (l *scarce) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, time.Since(l.began))
	if len(l.results) == 0 {
		return nil, net.ErrClosed
	}
	err := l.results[0]
	l.results = l.results[1:]
	if err != nil {
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	near, far := net.Pipe()
	l.ends = append(l.ends, far)
	return near, nil
}

func (l *scarce) Close() error   { return nil }
func (l *scarce) Addr() net.Addr { return &net.TCPAddr{} }

// TestAcceptWithoutDescriptors: who knocks is turned away by the spare; where even that fails there are pauses; the log gets
// one line; afterwards all is as before.
func TestAcceptWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := error(syscall.EMFILE)
		l := &scarce{began: time.Now(), results: []error{nil, full, nil, full, nil, full, full, full, full, nil}}
		var log bytes.Buffer
		var mu sync.Mutex
		served, away := 0, 0
		count := func(n *int) func(net.Conn) {
			return func(net.Conn) {
				mu.Lock()
				*n++
				mu.Unlock()
			}
		}
		if err := Accept(t.Context(), l, slog.New(slog.NewTextHandler(&log, nil)), count(&served), count(&away)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if served != 2 || away != 2 {
			t.Errorf("served %d, turned away %d", served, away)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
		if last := l.calls[len(l.calls)-1]; last < shortestPause || last > time.Second {
			t.Errorf("pauses: %v", l.calls)
		}
	})
}

// TestAcceptFails: an error that does not pass ends it.
func TestAcceptFails(t *testing.T) {
	l := &scarce{results: []error{errors.New("broken")}}
	if err := Accept(t.Context(), l, slog.New(slog.DiscardHandler), nil, nil); err == nil {
		t.Error("no error")
	}
}

// TestSharedRoom: all services together have no more connections than there are descriptors for, and give them back.
func TestSharedRoom(t *testing.T) {
	shared := NewShared(2, 1)
	var mail, imap Conns[int]
	l := Limits{Total: 10, PerSite: 10, Shared: shared}
	if a, b, c := mail.Admit(1, netip.Addr{}, l), imap.Admit(1, netip.Addr{}, l), imap.Admit(2, netip.Addr{}, l); a != "" || b != "" || c != Full {
		t.Errorf("%q %q %q", a, b, c)
	}
	if imap.Refused() != 1 || imap.Tell(time.Unix(1, 0)) != 1 || imap.Tell(time.Unix(2, 0)) != 0 {
		t.Error("the refusal was not counted")
	}
	mail.Dismiss(1)
	shared.Exempt = netip.MustParsePrefix("192.0.2.0/24").Contains
	for i, c := range []struct {
		from string
		want Refusal
	}{{"192.0.2.1", ""}, {"198.51.100.1", SiteFull}} {
		if r := mail.Admit(10+i, netip.MustParseAddr(c.from), Limits{Total: 10, Shared: shared}); r != c.want {
			t.Errorf("%s, of whom none may come: %q, want %q", c.from, r, c.want)
		}
	}
	mail.Dismiss(10)
	if r := imap.Admit(3, netip.Addr{}, l); r != "" {
		t.Error(r)
	}
}

// TestWaitingHandshakeKeepsNobodyOut: a client that is slow to answer holds no slot.
func TestWaitingHandshakeKeepsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(10, 1)
		config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("got so far") }}
		slow, silent := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := shared.Handshake(ctx, slow, config, time.Minute); !errors.Is(err, context.Canceled) {
				t.Errorf("the slow one: %v", err)
			}
		})
		synctest.Wait()
		near, far := net.Pipe()
		group.Go(func() { _ = tls.Client(far, &tls.Config{ServerName: "x"}).Handshake() })
		if _, err := shared.Handshake(t.Context(), near, config, time.Minute); err == nil || !strings.Contains(err.Error(), "got so far") {
			t.Errorf("the other: %v", err)
		}
		cancel()
		for _, c := range []io.Closer{near, far, silent, slow} {
			_ = c.Close()
		}
		group.Wait()
		if shared.turns.free != 1 {
			t.Error("a slot was not given back")
		}
	})
}

// TestTurns: who has begun goes first, nobody waits for ever, and every turn is given back.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns{free: 1}
		if err := s.enter(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		var order []string
		var group sync.WaitGroup
		come := func(name string, begun bool) {
			group.Go(func() {
				if err := s.enter(t.Context(), begun); err != nil {
					order = append(order, name+": "+err.Error())
					return
				}
				order = append(order, name)
				s.leave()
			})
			synctest.Wait()
		}
		come("fresh", false)
		come("begun", true)
		s.leave()
		group.Wait()
		if err := s.enter(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		come("late", false)
		time.Sleep(turnTimeout)
		group.Wait()
		s.leave()
		if got, want := strings.Join(order, ", "), "begun, fresh, late: "+errNoTurn.Error(); got != want || s.free != 1 || len(s.fresh)+len(s.begun) != 0 {
			t.Errorf("%s; %+v", got, s.free)
		}
	})
}
