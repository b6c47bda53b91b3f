package imap

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/wire/link"
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

	// Begin is asked before each message of APPEND and REPLACE is let in, with its client and its size: an error is the reply. It
	// may wait a while. end is called when the message is stored or given up. nil: each is let in.
	Begin func(ctx context.Context, from netip.Addr, size int64) (end func(), err error)

	Observer Observer     // nil: nobody
	Shared   *link.Shared // nil: what all services have in common is not bounded
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
	if c.Begin == nil {
		c.Begin = func(context.Context, netip.Addr, int64) (func(), error) { return func() {}, nil }
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
	buffers sync.Pool // *bufio.Writer of connections that wait
	readers sync.Pool // *bufio.Reader of connections that wait
	numbers atomic.Uint64

	conns link.Conns[*conn]
}

// New makes a server.
func New(b Backend, log *slog.Logger, config Config) *Server {
	s := &Server{backend: b, log: log, tables: newTables(extensions()), hub: newHub(b)}
	s.SetConfig(config)
	return s
}

// SetConfig takes effect for connections that come later.
func (s *Server) SetConfig(config Config) { s.config.Store(config.withDefaults()) }

// Serve accepts connections until ctx ends or the listener is closed; then it closes the listener and returns. It returns
// an error only if accepting failed for another reason. Connections go on: see Shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener, mode Mode) error {
	// A connection outlives ctx: Shutdown ends it.
	return link.Accept(ctx, l, s.log, func(nc net.Conn) { s.ServeConn(context.WithoutCancel(ctx), nc, mode) },
		func(nc net.Conn) { s.turnAway(nc, StartTLS, link.Full) }) // no handshake: this stops all others who knock
}

// ServeConn serves one connection to its end.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, mode Mode) {
	defer nc.Close()
	c := newConn(s, nc, mode)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.cancel, c.number = cancel, s.numbers.Add(1)
	from := link.AddrPort(nc.RemoteAddr()).Addr()
	limits := link.Limits{Total: c.cfg.MaxConns, PerSite: c.cfg.MaxConnsPerIP, Shared: c.cfg.Shared}
	if refusal := s.conns.Admit(c, from, limits); refusal != "" {
		if n := s.conns.Tell(c.cfg.Clock()); n > 0 {
			s.log.Warn("connections are refused", "reason", string(refusal), "client", from.String(), "refused", n)
		}
		s.turnAway(nc, mode, refusal)
		return
	}
	defer s.conns.Dismiss(c)
	c.serve(ctx)
}

// turnAway says farewell to one for whom there is no room.
func (s *Server) turnAway(nc net.Conn, mode Mode, why link.Refusal) {
	cfg := s.config.Load()
	var under *tls.Config
	if mode == Implicit {
		under = cfg.TLS
	}
	s.conns.TurnAway(nc, "* BYE [UNAVAILABLE] "+string(why)+"\r\n", under, cfg.Shared)
}

// Refused is how many connections there was no room for since the start.
func (s *Server) Refused() uint64 { return s.conns.Refused() }

// Connections is the number of open connections.
func (s *Server) Connections() int { return s.conns.Len() }

// Shutdown says BYE to every connection as soon as its current command is done, and returns when all have ended. When ctx
// ends first, the rest is cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.conns.Shutdown(ctx, func(c *conn) { c.t.Notify(sigClose) }, (*conn).cutOff)
	s.hub.shutdown()
	return err
}
