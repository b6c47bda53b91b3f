package pop3

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Observer hears of connections, for logs, counters and the list of sessions. Failed logins it can hear from Config.SASL.
// Its methods must not block and are called by many goroutines.
type Observer interface {
	// Connected comes first. kick ends the connection, with an -ERR that says the reason if the client waits for nothing; it
	// does not block and may be called by anyone at any time.
	Connected(p Peer, kick func(reason string))
	// LoggedIn comes when somebody has authenticated and has the maildrop. An error refuses the login after all, and reaches
	// the client as one of the Backend's does.
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
	// Mechanism is what it authenticated by: of SASL, or "USER" of the command.
	Mechanism string
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

	// Of a maildrop; all zero without a login.
	Messages       int   // at the login
	Bytes          int64 // of those
	Tops           int   // TOPs
	TopBytes       int64 // sent for them
	Retrieved      int   // RETRs
	RetrievedBytes int64 // sent for them
	Removed        int   // messages removed at QUIT
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
	EndDamaged  End = "message became unreadable"
	EndKicked   End = "ended by the administrator"
	EndPanic    End = "internal error"
)

// peer describes the connection as it stands.
func (c *conn) peer() Peer {
	p := Peer{ID: c.number, Service: "pop3", Remote: link.AddrPort(c.raw.RemoteAddr()), Local: link.AddrPort(c.raw.LocalAddr()), TLS: c.tls, Identity: c.id,
		Mechanism: c.mechanism, Activity: c.t.Activity}
	if c.mode == Implicit {
		p.Service = "pop3s"
	}
	return p
}

// origin is what authenticators learn of a login.
func (c *conn) origin() sasl.Origin {
	p := c.peer()
	return sasl.Origin{Remote: p.Remote, Local: p.Local, Service: p.Service, Session: p.ID, TLS: p.TLS, Failures: c.failures, Certificate: c.certificate}
}

// ended is the last that the observer hears.
func (c *conn) ended(since time.Time) {
	s := c.stats
	s.Duration, s.In, s.Out, s.Reason = c.cfg.Clock().Sub(since), c.t.In(), c.t.Out(), c.why
	if c.kicked.Load() != nil && c.why == EndLost {
		s.Reason = EndKicked // it was cut off
	}
	c.cfg.Observer.Ended(c.peer(), s)
}

// nobody observes.
type nobody struct{}

func (nobody) Connected(Peer, func(string)) {}
func (nobody) LoggedIn(Peer) error          { return nil }
func (nobody) Ended(Peer, Stats)            {}
