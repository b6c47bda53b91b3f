package link

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Shared is what the services of a process have in common: descriptors for connections, and the processors for handshakes.
// nil bounds nothing. It is safe for concurrent use.
type Shared struct {
	// Exempt says whose address does not count: relays of our own, proxies, an office behind one address. nil: nobody's. It is
	// set before the first connection.
	Exempt func(netip.Addr) bool

	room  int64 // connections of all services
	taken atomic.Int64
	slots chan struct{}
}

// NewShared makes one with room for so many connections, and so many handshakes that compute at once.
func NewShared(connections, handshakes int) *Shared {
	return &Shared{room: int64(connections), slots: make(chan struct{}, handshakes)}
}

// take makes a connection one of all; false: there are too many.
func (s *Shared) take() bool {
	if s == nil {
		return true
	}
	if s.taken.Add(1) > s.room {
		s.taken.Add(-1)
		return false
	}
	return true
}

func (s *Shared) exempts(a netip.Addr) bool { return s != nil && s.Exempt != nil && s.Exempt(a) }

func (s *Shared) give() {
	if s != nil {
		s.taken.Add(-1)
	}
}

// Handshake is the server's side of TLS, until ctx ends. Only so many compute at once, lest a flood of them take the
// processors from the sessions that are there; one that waits for its client takes no part in that.
func (s *Shared) Handshake(ctx context.Context, nc net.Conn, config *tls.Config) (*tls.Conn, error) {
	if s == nil {
		up := tls.Server(nc, config)
		return up, up.HandshakeContext(ctx)
	}
	polite := &yielding{Conn: nc, ctx: ctx, slots: s.slots}
	if err := polite.enter(); err != nil {
		return nil, err
	}
	up := tls.Server(polite, config)
	err := up.HandshakeContext(ctx)
	polite.leave()
	polite.ctx, polite.slots = nil, nil // from here on it is the connection itself
	return up, err
}

// yielding is a connection that holds a slot, except while it waits for input.
type yielding struct {
	net.Conn
	ctx   context.Context
	slots chan struct{}
	held  bool
}

func (y *yielding) enter() error {
	select {
	case y.slots <- struct{}{}:
		y.held = true
		return nil
	case <-y.ctx.Done():
		return y.ctx.Err()
	}
}

func (y *yielding) leave() {
	if y.held {
		<-y.slots
		y.held = false
	}
}

func (y *yielding) Read(p []byte) (int, error) {
	if y.slots == nil {
		return y.Conn.Read(p)
	}
	y.leave()
	n, err := y.Conn.Read(p)
	if err == nil {
		err = y.enter()
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
		ctx, cancel := context.WithTimeout(context.Background(), turnedTimeout)
		defer cancel()
		up, err := shared.Handshake(ctx, nc, config)
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
