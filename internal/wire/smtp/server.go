package smtp

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

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
	for {
		conn, err := l.Accept()
		switch {
		case s.draining.Load() || ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of descriptors or the like: it passes
			s.config.Load().Log.Error("smtp: accept", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		s.start(ctx, conn, mode, true)
	}
}

// ServeConn serves one connection and returns when it has ended.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn, mode TLSMode) {
	s.start(ctx, conn, mode, false)
}

func (s *Server) start(ctx context.Context, conn net.Conn, mode TLSMode, background bool) {
	cfg := s.config.Load()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	one := &session{srv: s, cfg: cfg, ctx: ctx, cancel: cancel, conn: conn, in: input{pool: &s.buffers}}
	one.peer = Peer{ID: s.ids.Add(1), Remote: link.AddrPort(conn.RemoteAddr()), Local: link.AddrPort(conn.LocalAddr()), Connected: time.Now(), LMTP: cfg.LMTP,
		Activity: one.activity}
	if err := s.admit(one); err != nil {
		one.event(EventTooMany)
		if mode != TLSImplicit { // no handshake for somebody we have no room for
			one.fail(err)
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write(one.out)
		}
		_ = conn.Close()
		cancel()
		return
	}
	serve := func() {
		defer s.leave(one)
		one.run(mode)
	}
	if background {
		go serve()
	} else {
		serve()
	}
}

// admit counts a connection in, unless there are too many.
func (s *Server) admit(one *session) error {
	l := one.cfg.Limits
	switch s.sessions.Admit(one, one.peer.Remote.Addr(), link.Limits{Total: l.Connections, PerSite: l.PerAddress}) {
	case link.Closing:
		return errShutdown
	case link.Full:
		return errCrowded
	case link.SiteFull:
		return errCrowdedIP
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

// wake ends the wait of a session at rest.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// kill breaks the connection under whatever the session is doing.
func (s *session) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.Close()
}
