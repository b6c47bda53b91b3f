package node

import (
	"context"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// listed keeps from milters the recipients that routing refuses: a filter that heard of them would count, and judge by, what is
// never accepted. Routing is asked again when the recipient's way is decided, with the same answer.
type listed struct{ router *route.Router }

var _ gate.Gate = listed{}

// Connect begins a session. Who only asks what would happen asks routing himself.
func (l listed) Connect(_ context.Context, c *gate.Conn) (gate.Session, error) {
	if c.Dry {
		return gate.Open{}, nil
	}
	return listing{router: l.router}, nil
}

type listing struct {
	gate.Open
	router *route.Router
}

// Rcpt refuses what routing refuses.
func (s listing) Rcpt(ctx context.Context, tx *gate.Transaction, r *envelope.Recipient) error {
	if tx.Changes.Discard != "" { // whoever it is for, nobody gets it
		return nil
	}
	_, err := s.router.Recipient(ctx, route.Query{From: tx.Envelope.From, To: *r, MayRelay: tx.MayRelay})
	if err == nil {
		return nil
	}
	reason := obs.ReasonRecipient
	if err == route.ErrRelay {
		reason = obs.ReasonRelay
	} else if status.IsTemporary(err) {
		reason = obs.ReasonLocal
	}
	return &gate.Refusal{Reason: reason, Err: err}
}
