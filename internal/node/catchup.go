package node

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/fault"
	"github.com/postrider/postrider/internal/state/queue"
)

// catchUp brings a database that was put back from a backup up to the packs, in place: what it knows to be settled stays as
// it says; every other record is put where a rebuild would put it, once. What was in its queue may have been sent since, so
// it is held. Mailboxes get a new UIDVALIDITY, and numbers count on from above all that can have been given out. Each step
// may be repeated, and the last ones make the packs known and the start counted: until then a server refuses to start.
func (k *checker) catchUp(ctx context.Context, c *config.Config, why fault.Fault) (err error) {
	r := &rebuilder{checker: k, config: c, owners: map[int64]owner{}, aliases: map[address.Address][]address.Address{},
		settled: map[int64]int64{}, old: &db.Salvaged{}, behind: true}
	if err := r.readHeads(); err != nil {
		return err
	}
	if err := r.knowInstallation(ctx); err != nil {
		return err
	}
	if err := r.fill(ctx); err != nil {
		return fmt.Errorf("catch up: %w", err)
	}
	why.Mended = fmt.Sprintf("brought up to the packs: %d messages put back, %d messages for others held; all mailboxes have a new UIDVALIDITY",
		r.messages, r.held)
	if r.moved > 0 {
		why.Mended += fmt.Sprintf(", %d messages found in other packs", r.moved)
	}
	return k.report(why)
}

// holdQueue holds what an old database would send: nobody knows what became of it since.
func (r *rebuilder) holdQueue(ctx context.Context) error {
	if !r.behind {
		return nil
	}
	n, err := queue.HoldAll(ctx, r.db)
	if err != nil || n == 0 {
		return err
	}
	r.held += int(n)
	return r.report(fault.Fault{Kind: fault.JobHeld, Note: true,
		Text: fmt.Sprintf("%d messages were in the old database's queue: nobody knows whether they were sent since; held: "+
			"`postrider queue list` shows them, `queue release` sends, `queue delete` does not", n)})
}
