package pop3

import (
	"errors"

	"github.com/postrider/postrider/internal/mail/status"
)

// refusal is a negative reply: -ERR, with an extended response code (RFC 2449 §8) or none.
type refusal struct {
	code   string // without brackets
	text   string
	misuse bool  // it is no POP3, or not now: counted
	err    error // for the log
}

func (r *refusal) Error() string { return "-ERR " + r.text }
func (r *refusal) Unwrap() error { return r.err }

func misuse(text string) *refusal { return &refusal{text: text, misuse: true} }

// errClose ends the connection after what was written.
var errClose = errors.New("connection ends")

type coded struct {
	code string
	err  error
}

// Coded attaches a response code, or none, to an error of the Backend's or the Observer's. The text still comes from
// status.Of(err).
func Coded(code string, err error) error { return &coded{code, err} }

func (c *coded) Error() string { return c.code + ": " + c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// codeOf is the table from enhanced status codes (RFC 3463) to response codes (RFC 3206), for errors that are not Coded.
func codeOf(e *status.Error) string {
	switch {
	case e.Class == status.Temporary:
		return "SYS/TEMP"
	case e.Enhanced.Subject == 7 && e.Enhanced.Detail == 8:
		return "AUTH"
	}
	return "SYS/PERM"
}

// asRefusal makes the reply for any error.
func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	e := status.Of(err)
	out := &refusal{code: codeOf(e), text: e.Public, err: err}
	var c *coded
	if errors.As(err, &c) {
		out.code = c.code
	}
	return out
}
