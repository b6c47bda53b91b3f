package pop3

import (
	"context"

	"github.com/postrider/postrider/internal/mail/status"
)

// quitCommand is QUIT: in the TRANSACTION state it enters the UPDATE state (RFC 1939 §6), and what was marked goes. What was
// retrieved is marked \Seen now too: whoever breaks off will fetch it again.
func quitCommand(ctx context.Context, c *conn, _ []string) error {
	if c.state == authorization {
		c.state = ended
		c.ok("Bye")
		return nil
	}
	removed, seen := c.list.chosen(c.list.deleted, nil), c.list.chosen(c.list.retrieved, c.list.deleted)
	if len(removed)+len(seen) > 0 {
		if err := c.drop.Update(ctx, seen, removed); err != nil {
			c.log.Warn("pop3: update failed", "err", err)
			c.state = ended
			c.err(&refusal{code: codeOf(status.Of(err)), text: "Some deleted messages not removed"})
			return nil
		}
	}
	c.state, c.stats.Removed = ended, len(removed)
	c.ok("Bye")
	return nil
}
