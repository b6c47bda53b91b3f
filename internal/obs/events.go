package obs

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
)

// Events takes outcomes. Emit may be called from any goroutine, returns quickly and never fails.
type Events interface {
	Emit(Event)
}

// Event is one of the types of this file.
type Event interface{ event() }

// Discard takes outcomes and forgets them; for tests.
type Discard struct{}

// Emit does nothing.
func (Discard) Emit(Event) {}

// All passes each outcome to several takers, in order.
func All(takers ...Events) Events { return all(takers) }

type all []Events

func (a all) Emit(e Event) {
	for _, t := range a {
		t.Emit(e)
	}
}

// Peer is the other side of a connection that it made to us.
type Peer struct {
	Service string         // listener's name: "smtp", "imaps", ...
	Session string         // id of the connection
	Addr    netip.AddrPort // its address
	Name    string         // its verified name; empty if it has none
	Local   netip.Addr     // our address that it connected to
	TLS     string         // version and cipher; empty without TLS
}

// SessionID names a connection of a service by the engine's number of it; each engine counts on its own.
func SessionID(service string, number uint64) string {
	return service + "-" + strconv.FormatUint(number, 36)
}

// Connect: a client connected.
type Connect struct{ Peer }

// Disconnect: a client's connection ended, however it did.
type Disconnect struct {
	Peer
	Duration time.Duration
	Commands int    // how many it gave
	Reason   string // empty for an orderly end; else "timeout", "lost connection after RCPT", "too many errors after RCPT"
}

// Accepted: a message from a client is durably ours; 250 follows.
type Accepted struct {
	Peer
	ID        queueid.ID
	Helo      string
	Protocol  string // "ESMTPSA", as in Received
	Account   string // who logged in; empty if nobody
	Mech      string
	From      address.Address
	MessageID string // without <>
	Size      int64
	Nrcpt     int
}

// Submitted: a message from a program of this host is durably ours.
type Submitted struct {
	ID        queueid.ID
	UID       uint32 // the kernel's word
	Via       string // "socket" or "drop"
	From      address.Address
	MessageID string // without <>
	Size      int64
	Nrcpt     int
}

// Queued: mail that Postrider made itself entered the queue.
type Queued struct {
	ID    queueid.ID
	Cause queueid.ID // message that caused it
	Kind  string     // "bounce", "double-bounce", "redirect", "vacation", "notice"
	From  address.Address
	Size  int64
	Nrcpt int
}

// Outcome is what became of one recipient in one attempt.
type Outcome string

// The outcomes of an attempt.
const (
	Sent     Outcome = "sent"
	Deferred Outcome = "deferred"
	Bounced  Outcome = "bounced"
	Expired  Outcome = "expired" // given up after the last deferral
)

// Delivery: an attempt for one recipient ended.
type Delivery struct {
	ID        queueid.ID
	To        address.Address
	OrigTo    address.Address // before aliases; zero if the same
	Transport string          // "smtp", "lmtp", "mailbox", ...
	Relay     string          // "mx.example.test[192.0.2.1]:25", or "local"; "none" if nobody was reached
	Delay     time.Duration   // since arrival
	Delays    [4]time.Duration
	DSN       status.Enhanced
	Outcome   Outcome
	Class     string // why it was deferred or bounced, in flow.Class's words; empty: nothing is known
	Text      string // the remote's reply or our reason
}

// Attempt: a host was tried for recipients of a message, or could not be. The Delivery events of the recipients that it
// decided follow.
type Attempt struct {
	ID         queueid.ID
	Recipients []address.Address
	Site       string        // what shares limits with the host
	Relay      string        // "mx.example.test[192.0.2.1]:25"; "none" if no host could be named
	Local      netip.Addr    // our end of the connection
	Helo       string        // our name there
	TLS        string        // version and cipher; empty without TLS
	Trust      string        // with TLS: "verified", "fingerprint", "unverified"
	Account    string        // the name that we logged in with
	Reused     bool          // the connection had carried another message before
	Phase      string        // the last one reached: smtp.Phase's words; "dns", "connect"
	Replies    []string      // what the host answered to MAIL, RCPT, DATA and the end, each in full; bounded
	Error      string        // what broke it, in our words
	Connect    time.Duration // until the connection was ready for MAIL
	Duration   time.Duration
}

// Removed: a message left the queue; every recipient has its final outcome.
type Removed struct{ ID queueid.ID }

// Judged: what the rules that looked at a connection or a message found, and which of them led its recipients where they go.
type Judged struct {
	Peer
	ID     queueid.ID // zero: at the connection, before a message was begun
	To     []string   // recipients taken, as the client wrote them
	Rules  []Rule     // in order
	Routes []Rule
}

// Rule is one that decided something.
type Rule struct {
	Stage  string `json:"stage,omitempty"` // "connect", "helo", "mail", "rcpt", "data", "message"
	Rule   string `json:"rule"`            // as the configuration has it, or the setting's name
	Key    string `json:"key,omitempty"`   // what was asked
	Result string `json:"result"`
}

// Reason is one word for why something was refused.
type Reason string

// Reasons of refusals.
const (
	ReasonRelay     Reason = "relay"     // neither ours nor allowed to pass
	ReasonRecipient Reason = "recipient" // no such recipient here
	ReasonSender    Reason = "sender"    // sender not acceptable, or not the account's
	ReasonClient    Reason = "client"    // the client as such
	ReasonHelo      Reason = "helo"      // what the client calls itself
	ReasonSize      Reason = "size"
	ReasonQuota     Reason = "quota"
	ReasonContent   Reason = "content"
	ReasonPolicy    Reason = "policy"   // a rule of access control, a limit, a milter
	ReasonProtocol  Reason = "protocol" // a rule of the protocol was broken
	ReasonLimit     Reason = "limit"    // too many connections, recipients, errors
	ReasonLoop      Reason = "loop"
	ReasonLocal     Reason = "local" // our own failure; temporary
)

// Rejected: a command of a client was refused.
type Rejected struct {
	Peer
	ID       queueid.ID // zero if no message was begun
	Command  string     // "RCPT", "MAIL", "DATA", "CONNECT", ...
	Helo     string
	Protocol string
	Account  string
	From     string // as the client wrote it, without <>; may be empty
	To       string
	Reason   Reason
	Error    *status.Error // what was answered, and the cause
}

// ScreenWord is what the tests before and after the greeting found, in postscreen's words.
type ScreenWord string

// The words.
const (
	ScreenPassNew     ScreenWord = "PASS NEW"           // all tests are passed
	ScreenPassOld     ScreenWord = "PASS OLD"           // the same, of a client that was here before
	ScreenAllowlisted ScreenWord = "ALLOWLISTED"        // the access list permits it
	ScreenDenylisted  ScreenWord = "DENYLISTED"         // the access list rejects it
	ScreenPregreet    ScreenWord = "PREGREET"           // it talked before the greeting
	ScreenDNSBL       ScreenWord = "DNSBL"              // DNS lists score it too high
	ScreenListed      ScreenWord = "LISTED"             // one of them has it
	ScreenHangup      ScreenWord = "HANGUP"             // it left in the midst of the tests
	ScreenPipelining  ScreenWord = "COMMAND PIPELINING" // it sent more than one command where it may not
	ScreenCommand     ScreenWord = "NON-SMTP COMMAND"   // it speaks another protocol
	ScreenNewline     ScreenWord = "BARE NEWLINE"       // it ended a line with LF alone
	ScreenGreylisted  ScreenWord = "GREYLISTED"         // it was told to come again
)

// Screened: the tests of a client that nobody knows have found something.
type Screened struct {
	Peer
	What    ScreenWord
	After   time.Duration // since it connected
	Count   int           // octets of PREGREET, score of DNSBL, seconds of GREYLISTED
	Command string        // the command before a violation
	Text    string        // what the client said; the domain of a list; where it hung up
	Code    netip.Addr    // what the list answered
}

// AuthFailed: a login failed.
type AuthFailed struct {
	Peer
	Mech     string
	Account  string // the name that was tried
	Attempts int    // failures on this connection, this one included
	Error    error  // cause, for the log
}

// Login: a client logged in.
type Login struct {
	Peer
	Mech    string
	Account string
	Master  string // who logged in as the account, with a password of their own; empty: itself
}

// Logout: a session of a mail reader ended.
type Logout struct {
	Peer
	Account  string
	Duration time.Duration
	In, Out  int64     // bytes received and sent
	Reason   string    // "logged out", "connection closed", "timeout", ...
	Maildrop *Maildrop // POP3 only
}

func (Connect) event()    {}
func (Disconnect) event() {}
func (Accepted) event()   {}
func (Submitted) event()  {}
func (Queued) event()     {}
func (Delivery) event()   {}
func (Attempt) event()    {}
func (Judged) event()     {}
func (Removed) event()    {}
func (Rejected) event()   {}
func (Screened) event()   {}
func (AuthFailed) event() {}
func (Login) event()      {}
func (Logout) event()     {}
