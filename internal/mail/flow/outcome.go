package flow

import (
	"time"

	"github.com/postrider/postrider/internal/mail/status"
)

// Result is what became of a recipient in one attempt.
type Result uint8

// The results. Deferred leaves the recipient in the queue; the others end it.
const (
	Deferred  Result = iota // not now; try again. The zero value: no report means not done
	Delivered               // it is in the mailbox (or other final place), RFC 3464 "delivered"
	Relayed                 // the next MTA has taken it, RFC 3464 "relayed"
	Failed                  // it will not be delivered, RFC 3464 "failed"
)

func (r Result) String() string {
	switch r {
	case Delivered:
		return "delivered"
	case Relayed:
		return "relayed"
	case Failed:
		return "failed"
	}
	return "deferred"
}

// Final tells whether the recipient is done with.
func (r Result) Final() bool { return r != Deferred }

// Outcome is the report of one attempt for one recipient.
type Outcome struct {
	Recipient int // Recipient.No
	Result    Result
	Status    status.Enhanced
	Relay     string    // where it went: "mailstore", "mx.example.org[192.0.2.1]:25", "none"
	RemoteMTA string    // the host name that answered, for RFC 3464 Remote-MTA; empty when none did
	Reply     string    // the remote's words, lines separated by \n; or ours
	At        time.Time // when the attempt ended
	// Delays are Postfix's a/b/c/d: before the queue manager, in the queue, connection set-up, transmission.
	Delays    [4]time.Duration
	DSNPassed bool // the next MTA took over the duty to notify (RFC 3461 §5.2.2)
	// Class is why it was deferred or failed, as far as the words tell; Signal is what the attempt said about the site.
	Class  Class
	Signal Signal
	// Connected: a connection was made for the attempt; else one was used again, or none came about.
	Connected bool
}

// Failure makes the outcome of an error: Failed when permanent, else Deferred.
func Failure(recipient int, err error, at time.Time) Outcome {
	e := status.Of(err)
	o := Outcome{Recipient: recipient, Status: e.Enhanced, Relay: "none", Reply: e.Public, At: at}
	if e.Class == status.Permanent {
		o.Result = Failed
	}
	return o
}
