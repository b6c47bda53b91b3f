package smtp

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Backend is what an agent gives to a Server.
type Backend interface {
	// Connect is called for each connection before the greeting. An error with a 4xx code is sent in the greeting's place
	// and the connection closed; with 5xx it is sent and nothing but QUIT taken (RFC 5321 §3.1). p stays the session's:
	// the engine changes it between calls, never during one.
	Connect(ctx context.Context, p *Peer) (Session, error)
}

// Session is one connection's, called by one goroutine. ctx ends with the connection or when shutdown has lost patience.
// Errors become replies through status.Of; a 421 also ends the session.
type Session interface {
	// Hello follows EHLO, HELO or LHLO; the name is in Peer.Hello, unverified.
	Hello(ctx context.Context) error
	// Mail opens a transaction. e has everything that MAIL said and stays the transaction's; the session may keep it.
	Mail(ctx context.Context, e *envelope.Envelope) error
	// Rcpt judges one more recipient. When it returns nil, r is appended to e.Recipients.
	Rcpt(ctx context.Context, e *envelope.Envelope, r *envelope.Recipient) error
	// Ready judges a transaction with recipients before 354; with BDAT, before the first chunk is looked at.
	Ready(ctx context.Context, e *envelope.Envelope) error
	// Data takes the message: body gives its octets, with CRLF line ends, free of NUL, within Limits.MessageSize. Text is
	// the reply after "250 2.0.0 "; success promises that the message is safe. A failing Read (a timeout, a bare LF, too
	// large) must fail Data; the engine's own reply is then the one that is sent. Data may return before the end: the
	// rest is read and thrown away. body must not be used after the return. In LMTP the error may be RecipientErrors.
	Data(ctx context.Context, e *envelope.Envelope, body io.Reader) (text string, err error)
	// Reset follows a transaction that ends without Data having succeeded: RSET, a refusal, EHLO, STARTTLS or the end of
	// the session.
	Reset(ctx context.Context)
	// Close is the last call.
	Close(s Stats)
}

// RecipientErrors are LMTP's answers to a message, one for each recipient of the envelope; nil means delivered.
type RecipientErrors []error

func (r RecipientErrors) Error() string {
	n := 0
	for _, err := range r {
		if err != nil {
			n++
		}
	}
	return fmt.Sprintf("%d of %d recipients failed", n, len(r))
}

// Peer is what is known of the other side of a connection.
type Peer struct {
	ID        uint64         // number of the connection within its Server
	Remote    netip.AddrPort // zero for a local socket
	Local     netip.AddrPort
	Connected time.Time
	Early     bool                 // the client talked before the greeting
	Hello     string               // argument of the last EHLO, HELO or LHLO
	Extended  bool                 // it was EHLO or LHLO
	LMTP      bool                 //
	TLS       *tls.ConnectionState // nil in the clear
	Identity  sasl.Identity        // zero: not authenticated
	Mechanism string               // of AUTH
	// Direct is who has connected; Remote is another when Direct said so by XCLIENT, and then Told is what it said.
	Direct netip.AddrPort
	Told   *Original
	// Forwarded is where the next message came from, as XFORWARD said; nil: from Remote.
	Forwarded *Original
	// Ahead tells, within a call of the Session, whether the client has sent more already than it may have: anything without
	// EHLO, since only that can announce PIPELINING, and what follows EHLO or DATA before its reply (RFC 2920 §3.1).
	Ahead func() bool
	// Activity tells how far the session is. It may be called by anyone at any time.
	Activity func() Activity
}

// Protocol is the "with" word of Received: RFC 3848, and RFC 6531 §4.3 for a message with SMTPUTF8.
func (p *Peer) Protocol(utf8 bool) string {
	word := "SMTP"
	switch {
	case p.LMTP && utf8:
		word = "UTF8LMTP"
	case p.LMTP:
		word = "LMTP"
	case utf8:
		word = "UTF8SMTP"
	case p.Extended, p.TLS != nil, !p.Identity.IsZero(): // there is no keyword SMTPS
		word = "ESMTP"
	}
	if p.TLS != nil {
		word += "S"
	}
	if !p.Identity.IsZero() {
		word += "A"
	}
	return word
}

// TLSText is "TLSv1.3 TLS_AES_128_GCM_SHA256" or the like, empty in the clear.
func (p *Peer) TLSText() string {
	if p.TLS == nil {
		return ""
	}
	return link.TLSText(p.TLS)
}

// Stats of a session, as it ends.
type Stats struct {
	Duration   time.Duration
	Commands   int
	Messages   int    // accepted
	Recipients int    // accepted, in accepted messages
	Octets     int64  // of messages, read
	Errors     int    // malformed, unknown, misplaced commands
	Refusals   int    // by the Backend or a limit
	BareLines  int    // commands and messages with a bare LF or CR
	Last       string // verb of the last command: CONNECT before the first, UNKNOWN for one that there is not
	Reason     End    // why the session ended
}

// Trouble is Reason in the words that logs of mail servers have for it; empty for an orderly end.
func (s Stats) Trouble() string {
	last := s.Last
	if last == "" {
		last = "CONNECT"
	}
	switch s.Reason {
	case EndQuit, "":
		return ""
	case EndLost:
		return "lost connection after " + last
	case EndTimeout:
		return "timeout after " + last
	case EndLimit:
		return "too many errors after " + last
	}
	return string(s.Reason) + " after " + last
}

// End is why a session ended.
type End string

// The reasons.
const (
	EndQuit     End = "quit"
	EndLost     End = "lost"     // the client closed, or the connection broke
	EndTimeout  End = "timeout"  //
	EndRefused  End = "refused"  // by Connect, a 421 of the Backend, or a limit of connections
	EndLimit    End = "limit"    // too many errors, commands or the like
	EndAttack   End = "attack"   // HTTP, or plaintext after STARTTLS
	EndTLS      End = "tls"      // handshake failed
	EndShutdown End = "shutdown" //
	EndKicked   End = "kicked"   // by an operator
	EndPanic    End = "panic"    //
)

// Event is something worth counting.
type Event string

// The events.
const (
	EventConnect     Event = "connect"
	EventTooMany     Event = "too_many_connections"
	EventEarly       Event = "early_talker"
	EventTLS         Event = "tls"
	EventTLSFailed   Event = "tls_failed"
	EventInjection   Event = "starttls_injection"
	EventHTTP        Event = "http"
	EventBareLine    Event = "bare_newline"
	EventError       Event = "command_error"
	EventAuth        Event = "auth"
	EventAuthFailed  Event = "auth_failed"
	EventMailRefused Event = "mail_refused"
	EventRcptRefused Event = "rcpt_refused"
	EventDataRefused Event = "data_refused"
	EventMessage     Event = "message"
	EventTimeout     Event = "timeout"
	EventPanic       Event = "panic"
	EventClose       Event = "close"
)

// Observer counts. It must not block and is called by many goroutines.
type Observer interface {
	Event(e Event, p *Peer)
}

// The replies that the engine gives of its own accord and that agents may want too.
var (
	ErrAuthRequired = status.Perm(530, 7, 0, "Authentication required")                                // RFC 4954 §6
	ErrNeedTLS      = status.Perm(530, 7, 0, "Must issue a STARTTLS command first")                    // RFC 3207 §4
	ErrTooBig       = status.Perm(552, 3, 4, "Message size exceeds fixed limit")                       // RFC 1870 §6
	ErrBareLF       = status.Perm(554, 6, 0, "Message contains a bare LF (lines must end with CR LF)") // RFC 5321 §2.3.8
	ErrBareCR       = status.Perm(554, 6, 0, "Message contains a bare CR (lines must end with CR LF)") // RFC 5321 §2.3.8
	ErrNUL          = status.Perm(554, 6, 0, "Message contains a NUL octet")                           // RFC 5322 §2.2, RFC 6152 §3
)

var (
	errLineBare   = status.Perm(500, 5, 2, "Bare LF or CR in command: lines must end with CR LF")
	errLineNUL    = status.Perm(500, 5, 2, "NUL in command")
	errLine8Bit   = status.Perm(500, 5, 2, "Command has octets outside ASCII")
	errLineLong   = status.Perm(500, 5, 6, "Line too long")
	errUnknown    = status.Perm(500, 5, 2, "Command not recognized")
	errNoVerb     = status.Perm(502, 5, 1, "Command not implemented")
	errSyntax     = status.Perm(501, 5, 4, "Syntax error in arguments")
	errNoArgs     = status.Perm(501, 5, 4, "This command takes no arguments")
	errSequence   = status.Perm(503, 5, 1, "Bad sequence of commands")
	errHelloFirst = status.Perm(503, 5, 1, "Send EHLO or HELO first")
	errNested     = status.Perm(503, 5, 1, "A mail transaction is already open")
	errNeedMail   = status.Perm(503, 5, 1, "Send MAIL first")
	errNeedRcpt   = status.Perm(503, 5, 1, "Send RCPT first")
	errNoRcpt     = status.Perm(554, 5, 1, "No valid recipients")
	errRefused    = status.Perm(503, 5, 1, "Connection was refused; only QUIT is accepted")
	errBdat       = status.Temp(421, 5, 4, "Syntax error in BDAT: no telling how much follows; closing connection")
	errRcptMax    = status.Temp(452, 5, 3, "Too many recipients")
	errRepeated   = status.Temp(421, 7, 0, "Too many errors on this connection; closing")
	errMessages   = status.Temp(421, 7, 0, "Too many messages on this connection; open another")
	errCommands   = status.Temp(421, 7, 0, "Too many commands on this connection; closing")
	errTimeout    = status.Temp(421, 4, 2, "Timeout waiting for the client; closing connection")
	errShutdown   = status.ErrShutdown
	errPanic      = status.Temp(421, 3, 0, "Internal error; closing connection, try again later")
	errHTTP       = status.Temp(421, 7, 0, "This is not an HTTP server; closing connection")
	errInjected   = status.Perm(554, 5, 0, "Input after STARTTLS in plain text; closing connection")
	errCrowded    = status.Temp(421, 3, 2, "Too many connections; try again later")
	errBanned     = status.Temp(421, 7, 0, string(link.Banned))
	errCrowdedIP  = status.Temp(421, 7, 0, "Too many connections from your address, or network; try again later")
)
