// Package envelope is the envelope of a mail transaction: what MAIL and RCPT say (RFC 5321 §3.3) with the parameters of
// SIZE (RFC 1870), 8BITMIME (RFC 6152), BINARYMIME (RFC 3030), SMTPUTF8 (RFC 6531) and DSN (RFC 3461). The envelope is
// not the header of the message (RFC 5322).
package envelope

import (
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

// Body is the BODY parameter of MAIL, RFC 6152 and RFC 3030.
type Body uint8

// The values of BODY.
const (
	Body7Bit Body = iota // also when not given
	Body8BitMIME
	BodyBinaryMIME
)

// Notify is the NOTIFY parameter of RCPT, RFC 3461 §4.1: a set. Zero means "not given" (failure, and delay at the MTA's
// choice).
type Notify uint8

// The members of NOTIFY. Never excludes the others.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Ret is the RET parameter of MAIL, RFC 3461 §4.3.
type Ret uint8

// The values of RET.
const (
	RetUnset Ret = iota
	RetFull
	RetHeaders
)

// Envelope is reverse-path, recipients and the parameters that travel on with the message.
type Envelope struct {
	From       address.Address // zero: the null reverse-path
	Body       Body
	UTF8       bool   // SMTPUTF8 was given, RFC 6531
	Size       int64  // SIZE as declared, bytes; 0 when not given
	Ret        Ret    // RFC 3461 §4.3
	EnvID      string // RFC 3461 §4.4, decoded from xtext; at most 100 bytes
	RequireTLS bool   // RFC 8689 §3
	// HoldUntil is HOLDUNTIL, or HOLDFOR counted from MAIL (RFC 4865 §4); zero: not given.
	HoldUntil time.Time
	Priority  int8 // MT-PRIORITY (RFC 6710 §4.1), -9 to 9; 0 when not given
	// DeliverBy is BY counted from MAIL (RFC 2852 §4), zero: not given; with Return it fails then, else the sender is warned.
	DeliverBy       time.Time
	DeliverByReturn bool
	// VERP are the two delimiters of the reverse-path that each recipient's copy shall have of its own (XVERP); empty: not asked for.
	VERP       string
	Recipients []Recipient
}

// Recipient is one forward-path with its DSN parameters.
type Recipient struct {
	To     address.Address
	Notify Notify
	// ORcpt is the original recipient, RFC 3461 §4.2, as "addr-type;address" decoded from xtext; empty when not given; at
	// most 500 bytes.
	ORcpt string
}
