// Package filter is the judgement of a message's content. Its decision is empty so far: every message is accepted. The
// types are final: a Filter sees the transaction and the facts, and answers with a verdict for the whole message.
package filter

import (
	"context"

	"github.com/postrider/postrider/internal/mail/flow"
)

// Filter judges one message before the reply to end of data. It must answer within ctx; an error means that the filter
// could not decide, and is a temporary failure for the client.
type Filter interface {
	Judge(ctx context.Context, tx *flow.Transaction, facts *flow.Facts) (flow.Verdict, error)
}

// Accept is the filter that accepts everything.
type Accept struct{}

// Judge accepts.
func (Accept) Judge(context.Context, *flow.Transaction, *flow.Facts) (flow.Verdict, error) {
	return flow.Verdict{}, nil
}
