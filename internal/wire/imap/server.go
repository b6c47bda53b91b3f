package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/wire/sasl"
)

// Config is what may change while the server runs. A connection keeps the one it began with.
type Config struct {
	Hostname string       // in the greeting
	TLS      *tls.Config  // nil: no STARTTLS, and no login on a StartTLS listener
	SASL     *sasl.Server // mechanisms and the check of passwords

	MaxMessage     int64         // bytes APPEND takes; 0: 64 MiB
	MaxLine        int           // bytes of one command line after login; 0: 64 KiB; RFC 7162 §4 asks for 8192 at least
	MaxErrors      int           // BADs in a row after which a connection ends; 0: 20
	MaxConns       int           // in all; 0: 10,000
	MaxConnsPerIP  int           // from one address, or IPv6 /64; 0: 200
	LoginTimeout   time.Duration // from the greeting to a login; 0: 2 minutes
	IdleTimeout    time.Duration // between commands; 0: 30 minutes, RFC 9051 §5.4 asks for that at least
	CommandTimeout time.Duration // between two pieces of one command or literal; 0: 3 minutes
	WriteTimeout   time.Duration // for a piece of a reply to leave; 0: 2 minutes

	ID    []string         // names and values shown by ID (RFC 2971), in turn
	Clock func() time.Time // nil: time.Now; the deadlines of connections follow it

	Observer Observer // nil: nobody
}

func (c Config) withDefaults() *Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.LoginTimeout, 2*time.Minute)
	def(&c.IdleTimeout, 30*time.Minute)
	def(&c.CommandTimeout, 3*time.Minute)
	def(&c.WriteTimeout, 2*time.Minute)
	if c.MaxMessage == 0 {
		c.MaxMessage = 64 << 20
	}
	if c.MaxLine == 0 {
		c.MaxLine = 64 << 10
	}
	if c.MaxErrors == 0 {
		c.MaxErrors = 20
	}
	if c.MaxConns == 0 {
		c.MaxConns = 10000
	}
	if c.MaxConnsPerIP == 0 {
		c.MaxConnsPerIP = 200
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	return &c
}

// Mode is how a listener's connections are protected.
type Mode int

// The modes.
const (
	StartTLS Mode = iota // in the clear until STARTTLS (port 143); no login before it
	Implicit             // TLS from the first byte (port 993, RFC 8314)
	Secure               // protected by other means: a socket in the file system, or TLS ended before us
)

// Server serves IMAP.
type Server struct {
	backend Backend
	log     *slog.Logger
	config  atomic.Pointer[Config]
	tables  *tables
	hub     *hub
	buffers sync.Pool // *bufio.Writer of idle connections
	numbers atomic.Uint64

	mu      sync.Mutex
	conns   map[*conn]string // and the address each counts for
	perIP   map[string]int
	closing bool
	group   sync.WaitGroup
}

// New makes a server.
func New(b Backend, log *slog.Logger, config Config) *Server {
	s := &Server{backend: b, log: log, tables: newTables(extensions()), hub: newHub(b), conns: map[*conn]string{}, perIP: map[string]int{}}
	s.SetConfig(config)
	return s
}

// SetConfig takes effect for connections that come later.
func (s *Server) SetConfig(config Config) { s.config.Store(config.withDefaults()) }

// Serve accepts connections until ctx ends or the listener is closed; then it closes the listener and returns. It returns
// an error only if accepting failed for another reason. Connections go on: see Shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener, mode Mode) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			if te, ok := err.(interface{ Temporary() bool }); !ok || !te.Temporary() {
				return err
			}
			// Out of descriptors, most likely: those who hold them must get the time to end.
			s.log.Warn("imap: accept", "err", err)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		// The connection outlives ctx: Shutdown ends it, with a BYE.
		go s.ServeConn(context.WithoutCancel(ctx), nc, mode)
	}
}

// ServeConn serves one connection to its end.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, mode Mode) {
	defer nc.Close()
	c := newConn(s, nc, mode)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.cancel, c.number = cancel, s.numbers.Add(1)
	if refusal := s.admit(c, nc.RemoteAddr()); refusal != "" {
		// No TLS handshake is spent on it; on an implicit listener the client sees a failed one.
		_ = nc.SetWriteDeadline(c.cfg.Clock().Add(time.Second))
		if mode != Implicit {
			_, _ = io.WriteString(nc, "* BYE [UNAVAILABLE] "+refusal+"\r\n")
		}
		return
	}
	defer s.dismiss(c)
	c.serve(ctx)
}

// admit counts a connection in, or says why not.
func (s *Server) admit(c *conn, addr net.Addr) string {
	ip := ""
	if a := addrPort(addr).Addr(); a.IsValid() {
		ip = site(a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return "Server is shutting down"
	case len(s.conns) >= c.cfg.MaxConns:
		return "Too many connections; try again later"
	case ip != "" && s.perIP[ip] >= c.cfg.MaxConnsPerIP:
		return "Too many connections from your address"
	}
	s.conns[c] = ip
	s.perIP[ip]++
	s.group.Add(1)
	return ""
}

// site is what MaxConnsPerIP counts by: an IPv4 address, an IPv6 /64.
func site(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	p, _ := a.WithZone("").Prefix(64) // 64 bits fit
	return p.String()
}

func (s *Server) dismiss(c *conn) {
	s.mu.Lock()
	ip := s.conns[c]
	delete(s.conns, c)
	if s.perIP[ip]--; s.perIP[ip] == 0 {
		delete(s.perIP, ip)
	}
	s.mu.Unlock()
	s.group.Done()
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown says BYE to every connection as soon as its current command is done, and returns when all have ended. When ctx
// ends first, the rest is cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for c := range s.conns {
		c.t.notify(sigClose)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.group.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.mu.Lock()
		for c := range s.conns {
			c.cutOff()
		}
		s.mu.Unlock()
		<-done
	}
	s.hub.shutdown()
	return err
}
