package pop3

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/wire/sasl"
)

// Observer hears of connections, for logs, counters and the list of sessions. Failed logins it can hear from Config.SASL.
// Its methods must not block and are called by many goroutines.
type Observer interface {
	// Connected comes first. kick ends the connection at once, from any goroutine, any number of times; reason is for Ended.
	Connected(p Peer, kick func(reason string))
	// LoggedIn may refuse a login that is right otherwise: the error reaches the client as one of the Backend's does.
	LoggedIn(p Peer) error
	// Ended comes last. p.Identity is set if LoggedIn returned no error.
	Ended(p Peer, s Stats)
}

// Peer is what is known of the other side of a connection.
type Peer struct {
	ID       uint64 // number of the connection within its Server
	Service  string // "pop3s" where TLS comes first, else "pop3"
	Remote   netip.AddrPort
	Local    netip.AddrPort
	TLS      string        // version and cipher; empty in the clear
	Identity sasl.Identity // zero: not authenticated
}

// Stats of a connection, as it ends.
type Stats struct {
	Duration time.Duration
	Commands int
	In, Out  int64 // bytes, without those of TLS
	Reason   End

	// Of a maildrop; all zero without a login.
	Messages  int   // at the login
	Bytes     int64 // of those
	Tops      int   // TOPs
	Retrieved int   // RETRs
	Removed   int   // messages removed at QUIT
}

// End is why a connection ended.
type End string

// The reasons. One who was kicked has EndKicked with a colon and the reason behind it.
const (
	EndLogout   End = "logged out"
	EndLost     End = "connection closed"
	EndTimeout  End = "timeout"
	EndLimit    End = "too many errors"
	EndTLS      End = "TLS handshake failed"
	EndShutdown End = "server shutting down"
	EndDamaged  End = "message became unreadable"
	EndKicked   End = "kicked"
	EndPanic    End = "internal error"
)

// peer describes the connection as it stands.
func (c *conn) peer() Peer {
	p := Peer{ID: c.number, Service: "pop3", Remote: addrPort(c.raw.RemoteAddr()), Local: addrPort(c.raw.LocalAddr()), TLS: c.tls, Identity: c.id}
	if c.mode == Implicit {
		p.Service = "pop3s"
	}
	return p
}

// origin is what authenticators learn of a login.
func (c *conn) origin() sasl.Origin {
	p := c.peer()
	return sasl.Origin{Remote: p.Remote, Local: p.Local, Service: p.Service, Session: p.ID, TLS: p.TLS, Failures: c.failures}
}

// ended is the last that the observer hears.
func (c *conn) ended(since time.Time) {
	s := c.stats
	s.Duration, s.In, s.Out, s.Reason = c.cfg.Clock().Sub(since), c.t.in, c.t.out, c.why
	if reason := c.kicked.Load(); reason != nil {
		s.Reason = EndKicked
		if *reason != "" {
			s.Reason += ": " + End(*reason)
		}
	}
	c.cfg.Observer.Ended(c.peer(), s)
}

// tlsText is "TLSv1.3 TLS_AES_128_GCM_SHA256" or the like.
func tlsText(s tls.ConnectionState) string {
	version := map[uint16]string{tls.VersionTLS10: "TLSv1.0", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}
	return version[s.Version] + " " + tls.CipherSuiteName(s.CipherSuite)
}

// addrPort is a's address and port, zero for what is not IP.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// nobody observes.
type nobody struct{}

func (nobody) Connected(Peer, func(string)) {}
func (nobody) LoggedIn(Peer) error          { return nil }
func (nobody) Ended(Peer, Stats)            {}
