package dns

import (
	"errors"
	"fmt"
	"time"
)

// Kind tells what a failed look-up means.
type Kind int

// The kinds of failure.
const (
	Temporary Kind = iota // we do not know; ask again later
	NXDomain              // the name does not exist (RFC 1035 §4.1.1, RCODE 3)
	NoData                // the name exists, without records of this type (RFC 2308 §2.2)
	Invalid               // the name, or every name it leads to, cannot be asked for: forbidden bytes, wrong lengths
)

func (k Kind) String() string {
	switch k {
	case NXDomain:
		return "no such name"
	case NoData:
		return "no such record"
	case Invalid:
		return "not a domain name"
	}
	return "temporary failure"
}

// Error is every error of this package.
type Error struct {
	Kind Kind
	Name string        // as asked
	Type string        // "MX", "A", ...
	TTL  time.Duration // of NXDomain and NoData: how long the absence holds (RFC 2308 §5)
	Err  error         // cause of a temporary failure; may name servers, so for the log only
}

func (e *Error) Error() string {
	s := fmt.Sprintf("dns: %s %s: %s", e.Name, e.Type, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err; what is not an *Error is Temporary.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Temporary
}

// TTLOf returns how long an absence holds; 0 for any other error.
func TTLOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.TTL
	}
	return 0
}

// IsTemporary tells whether err (not nil) leaves the question open.
func IsTemporary(err error) bool { return err != nil && KindOf(err) == Temporary }

// IsNotFound tells whether err says for certain that there is no such record, whether or not the name exists.
func IsNotFound(err error) bool {
	k := KindOf(err)
	return err != nil && (k == NXDomain || k == NoData)
}
