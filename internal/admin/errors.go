package admin

import (
	"errors"
	"fmt"
	"net/http"
)

// Kind says what sort of failure an Error is.
type Kind string

// The kinds.
const (
	NotFound    Kind = "not-found"   // what is named is not there
	Exists      Kind = "exists"      // what is to be made is there already
	InUse       Kind = "in-use"      // something else needs it
	Invalid     Kind = "invalid"     // the arguments make no sense
	Temporary   Kind = "temporary"   // it may work later: disk full, busy
	Unavailable Kind = "unavailable" // the server is not there, or ends
	Denied      Kind = "denied"      // the system refuses the caller
	Internal    Kind = "internal"    // anything else; the disk, for instance
)

// Error is a failure in words for the operator.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"error"`
}

func (e *Error) Error() string { return e.Text }

// Errorf makes an Error.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// KindOf returns an error's kind, Internal for what is no Error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// asError makes any error one that crosses the socket.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Text: err.Error()}
}

// httpStatus is for whoever looks at the socket with a tool of HTTP; our client reads the Kind.
func (k Kind) httpStatus() int {
	switch k {
	case NotFound:
		return http.StatusNotFound
	case Exists, InUse:
		return http.StatusConflict
	case Invalid:
		return http.StatusBadRequest
	case Denied:
		return http.StatusForbidden
	case Temporary, Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
