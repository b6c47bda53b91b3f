package dovecotauth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Config is what may change while the server runs. A connection keeps the one it began with.
type Config struct {
	Auth *sasl.Server
	// Plaintext allows logins that the asking server's client has made without TLS.
	Plaintext bool
	// Trusted tells who may connect over IP; a local socket's clients are those who can open it. nil: nobody.
	Trusted func(netip.Addr) bool
	// LoggedIn follows a login that succeeded, before it is told; an error refuses it. nil: none is.
	LoggedIn func(o sasl.Origin, who sasl.Identity, mech string) error
	MaxConns int          // 0: 1000; Postfix keeps one for each of its smtpd processes
	Log      *slog.Logger // nil: nothing is logged
}

const (
	defaultConns  = 1000
	maxRequests   = 100 // of one connection at a time
	handshakeTime = 30 * time.Second
	requestTime   = 3 * time.Minute // from AUTH to its end, with the client's think time
	writeTime     = 30 * time.Second
)

// Server serves the protocol.
type Server struct {
	config  atomic.Pointer[Config]
	numbers atomic.Uint64
	conns   link.Conns[*conn]
}

// New makes a server.
func New(c Config) *Server {
	s := &Server{}
	s.SetConfig(c)
	return s
}

// SetConfig takes effect for connections that come later.
func (s *Server) SetConfig(c Config) {
	if c.MaxConns == 0 {
		c.MaxConns = defaultConns
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Trusted == nil {
		c.Trusted = func(netip.Addr) bool { return false }
	}
	s.config.Store(&c)
}

// Serve accepts connections until ctx ends or the listener is closed; then it closes the listener and returns.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return link.Accept(ctx, l, s.config.Load().Log, func(nc net.Conn) { s.ServeConn(context.WithoutCancel(ctx), nc) }, func(net.Conn) {})
}

// ServeConn serves one connection to its end.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &conn{Conn: nc, cfg: s.config.Load(), cancel: cancel, waiting: map[uint32]chan []byte{}, number: s.numbers.Add(1)}
	from := link.AddrPort(nc.RemoteAddr()).Addr()
	if from.IsValid() && !c.cfg.Trusted(from) {
		c.cfg.Log.Warn("a stranger wants to check passwords; he is not served", "client", from.String())
		return
	}
	if s.conns.Admit(c, netip.Addr{}, link.Limits{Total: c.cfg.MaxConns}) != "" {
		c.cfg.Log.Warn("a connection for checking passwords is refused: too many", "client", from.String())
		return
	}
	defer s.conns.Dismiss(c)
	if err := c.serve(ctx); err != nil && ctx.Err() == nil {
		c.cfg.Log.Info("a connection for checking passwords broke", "client", from.String(), "err", err)
	}
}

// Connections is the number of open connections.
func (s *Server) Connections() int { return s.conns.Len() }

// Refused is how many connections there was no room for since the start.
func (s *Server) Refused() uint64 { return s.conns.Refused() }

// Shutdown ends every connection: whose request is under way asks again elsewhere, or after a new connection.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.conns.Shutdown(ctx, (*conn).cutOff, (*conn).cutOff)
}

// handshake is what we say first.
func (c *conn) handshake() string {
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // it never fails; nothing here is secret anyway: we have no master connections that ask for it
	var b strings.Builder
	b.WriteString("VERSION\t1\t2\n")
	for _, m := range c.cfg.Auth.Mechanisms() {
		flags := "plaintext"
		if strings.HasPrefix(m, "SCRAM-") {
			flags = "mutual-auth"
		}
		fmt.Fprintf(&b, "MECH\t%s\t%s\n", m, flags)
	}
	fmt.Fprintf(&b, "SPID\t%d\nCUID\t%d\nCOOKIE\t%s\nDONE\n", os.Getpid(), c.number, hex.EncodeToString(cookie))
	return b.String()
}
