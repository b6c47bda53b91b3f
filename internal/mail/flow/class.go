package flow

// Class is why a recipient was deferred or failed: what decides about the time of the next attempt, and what reports and
// suppression lists count. Numbers are part of the database format; never renumber.
type Class uint8

// The classes.
const (
	ClassNone       Class = 0  // it was delivered, or nothing is known
	ClassOther      Class = 1  // no words that we know
	ClassGreylisted Class = 2  // come again in some minutes
	ClassThrottled  Class = 3  // too many connections, messages or recipients in a time
	ClassBlocked    Class = 4  // our address or domain has a bad name there
	ClassPolicy     Class = 5  // a rule of the receiver: authentication, DMARC, relaying
	ClassContent    Class = 6  // taken for spam, a virus, a forbidden form
	ClassFull       Class = 7  // the mailbox or its host is full
	ClassUnknown    Class = 8  // no such mailbox
	ClassInactive   Class = 9  // the mailbox is closed or asleep
	ClassDomain     Class = 10 // no such domain, or it takes no mail
	ClassDNS        Class = 11 // the DNS gives no answer
	ClassNetwork    Class = 12 // no connection, or it broke
	ClassProtocol   Class = 13 // they do not speak the protocol, or lack an extension
	ClassTLS        Class = 14 // no TLS of the strength that is asked for
	ClassAuth       Class = 15 // our login there failed
	ClassSize       Class = 16 // the message is too large for them
	ClassLoop       Class = 17 // it came back
	ClassLocal      Class = 18 // our own trouble: storage, configuration
	ClassSuppressed Class = 19 // it was not tried: the address is on the suppression list
	ClassExpired    Class = 20 // deferred for too long, for reasons that changed
)

var classNames = [...]string{"", "other", "greylisted", "throttled", "blocked", "policy", "content", "full", "unknown", "inactive", "domain",
	"dns", "network", "protocol", "tls", "auth", "size", "loop", "local", "suppressed", "expired"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "other"
}

// Signal is what an attempt said about the site as a whole.
type Signal uint8

// The signals.
const (
	Silent      Signal = iota // nothing: the recipient's or the message's own matter
	Well                      // it works
	Slower                    // it wants less of us: 421, too many connections, throttled
	Unreachable               // no host of it could be connected to, or greeted us
	Refuses                   // it refuses us as such: blocked
)
