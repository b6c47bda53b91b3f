// Package sieve is the recipient's own script (RFC 5228). Its decision is empty so far: every message is kept. The types
// are final: a script turns one recipient of the plan into the recipients that shall stand there instead.
package sieve

import (
	"context"

	"github.com/postrider/postrider/internal/mail/flow"
)

// Script decides for one recipient of ours: the implicit keep is the recipient itself; fileinto changes its folder,
// redirect adds one, discard returns none. A verdict that rejects makes the recipient refuse.
type Script interface {
	Run(ctx context.Context, tx *flow.Transaction, facts *flow.Facts, r flow.Recipient) ([]flow.Recipient, flow.Verdict, error)
}

// Keep is the script of those who have none.
type Keep struct{}

// Run keeps.
func (Keep) Run(_ context.Context, _ *flow.Transaction, _ *flow.Facts, r flow.Recipient) ([]flow.Recipient, flow.Verdict, error) {
	return []flow.Recipient{r}, flow.Verdict{}, nil
}

// Expand runs the script of each mailbox recipient of a plan and returns the recipients that stand afterwards, numbered.
// When all recipients refuse, the message is refused with the first one's words. When only some do it is taken, and theirs
// goes into Junk: it can no longer be refused, and must not be lost.
func Expand(ctx context.Context, script Script, tx *flow.Transaction, facts *flow.Facts, plan []flow.Recipient) ([]flow.Recipient, error) {
	kept := make([]flow.Recipient, 0, len(plan))
	var refusal error
	refused := 0
	for _, r := range plan {
		if r.Transport != flow.Mailbox {
			kept = append(kept, r)
			continue
		}
		rs, verdict, err := script.Run(ctx, tx, facts, r)
		if err != nil {
			return nil, err
		}
		if verdict.Err != nil {
			if refusal == nil {
				refusal = verdict.Err
			}
			refused++
			r.Folder = []string{"Junk"}
			rs = []flow.Recipient{r}
		}
		kept = append(kept, rs...)
	}
	if refused > 0 && refused == len(plan) {
		return nil, refusal
	}
	for i := range kept {
		kept[i].No = i
	}
	return kept, nil
}
