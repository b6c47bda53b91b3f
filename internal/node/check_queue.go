package node

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/fault"
	"github.com/postrider/postrider/internal/state/queue"
)

// checkQueue checks the queue's rows and the records of its jobs.
func (k *checker) checkQueue(ctx context.Context) (err error) {
	c := &queue.Checker{Check: k.part(), DB: k.db, Queue: k.queue, Readable: func(ctx context.Context, job *flow.Job) error {
		for _, ref := range job.Blobs() {
			if err := k.readable(ctx, ref); err != nil {
				return err
			}
		}
		return nil
	}}
	k.sum.Jobs, err = c.Run(ctx)
	return err
}

// ledgerPatience is how long a job's lines may stay in the ledger after it has gone: a minute while the server runs, and
// whatever a crash leaves.
const ledgerPatience = time.Hour

// checkLedger finds lines of deliveries whose job is gone and whose record no start would replay.
func (k *checker) checkLedger(ctx context.Context) error {
	_, started, err := k.db.LastBoot(ctx, nodeNumber)
	if err != nil || k.queue != nil && k.now().Sub(time.UnixMicro(started)) < ledgerPatience/10 {
		return err // it has not been cleaned since the start
	}
	newest, err := k.store.NewestDelivered(ctx)
	if err != nil {
		return err
	}
	before := newest.Micros() - ledgerPatience.Microseconds()
	if k.oldest != 0 {
		before = min(before, k.oldest)
	}
	if before <= 0 {
		return nil
	}
	jobs := map[int64]bool{}
	if err := queue.JobTimes(ctx, k.db, func(micros int64) { jobs[micros] = true }); err != nil {
		return err
	}
	live := func(id queueid.ID) bool { return jobs[id.Micros()] }
	n, err := k.store.Unused(ctx, queueid.New(before, 0), live)
	if err != nil || n == 0 {
		return err
	}
	f := fault.Fault{Kind: fault.LedgerUnused, Text: fmt.Sprintf("the ledger has deliveries of %d jobs that are gone", n)}
	if k.query.Repair {
		if err := k.store.Forget(ctx, queueid.New(before, 0), live); err != nil {
			return err
		}
		f.Mended = "removed"
	}
	return k.report(f)
}
