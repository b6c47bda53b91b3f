// Package gate is where an SMTP session is judged, stage by stage: connection, HELO, MAIL, RCPT, before DATA, the whole message.
// Whoever judges (restriction lists, limits, greylisting, milters, checks of the content) is a Gate; a service has a Chain of
// them, asked in order. The first error ends a stage: it is the reply.
//
// A gate does not act. What it wants done with a message it adds to Transaction.Changes, and what decided it tells
// Conn.Note. So the same gates serve the agents, which act, and `postrider explain`, which only shows.
//
//	gate.go     what is judged, and by whom
//	chain.go    several gates as one
//	refusal.go  an error with the log's word for it
//	heard.go    what rules found, collected for the trace
//	message.go  the message as gates see it
//	edit.go     what gates change of it
package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
)

// Conn is what is known of a connection. Its agent keeps it up to date between calls: Client.Helo, Protocol and TLS follow
// EHLO and STARTTLS, Account and Login follow AUTH.
type Conn struct {
	Service   string // the listener's name: smtp, submission, submissions
	Session   string // as in the log
	Client    flow.Client
	Reverse   string // the client's reverse name, not verified; empty: none, or not known. Client.Name is the verified one
	NameErr   error  // why the DNS could not tell one of the names for now; nil: it could
	NameTold  bool   // a host in front of us told the name (XCLIENT): it is not looked up
	Local     netip.AddrPort
	Extended  bool                 // EHLO, not HELO
	Early     bool                 // the client talked before it was greeted
	Ahead     func() bool          // whether the client has sent more than it may have by now; nil: nobody knows
	TLS       *tls.ConnectionState // nil in the clear
	Mechanism string               // of AUTH
	// Dry: the session is only thought of. Nothing may be remembered of it: no counter rises, no greylist entry is made.
	Dry bool
	// Note hears of each rule that was looked at, for explanation and trace. nil: nobody listens.
	Note func(Note)
}

// errNotTold is XCLIENT's [TEMPUNAVAIL].
var errNotTold = errors.New("the host in front of us could not look up its client's name")

// TakeName takes a host's word, in front of us, for the client's name; failed: that host could not look it up.
func (c *Conn) TakeName(name string, failed bool) {
	c.NameTold, c.Reverse, c.Client.Name = true, name, name
	if failed {
		c.NameErr = errNotTold
	}
}

// Note is a rule that was looked at, and what came of it.
type Note struct {
	Stage  Stage
	Rule   string // as the configuration has it: "reject_rbl_client zen.example"; or the setting's name
	Result string // "permit", "reject 554 5.7.1 …", "dunno", …
}

// Tell notes a rule.
func (c *Conn) Tell(stage Stage, rule, result string) {
	if c.Note != nil {
		c.Note(Note{stage, rule, result})
	}
}

// Stage is a point of a session.
type Stage string

// The stages.
const (
	AtConnect Stage = "connect"
	AtHello   Stage = "helo"
	AtMail    Stage = "mail"
	AtRcpt    Stage = "rcpt"
	AtData    Stage = "data"    // before 354
	AtMessage Stage = "message" // after the final dot
)

// Transaction is a mail transaction as gates see it. Envelope.Recipients are those accepted so far.
type Transaction struct {
	*flow.Transaction
	Conn     *Conn
	Envelope *envelope.Envelope // flow.Transaction's is a copy made at the end
	Changes  flow.Changes
	// MayRelay is set at RCPT by the gate that decides who may send to domains that are not ours.
	MayRelay bool
}

// Gate judges sessions. It is safe for concurrent use.
type Gate interface {
	// Connect judges a new connection, before the greeting, and begins its session. An error is said in the greeting's place.
	Connect(ctx context.Context, c *Conn) (Session, error)
}

// Session judges one connection; it is called by one goroutine. An error is the reply (through status.Of).
type Session interface {
	Hello(ctx context.Context) error
	Mail(ctx context.Context, tx *Transaction) error
	Rcpt(ctx context.Context, tx *Transaction, r *envelope.Recipient) error
	// Data comes before 354.
	Data(ctx context.Context, tx *Transaction) error
	// Message comes when all of it is here, before it is accepted.
	Message(ctx context.Context, tx *Transaction, m *Message) error
	// Reset follows a transaction that ends, accepted or not.
	Reset(ctx context.Context)
	// Close is the last call.
	Close()
}

// Open is the session of a gate that has nothing to say: to embed in those that judge some stages only.
type Open struct{}

var _ Session = Open{}

// Hello lets pass.
func (Open) Hello(context.Context) error { return nil }

// Mail lets pass.
func (Open) Mail(context.Context, *Transaction) error { return nil }

// Rcpt lets pass.
func (Open) Rcpt(context.Context, *Transaction, *envelope.Recipient) error { return nil }

// Data lets pass.
func (Open) Data(context.Context, *Transaction) error { return nil }

// Message lets pass.
func (Open) Message(context.Context, *Transaction, *Message) error { return nil }

// Reset forgets nothing.
func (Open) Reset(context.Context) {}

// Close does nothing.
func (Open) Close() {}
