package flow

import (
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
)

// Changes is what those who judge a session want done with its message. It grows from stage to stage, and is obeyed when the
// message is accepted. The zero Changes leaves everything as it is.
type Changes struct {
	Hold       string            // not empty: put on hold when accepted; the reason, for log and operator
	Discard    string            // not empty: answer 250 and deliver nowhere; the reason
	Quarantine string            // not empty: mailboxes file it into Junk; the reason
	Redirect   address.Address   // not zero: goes there, instead of to its recipients
	Pass       bool              // no more checks of the content, nor milters
	Filter     string            // not empty: every recipient goes to this transport:nexthop first
	BCC        []address.Address // also to these
	Prepend    []byte            // header fields in front of the message and of our Received field, each with its CRLF
	// What a milter may want besides.
	From   *address.Address     // not nil: the reverse-path from now on
	Add    []envelope.Recipient // recipients more
	Remove []address.Address    // recipients less, as they were said in RCPT
}
