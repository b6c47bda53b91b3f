package address

import "github.com/postrider/postrider/internal/mail/status"

// Reason says what is wrong with an address.
type Reason uint8

// The reasons.
const (
	Syntax        Reason = iota // not a path or mailbox at all
	Control                     // NUL, a control character, or bytes that are not UTF-8
	NeedsUTF8                   // above ASCII, and SMTPUTF8 was not given
	LocalTooLong                // over MaxLocal octets; only New says so
	DomainTooLong               // over MaxDomain octets, or a label over 63
	PathTooLong                 // over MaxPath octets
	BadDomain                   // not a domain name
	BadLiteral                  // not an IPv4 or IPv6 address literal
)

var reasonText = [...]string{
	Syntax:        "is not of the form <local@domain>",
	Control:       "contains a control character or bytes that are not UTF-8",
	NeedsUTF8:     "has characters outside ASCII, which needs SMTPUTF8",
	LocalTooLong:  "has a local part longer than 64 octets",
	DomainTooLong: "has a domain or a part of it that is too long",
	PathTooLong:   "is longer than 256 octets",
	BadDomain:     "has a domain that is not a domain name",
	BadLiteral:    "has an address literal that is not [IPv4] or [IPv6:address]",
}

func (r Reason) String() string {
	if int(r) < len(reasonText) {
		return reasonText[r]
	}
	return "is wrong"
}

// Error is what every failure of this package is.
type Error struct {
	Reason Reason
	Detail string // for the log; may hold bytes of the peer
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return "address " + e.Reason.String()
	}
	return "address " + e.Reason.String() + ": " + e.Detail
}

// Status is the reply to a MAIL (sender true) or RCPT that has this address: 501 or 553 with X.1.7 or X.1.3 (RFC 3463
// §3.2), X.6.7 for an address that needs SMTPUTF8 (RFC 6531 §4.2).
func (e *Error) Status(sender bool) *status.Error {
	who, detail := "Recipient address ", uint16(3)
	if sender {
		who, detail = "Sender address ", 7
	}
	switch e.Reason {
	case NeedsUTF8:
		return status.Perm(553, 6, 7, who+e.Reason.String()).With("address", e)
	case LocalTooLong, DomainTooLong, PathTooLong:
		return status.Perm(553, 1, detail, who+e.Reason.String()).With("address", e)
	}
	return status.Perm(501, 1, detail, who+e.Reason.String()).With("address", e)
}

func wrong(r Reason, detail string) *Error { return &Error{Reason: r, Detail: detail} }
