package access

import (
	"context"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// Greylist asks clients that nobody knows to come again: an error is the reply, nil lets pass.
type Greylist interface {
	Greylist(ctx context.Context, tx *gate.Transaction, to address.Address) error
}

// runGreylist is check_greylist, which Postfix has by its policy servers only, and like theirs: what refuses for good further
// on comes before a "come again".
func runGreylist(e *eval, _ *rule) outcome {
	if e.tx == nil || e.rcpt == nil || e.policy.opt.Greylist == nil {
		return pass
	}
	if err := e.policy.opt.Greylist.Greylist(e.ctx, e.tx, e.rcpt.To); err != nil {
		return e.deferIfPermit(status.Of(err))
	}
	return pass
}
