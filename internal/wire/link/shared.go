package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Shared is what the services of a process have in common: descriptors for connections, and the processors for handshakes.
// nil bounds nothing. It is safe for concurrent use.
type Shared struct {
	// Exempt says whose address does not count: relays of our own, proxies, an office behind one address. nil: nobody's. It is
	// set before the first connection.
	Exempt func(netip.Addr) bool
	// Banned says whose connections are not taken, where a Guarded listener could not tell: behind a proxy. nil: nobody's.
	Banned func(netip.Addr) bool
	// NewTLS is asked before each handshake; an error is that of the handshake. resumed is called when it was no new session.
	// peek only asks what would be said. nil: there is no limit.
	NewTLS func(client netip.Addr, peek bool) (resumed func(), err error)

	room  atomic.Int64 // connections of all services
	taken atomic.Int64
	turns turns
}

// NewShared makes one with room for so many connections, and so many handshakes that compute at once.
func NewShared(connections, handshakes int) *Shared {
	s := &Shared{turns: turns{free: handshakes}}
	s.Resize(connections)
	return s
}

// Resize changes how many connections there is room for. Those that are there stay.
func (s *Shared) Resize(connections int) { s.room.Store(int64(connections)) }

// take makes a connection one of all; false: there are too many.
func (s *Shared) take() bool {
	if s == nil {
		return true
	}
	if s.taken.Add(1) > s.room.Load() {
		s.taken.Add(-1)
		return false
	}
	return true
}

func (s *Shared) exempts(a netip.Addr) bool { return s != nil && s.Exempt != nil && s.Exempt(a) }

// MayHandshake tells whether a handshake of a client would be refused, for protocols that can say so before.
func (s *Shared) MayHandshake(client netip.Addr) error {
	if s == nil || s.NewTLS == nil {
		return nil
	}
	_, err := s.NewTLS(client, true)
	return err
}

func (s *Shared) bans(a netip.Addr) bool { return s != nil && s.Banned != nil && s.Banned(a) }

func (s *Shared) give() {
	if s != nil {
		s.taken.Add(-1)
	}
}

// Handshake is the server's side of TLS, within limit. Only so many compute at once, lest a flood of them take the
// processors from the sessions that are there; one that waits for its client takes no part in that. The wait for a turn is
// bounded apart, and who has begun goes before who has not: else, in a flood, all would begin and none come to its end.
func (s *Shared) Handshake(ctx context.Context, nc net.Conn, config *tls.Config, limit time.Duration) (*tls.Conn, error) {
	if s == nil {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		up := tls.Server(nc, config)
		return up, up.HandshakeContext(ctx)
	}
	var resumed func()
	if s.NewTLS != nil {
		var err error
		if resumed, err = s.NewTLS(AddrPort(nc.RemoteAddr()).Addr(), false); err != nil {
			return tls.Server(nc, config), err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clock := time.AfterFunc(limit, func() { cancel(os.ErrDeadlineExceeded) })
	defer clock.Stop()
	polite := &yielding{Conn: nc, turns: &s.turns}
	polite.wait = func() error {
		if polite.begun {
			return s.turns.enter(ctx, true)
		}
		polite.begun = true
		clock.Stop() // the wait for the first turn is not the client's
		defer clock.Reset(limit)
		return s.turns.enter(ctx, false)
	}
	up := tls.Server(polite, config)
	err := up.HandshakeContext(ctx)
	if polite.held {
		s.turns.leave()
	}
	polite.wait, polite.turns = nil, nil // from here on it is the connection itself
	if resumed != nil && err == nil && up.ConnectionState().DidResume {
		resumed()
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return up, err
}

// turnTimeout is how long a client that has sent its hello waits for its turn.
const turnTimeout = 15 * time.Second

var errNoTurn = errors.New("too many TLS handshakes at once")

// turns lets so many compute at once. It is safe for concurrent use.
type turns struct {
	mu           sync.Mutex
	free         int
	fresh, begun []chan struct{} // who waits; closed: it is its turn
}

// enter waits for a turn; begun says that it is not the first.
func (t *turns) enter(ctx context.Context, begun bool) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	queue := &t.fresh
	if begun {
		queue = &t.begun
	}
	*queue = append(*queue, mine)
	t.mu.Unlock()
	patience := time.NewTimer(turnTimeout)
	defer patience.Stop()
	err := errNoTurn
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(*queue, mine); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
		return err
	}
	return nil // it came just now
}

// leave gives the turn to the next.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	queue := &t.begun
	if len(*queue) == 0 {
		queue = &t.fresh
	}
	if len(*queue) == 0 {
		t.free++
		return
	}
	close((*queue)[0])
	*queue = slices.Delete(*queue, 0, 1)
}

// yielding is a connection that has a turn from the first input on, except while it waits for more.
type yielding struct {
	net.Conn
	turns       *turns       // nil: the handshake is over
	wait        func() error // for a turn
	held, begun bool
}

func (y *yielding) Read(p []byte) (int, error) {
	if y.turns == nil {
		return y.Conn.Read(p)
	}
	if y.held {
		y.turns.leave()
		y.held = false
	}
	n, err := y.Conn.Read(p)
	if err == nil {
		err = y.wait()
		y.held = err == nil
	}
	return n, err
}

// CloseWrite is that of a TCP connection.
func (y *yielding) CloseWrite() error {
	if half, ok := y.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

const (
	mostTurned    = 32              // who are told at once, by TLS, that there is no room
	turnedTimeout = 5 * time.Second // for their handshakes
)

// TurnAway tells a client for whom there is no room why, in the protocol's words, and closes. With a configuration it is
// told under TLS, as far as there are not too many of its kind already.
func (s *Conns[C]) TurnAway(nc net.Conn, words string, config *tls.Config, shared *Shared) {
	defer nc.Close()
	patience := time.Second
	out := nc
	if config != nil {
		defer s.turned.Add(-1)
		if s.turned.Add(1) > mostTurned {
			return
		}
		up, err := shared.Handshake(context.Background(), nc, config, turnedTimeout)
		if err != nil {
			return
		}
		defer up.Close()
		out = up
	}
	// It may be gone: then nobody is there to be told.
	_ = out.SetWriteDeadline(time.Now().Add(patience))
	_, _ = out.Write([]byte(words))
}
