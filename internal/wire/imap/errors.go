package imap

import (
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/mail/status"
)

// failure is a negative tagged reply: NO or BAD, with a response code (RFC 9051 §7.1) or none.
type failure struct {
	status string // "NO" or "BAD"
	code   string // without brackets
	text   string
	err    error // for the log
}

func (f *failure) Error() string { return f.status + " " + f.text }
func (f *failure) Unwrap() error { return f.err }

func bad(format string, args ...any) *failure {
	return &failure{status: "BAD", text: fmt.Sprintf(format, args...)}
}

func no(code, text string) *failure { return &failure{status: "NO", code: code, text: text} }

// errClose ends the connection after what was written; BYE has been said.
var errClose = errors.New("connection ends")

// errGone ends the connection because the selected mailbox is no more: there is no response for that which all clients know;
// RFC 9051 §3.4 allows to end it.
var errGone = errors.New("selected mailbox was deleted")

// The refusals that a Backend states with a response code of its own (RFC 9051 §7.1, first in RFC 5530).
var (
	ErrNonexistent = Coded("NONEXISTENT", status.Perm(550, 1, 1, "No such mailbox"))
	ErrExists      = Coded("ALREADYEXISTS", status.Perm(550, 6, 0, "Mailbox exists already"))
	ErrNotAllowed  = Coded("NOPERM", status.Perm(550, 7, 1, "Permission denied"))
	ErrCannot      = Coded("CANNOT", status.Perm(550, 6, 0, "This cannot be done with this mailbox"))
)

type coded struct {
	code string
	err  error
}

// Coded attaches a response code to an error of the Backend's. The text still comes from status.Of(err).
func Coded(code string, err error) error { return &coded{code, err} }

func (c *coded) Error() string { return c.code + ": " + c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// codeOf is the table from enhanced status codes (RFC 3463) to response codes, for errors that are not Coded.
func codeOf(e *status.Error) string {
	type key struct{ class, subject, detail int }
	any := key{int(e.Enhanced.Class), int(e.Enhanced.Subject), int(e.Enhanced.Detail)}
	switch {
	case any.subject == 7 && any.detail == 8:
		return "AUTHENTICATIONFAILED"
	case any.subject == 7 && (any.detail == 11 || any.detail == 10):
		return "PRIVACYREQUIRED"
	case any.subject == 7 && any.class == 5:
		return "NOPERM"
	case any.subject == 2 && any.detail == 2:
		return "OVERQUOTA"
	case any.subject == 3 && any.detail == 4, any.subject == 2 && any.detail == 3:
		return "LIMIT"
	case any.class == 4:
		return "UNAVAILABLE" // RFC 5530 §3: a temporary failure, try again
	}
	return ""
}

// asFailure makes the tagged reply for any error.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	e := status.Of(err)
	out := &failure{status: "NO", code: codeOf(e), text: e.Public, err: err}
	var c *coded
	if errors.As(err, &c) {
		out.code = c.code
	}
	return out
}

// withCode replaces a response code: COPY to a mailbox that does not exist says TRYCREATE (RFC 9051 §6.4.7).
func withCode(err error, from, to string) error {
	if err == nil {
		return nil
	}
	f := *asFailure(err)
	if f.code == from {
		f.code = to
	}
	return &f
}
