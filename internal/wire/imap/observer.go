package imap

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/wire/sasl"
)

// Observer hears of connections: for logs, counters, limits, and for operators who look at them. Its methods must not
// block and are called by many goroutines.
type Observer interface {
	// Connected is the first that is heard of a connection. kick ends it, at any time, with a BYE that says the reason; it
	// does not block and may be called by anyone, also when the connection has ended.
	Connected(p Peer, kick func(reason string))
	// LoggedIn follows an authentication that succeeded, before the client hears of it. An error refuses the login and
	// reaches the client like one of the Backend's.
	LoggedIn(p Peer) error
	// Ended is the last.
	Ended(p Peer, s Stats)
}

// kickGrace is how long a connection that is busy may take to notice that it was kicked.
const kickGrace = 5 * time.Second

// Peer is what is known of the other side of a connection.
type Peer struct {
	ID       uint64 // number of the connection within its Server
	Service  string // "imaps" where TLS comes first, else "imap"
	Remote   netip.AddrPort
	Local    netip.AddrPort
	TLS      string        // version and cipher; empty in the clear
	Identity sasl.Identity // zero: not authenticated
	// Activity tells how far the connection is. It may be called by anyone at any time.
	Activity func() Activity
}

// Activity is how far a connection is.
type Activity struct {
	Command  string // the last; empty: none yet
	Commands int
	In, Out  int64 // bytes, without those of TLS
	TLS      string
}

// Stats of a connection, as it ends.
type Stats struct {
	Duration time.Duration
	Commands int
	In, Out  int64 // bytes, without those of TLS
	Reason   End
}

// End is why a connection ended.
type End string

// The reasons.
const (
	EndLogout   End = "logged out"
	EndLost     End = "connection closed"
	EndTimeout  End = "timeout"
	EndLimit    End = "too many errors"
	EndTLS      End = "TLS handshake failed"
	EndShutdown End = "server shutting down"
	EndKicked   End = "ended by the administrator"
	EndPanic    End = "internal error"
)

// peer describes the connection as it stands.
func (c *conn) peer() Peer {
	p := Peer{ID: c.number, Service: "imap", Remote: addrPort(c.raw.RemoteAddr()), Local: addrPort(c.raw.LocalAddr()), TLS: c.tls, Identity: c.id,
		Activity: c.t.activity}
	if c.mode == Implicit {
		p.Service = "imaps"
	}
	return p
}

// origin is what authenticators learn of a login.
func (c *conn) origin() sasl.Origin {
	p := c.peer()
	return sasl.Origin{Remote: p.Remote, Local: p.Local, Service: p.Service, Session: p.ID, TLS: p.TLS, Failures: c.failures, Certificate: c.certificate}
}

// kick ends the connection from outside: as soon as it is at rest with a BYE, and soon in any case.
func (c *conn) kick(reason string) {
	c.kicked.CompareAndSwap(nil, &reason)
	c.t.notify(sigClose)
	time.AfterFunc(kickGrace, c.cutOff) // of a connection that has ended it means nothing
}

// ended is the last that the observer hears.
func (c *conn) ended(since time.Time) {
	if c.why == "" {
		c.why = EndLimit // whatever else ends a connection from our side is some excess, and has been said in BYE
	}
	c.cfg.Observer.Ended(c.peer(), Stats{Duration: c.cfg.Clock().Sub(since), Commands: c.commands, In: c.t.in, Out: c.t.out, Reason: c.why})
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

type nobody struct{}

func (nobody) Connected(Peer, func(string)) {}
func (nobody) LoggedIn(Peer) error          { return nil }
func (nobody) Ended(Peer, Stats)            {}
