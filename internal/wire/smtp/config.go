package smtp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Config is a service's. It must not change once given to a Server; Server.SetConfig puts another in its place, which
// new connections see.
type Config struct {
	Hostname string // our own name, in the greeting and the answer to EHLO
	Banner   string // what follows the name in the greeting; "" means "ESMTP" or "LMTP"
	LMTP     bool   // RFC 2033
	Backend  Backend
	TLS      *tls.Config // nil: no STARTTLS
	// Auth is offered under TLS only; nil: no AUTH.
	Auth *sasl.Server
	// RequireAuth is asked at MAIL when the client has not authenticated: an error is the reply (530 5.7.0 is the usual
	// one, ErrAuthRequired). nil: nobody need authenticate.
	RequireAuth func(*Peer) error
	// LaxNewlines names clients so old that they end lines with a bare LF. From them LF ends a line wherever it stands, in
	// commands, in the message (where it becomes CRLF) and around the final dot. The address of a client that has none (standard
	// input) is zero. nil: nobody.
	LaxNewlines func(netip.Addr) bool
	// XClient and XForward tell hosts that may say on whose behalf they speak, by these commands. nil: nobody may.
	XClient  func(netip.Addr) bool
	XForward func(netip.Addr) bool
	// Login finds the account that XCLIENT names as logged in. nil: it may name none.
	Login func(ctx context.Context, name string) (sasl.Identity, error)
	// GreetPause is how long to wait, before the greeting, for a client that talks first; 0: not at all. release may be called
	// by anyone at any time and ends the wait. When a wait has ended, over is called (unless it is nil): with what the client
	// has said, valid during the call, or with the error of a connection that is gone. nil: nobody waits.
	GreetPause func(p *Peer, release func()) (pause time.Duration, over func(early []byte, err error))
	// Begin is asked before a message is let in, with its client and its announced size (0: none was): an error is the reply to
	// DATA or BDAT. It may wait a while. end is called when the message is answered. nil: each is let in.
	Begin    func(ctx context.Context, from netip.Addr, size int64) (end func(), err error)
	Offers   Offers
	Limits   Limits
	Timeouts Timeouts
	Log      *slog.Logger // nil: nothing is logged
	Observer Observer     // nil: nothing is counted
	Register Register     // nil: nobody knows of the sessions
	Shared   *link.Shared // nil: what all services have in common is not bounded
}

// Limits of one Server; a zero field means the default named beside it.
type Limits struct {
	Connections  int   // at a time, 2000
	PerAddress   int   // at a time from one IPv4 address or IPv6 /64, 100
	MessageSize  int64 // octets, 50 MiB
	Recipients   int   // in one transaction, 1000
	Messages     int   // in one session, 1000
	Commands     int   // in one session, 100,000
	Errors       int   // malformed, unknown or misplaced commands in one session, 20
	Refusals     int   // refused senders, recipients and messages in one session, 200
	AuthFailures int   // in one session, 5
	Junk         int   // NOOP, VRFY, RSET, EHLO, and transactions without a message, since the last message, 100
	Drain        int64 // octets beyond MessageSize read and thrown away of a message too large, 100 MiB
}

// Timeouts of one Server; a zero field means the default named beside it (RFC 5321 §4.5.3.2, as servers see it).
type Timeouts struct {
	Command     time.Duration // from the end of one command to the end of the next, 5 min (§4.5.3.2.7)
	Block       time.Duration // until some more of a message arrives, 3 min (§4.5.3.2.5)
	Transaction time.Duration // from MAIL to the end of the message, 1 h
	Write       time.Duration // until the client takes our replies, 5 min
	Handshake   time.Duration // TLS, 1 min
}

const (
	maxCommand = 4096             // a command line with its CRLF; RFC 5321 §4.5.3.1.4 asks for 512 and more for extensions
	maxSkip    = 256 << 10        // octets without CRLF after which a connection is closed
	smallInput = 2 << 10          // input buffer of a session at rest
	largeInput = 64 << 10         // while a message, or a long line, comes in
	maxHello   = 255              // RFC 5321 §4.5.3.1.2
	maxParams  = 16               // parameters of one MAIL or RCPT
	slowStart  = 10 * time.Minute // a message may be as slow as Timeouts allow for so long, and then
	slowest    = 64               // octets a second from its beginning on; slower ones only hold our resources
	maxChunk   = 1<<62 - 1        // BDAT's number, before Limits.MessageSize is looked at
)

func or[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (l *Limits) defaults() {
	or(&l.Connections, 2000)
	or(&l.PerAddress, 100)
	or(&l.MessageSize, 50<<20)
	or(&l.Recipients, 1000)
	or(&l.Messages, 1000)
	or(&l.Commands, 100_000)
	or(&l.Errors, 20)
	or(&l.Refusals, 200)
	or(&l.AuthFailures, 5)
	or(&l.Junk, 100)
	or(&l.Drain, 100<<20)
}

func (t *Timeouts) defaults() {
	or(&t.Command, 5*time.Minute)
	or(&t.Block, 3*time.Minute)
	or(&t.Transaction, time.Hour)
	or(&t.Write, 5*time.Minute)
	or(&t.Handshake, time.Minute)
}

// complete returns a copy of c with the defaults filled in.
func (c *Config) complete() *Config {
	full := *c
	full.Limits.defaults()
	full.Timeouts.defaults()
	if full.Banner == "" {
		full.Banner = "ESMTP"
		if full.LMTP {
			full.Banner = "LMTP"
		}
	}
	if full.Log == nil {
		full.Log = slog.New(slog.DiscardHandler)
	}
	if full.Observer == nil {
		full.Observer = nobody{}
	}
	if full.Register == nil {
		full.Register = nobody{}
	}
	return &full
}

type nobody struct{}

func (nobody) Event(Event, *Peer)            {}
func (nobody) Connected(*Peer, func(string)) {}
func (nobody) LoggedIn(*Peer) error          { return nil }
func (nobody) Ended(*Peer)                   {}
