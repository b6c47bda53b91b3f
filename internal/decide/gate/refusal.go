package gate

import (
	"errors"

	"github.com/postrider/postrider/internal/obs"
)

// Refusal is an error of a gate with the word that the log has for its reason.
type Refusal struct {
	Reason obs.Reason
	Err    error
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the error, which is the reply.
func (r *Refusal) Unwrap() error { return r.Err }

// ReasonOf is the word for an error of a gate, or another where the gate gave none.
func ReasonOf(err error, otherwise obs.Reason) obs.Reason {
	var r *Refusal
	if errors.As(err, &r) && r.Reason != "" {
		return r.Reason
	}
	return otherwise
}
