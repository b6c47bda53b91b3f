package imap

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/wire/link"
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
type Activity = link.Activity

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
	p := Peer{ID: c.number, Service: "imap", Remote: link.AddrPort(c.raw.RemoteAddr()), Local: link.AddrPort(c.raw.LocalAddr()), TLS: c.tls, Identity: c.id,
		Activity: c.t.Activity}
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
	c.t.Notify(sigClose)
	time.AfterFunc(link.KickGrace, c.cutOff) // of a connection that has ended it means nothing
}

// ended is the last that the observer hears.
func (c *conn) ended(since time.Time) {
	if c.why == "" {
		c.why = EndLimit // whatever else ends a connection from our side is some excess, and has been said in BYE
	}
	c.cfg.Observer.Ended(c.peer(), Stats{Duration: c.cfg.Clock().Sub(since), Commands: c.commands, In: c.t.In(), Out: c.t.Out(), Reason: c.why})
}

type nobody struct{}

func (nobody) Connected(Peer, func(string)) {}
func (nobody) LoggedIn(Peer) error          { return nil }
func (nobody) Ended(Peer, Stats)            {}
