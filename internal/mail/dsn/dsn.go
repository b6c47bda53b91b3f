// Package dsn builds delivery status notifications: multipart/report (RFC 6522) with a text for people, the facts for
// machines (RFC 3464) and the message they are about, or its header; RFC 6533 where addresses are beyond ASCII. What a
// sender asked for is RFC 3461.
//
// The notification is a recipe: the returned message is a range of the stored one, never a copy. The package sends
// nothing, and whether a report is due (never for mail from <>) the caller decides; Wanted says what the recipient's
// NOTIFY asks. It has no clock and no randomness.
//
//	dsn.go      the values, Wanted
//	build.go    the message
//	fields.go   message/delivery-status
//	text.go     the text for people
//	advice.go   what an enhanced status code means to people
//
// Build fails only with ErrTooMany.
package dsn

import (
	"errors"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
)

// Action is the Action field, RFC 3464 §2.3.3.
type Action uint8

// The actions.
const (
	Failed Action = iota
	Delayed
	Delivered
	Relayed
	Expanded
)

func (a Action) String() string {
	switch a {
	case Failed:
		return "failed"
	case Delayed:
		return "delayed"
	case Delivered:
		return "delivered"
	case Relayed:
		return "relayed"
	}
	return "expanded"
}

// Audience is whom a report is for.
type Audience uint8

// The audiences.
const (
	Sender     Audience = iota // who sent the message
	Postmaster                 // ours, because the sender cannot be told: a double bounce
	Copy                       // ours, who likes to know what senders are told
)

// Wanted tells whether a recipient's NOTIFY (RFC 3461 §4.1) asks for a report of this action. Without NOTIFY failures and
// delays are reported.
func Wanted(n envelope.Notify, a Action) bool {
	switch {
	case n&envelope.NotifyNever != 0:
		return false
	case a == Failed:
		return n == 0 || n&envelope.NotifyFailure != 0
	case a == Delayed:
		return n == 0 || n&envelope.NotifyDelay != 0
	}
	return n&envelope.NotifySuccess != 0
}

// ErrTooMany is returned by Build for no recipients, or for more than one report can hold: see Chunks.
var ErrTooMany = errors.New("too many recipients, or none, in a delivery report")

// room is what the parts about recipients may take of recipe.MaxLiteral; the rest is for the report's own header and for
// the literals of the returned message.
const room = recipe.MaxLiteral - maxReturned - 4<<10

// Chunks splits a list of recipients into such as one report each can hold, some thirty of the ordinary kind.
func Chunks(list []Recipient) [][]Recipient {
	var chunks [][]Recipient
	start, used := 0, 0
	for i := range list {
		cost := list[i].cost()
		if i > start && used+cost > room {
			chunks, start, used = append(chunks, list[start:i]), i, 0
		}
		used += cost
	}
	if start < len(list) {
		chunks = append(chunks, list[start:])
	}
	return chunks
}

// cost bounds the bytes that a recipient takes in both parts.
func (p *Recipient) cost() int {
	const labels = 900
	return labels + 2*len(p.Final.String()) + 2*len(p.ORcpt) + 2*len(p.Remote) + 2*min(len(p.Diagnostic), maxWords) + 10*maxLines
}

// Report is everything that a notification tells.
type Report struct {
	Host       string // our name: Reporting-MTA, From
	Audience   Audience
	To         address.Address // who reads it, never zero: the reverse-path of the original message if it is for its sender
	Sender     address.Address // the reverse-path of the original message; only read if the report is not for its sender
	ID         string          // queue id of the notification; makes Message-ID and boundary
	Date       time.Time       // now
	OriginalID string          // queue id of the original message
	Arrival    time.Time       // when it came
	EnvID      string          // ENVID of its sender, RFC 3461 §4.4, decoded
	Recipients []Recipient
	Original   Original
}

// Recipient is what happened to one recipient.
type Recipient struct {
	ORcpt  string          // ORCPT as "addr-type;address", decoded; empty if not given
	Final  address.Address // where it was to go in the end
	Action Action
	Status status.Enhanced
	// Remote is the host that spoke, empty when the failure is our own.
	Remote string
	// Diagnostic is what it said ("550 5.1.1 No such user", lines separated by \n), or what we say.
	Diagnostic  string
	LastAttempt time.Time // zero: none
	RetryUntil  time.Time // of Delayed; zero: not known
}

// Original is the message that the report is about.
type Original struct {
	Message    recipe.Recipe
	HeaderSize int64  // of Message
	Subject    string // in UTF-8, for the text
	MessageID  string // without angle brackets
	Ret        envelope.Ret
	Body       envelope.Body
	UTF8       bool // it came with SMTPUTF8
	EightBit   bool // it has bytes above ASCII
	// MaxReturn is the largest message that is returned whole; of a larger one the header is.
	MaxReturn int64
}

// Message is a notification.
type Message struct {
	Recipe   recipe.Recipe
	UTF8     bool // it needs SMTPUTF8
	EightBit bool // it needs 8BITMIME
}
