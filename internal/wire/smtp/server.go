package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/link"
)

// TLSMode is how TLS begins on a listener.
type TLSMode uint8

// The modes.
const (
	TLSStart    TLSMode = iota // by STARTTLS, if Config.TLS is set
	TLSImplicit                // at once, RFC 8314 §3.3
)

// Server serves one Config on any number of listeners. Lock order: that of sessions, then session.mu.
type Server struct {
	config   atomic.Pointer[Config]
	verbs    map[string]verb
	buffers  sync.Pool
	ids      atomic.Uint64
	draining atomic.Bool

	sessions link.Conns[*session]

	mu      sync.Mutex
	closers map[net.Listener]struct{}
}

// NewServer makes a Server.
func NewServer(c *Config) *Server {
	s := &Server{verbs: verbs(), closers: map[net.Listener]struct{}{}}
	s.SetConfig(c)
	return s
}

// SetConfig changes the configuration for connections to come.
func (s *Server) SetConfig(c *Config) { s.config.Store(c.complete()) }

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("smtp: server closed")

// Serve accepts connections until ctx ends, Shutdown is called, or the listener fails; it closes the listener. Sessions
// go on: Shutdown waits for them. Their context comes from ctx but survives its end.
func (s *Server) Serve(ctx context.Context, l net.Listener, mode TLSMode) error {
	s.mu.Lock()
	s.closers[l] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer func() {
		stop()
		_ = l.Close()
		s.mu.Lock()
		delete(s.closers, l)
		s.mu.Unlock()
	}()
	err := link.Accept(ctx, l, s.config.Load().Log, func(nc net.Conn) { s.ServeConn(ctx, nc, mode) },
		func(nc net.Conn) { s.turnAway(nc, TLSStart, errCrowded) }) // no handshake: this stops all others who knock
	if err == nil && (s.draining.Load() || ctx.Err() != nil) {
		err = ErrServerClosed
	}
	return err
}

// ServeConn serves one connection and returns when it has ended.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn, mode TLSMode) {
	cfg := s.config.Load()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	one := &session{srv: s, cfg: cfg, ctx: ctx, cancel: cancel, conn: conn, in: input{pool: &s.buffers}}
	one.peer = Peer{ID: s.ids.Add(1), Direct: link.AddrPort(conn.RemoteAddr()), Remote: link.AddrPort(conn.RemoteAddr()), Local: link.AddrPort(conn.LocalAddr()), Connected: time.Now(), LMTP: cfg.LMTP,
		Activity: one.activity, Ahead: one.ahead}
	if err := s.admit(one); err != nil {
		one.event(EventTooMany)
		if n := s.sessions.Tell(time.Now()); n > 0 {
			cfg.Log.Warn("smtp: connections are refused", "reason", err.Public, "client", one.peer.Remote.Addr().String(), "refused", n)
		}
		s.turnAway(conn, mode, err)
		cancel()
		return
	}
	defer s.leave(one)
	one.run(mode)
}

// turnAway says farewell to one for whom there is no room.
func (s *Server) turnAway(conn net.Conn, mode TLSMode, why *status.Error) {
	cfg := s.config.Load()
	var under *tls.Config
	if mode == TLSImplicit {
		under = cfg.TLS
	}
	s.sessions.TurnAway(conn, fmt.Sprintf("%d %s %s\r\n", why.Code, why.Enhanced, why.Public), under, cfg.Shared)
}

// Refused is how many connections there was no room for since the start.
func (s *Server) Refused() uint64 { return s.sessions.Refused() }

// admit counts a connection in, unless there are too many.
func (s *Server) admit(one *session) *status.Error {
	l := one.cfg.Limits
	switch s.sessions.Admit(one, one.peer.Remote.Addr(), link.Limits{Total: l.Connections, PerSite: l.PerAddress, Shared: one.cfg.Shared}) {
	case link.Closing:
		return errShutdown
	case link.Full:
		return errCrowded
	case link.SiteFull:
		return errCrowdedIP
	case link.Banned:
		return errBanned
	}
	return nil
}

func (s *Server) leave(one *session) {
	one.cancel()
	s.sessions.Dismiss(one)
}

// Connections returns how many there are now.
func (s *Server) Connections() int { return s.sessions.Len() }

// Shutdown stops accepting, tells sessions at rest 421 4.3.2, lets open transactions finish until ctx ends, then closes
// what is left and returns when every session has ended. It returns ctx's error if it had to use force.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	for l := range s.closers {
		_ = l.Close()
	}
	s.mu.Unlock()
	return s.sessions.Shutdown(ctx, (*session).wake, func(one *session) {
		one.cancel()
		one.kill()
	})
}

// wake ends the wait of a session at rest, and a handshake: a client that says nothing must not hold up a server that ends.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting || s.pausing {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
	if s.shaking != nil {
		s.shaking()
	}
}

// kill breaks the connection under whatever the session is doing.
func (s *session) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.Close()
}
