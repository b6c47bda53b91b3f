package directory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/mail/status"
)

// Kinds of an Error of administration.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrInUse    = errors.New("in use")
	ErrInvalid  = errors.New("invalid")
)

// Error is a failure of administration, in words for the operator.
type Error struct {
	Kind error // ErrNotFound, …
	Text string
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

func fail(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// What peers are told.
var (
	// ErrUnknownUser: the domain is ours, the user is not.
	ErrUnknownUser = status.Perm(550, 1, 1, "No such user here")
	// ErrCredentials: wrong name or wrong password; nobody learns which (RFC 4954 §6).
	ErrCredentials = status.Perm(535, 7, 8, "Authentication credentials invalid")
	// ErrBusy: too many logins at once (RFC 4954 §6).
	ErrBusy = status.Temp(454, 7, 0, "Temporary authentication failure; try again later")
	// ErrAliases: the aliases lead in a circle, too deep or too wide, or nowhere. The operator can mend it, so it is
	// temporary (RFC 3463 §3.5: 4.3.5, system incorrectly configured).
	ErrAliases = status.Temp(451, 3, 5, "Alias expansion failed; try again later")
)

// temporary makes an error of storage one that peers may read.
func temporary(op string, err error) error {
	if err == nil {
		return nil
	}
	return status.Of(err).With("directory: "+op, err)
}

// listed joins words for a message, the first ten of them.
func listed(words []string) string {
	const most = 10
	switch {
	case len(words) == 0:
		return "none yet"
	case len(words) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
