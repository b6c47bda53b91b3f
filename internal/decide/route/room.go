package route

import (
	"context"

	"github.com/postrider/postrider/internal/mail/flow"
)

// Quota answers whether a mailbox has room.
type Quota interface {
	// Room returns nil, or the temporary failure that the client reads, for size more bytes in an account.
	Room(ctx context.Context, account, size int64) error
}

// Room decides about quota at the end of a message, when its size is known: the error is what the client reads when no
// recipient has room for it. Where one has, or is elsewhere, the message is taken, since the others would get it twice
// otherwise, and delivery never refuses for quota.
func Room(ctx context.Context, q Quota, recipients []flow.Recipient, size int64) error {
	var full error
	for i := range recipients {
		if recipients[i].Transport != flow.Mailbox {
			return nil
		}
		if full = q.Room(ctx, recipients[i].Account, size); full == nil {
			return nil
		}
	}
	return full
}
