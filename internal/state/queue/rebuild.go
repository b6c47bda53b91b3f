package queue

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/db"
)

// Tables are those of which a rebuild must have every row to know what is on its way.
func Tables() []string { return []string{"job", "job_body", "job_done", "job_recipient"} }

// Restore queues recipients of a job on hold; one that is in the queue stays as it is. The operator releases or deletes it.
// job.Record is the record that has its message.
func Restore(ctx context.Context, d *db.DB, job *flow.Job, recipients []int, now time.Time) (added bool, err error) {
	// When it is released, it is tried like a new one.
	expires := now.Add(DefaultRetry().expiry(job.From.IsZero()))
	err = d.Write(ctx, func(tx *db.Tx) error {
		var one int64
		found, err := tx.QueryRow("SELECT 1 FROM job WHERE queue_id = ?", job.ID[:]).Scan(&one)
		if added = !found; err != nil || found {
			return err
		}
		it := &item{id: job.ID, received: job.Received, size: job.Size(), release: job.NotBefore, expires: expires, payer: payerOf(job), urgency: urgencyOf(job)}
		if err := putJob(tx, job, it, Hold); err != nil {
			return err
		}
		for _, no := range recipients {
			to := &job.Recipients[no]
			r := &recipient{no: to.No, transport: to.Transport, route: RouteOf(to), site: RouteOf(to), next: now}
			if err := putRecipient(tx, it, job, r); err != nil {
				return err
			}
		}
		return nil
	})
	return added, err
}

// Ended tells whether rows say that a recipient of a job is done with or still in the queue: nothing is left to restore.
func Ended(ctx context.Context, d *db.DB, job *flow.Job, no int) (yes bool, err error) {
	err = d.Read(ctx, func(tx *db.Tx) error {
		var one int64
		yes, err = tx.QueryRow("SELECT 1 FROM job WHERE queue_id = ? UNION ALL SELECT 1 FROM job_done WHERE queue_id = ? AND recipient_no = ? LIMIT 1",
			job.ID[:], job.ID[:], no).Scan(&one)
		return err
	})
	return yes, err
}

// HoldAll holds every job that is to be sent elsewhere, and tells how many it was.
func HoldAll(ctx context.Context, d *db.DB) (n int64, err error) {
	err = d.Write(ctx, func(tx *db.Tx) error {
		n, err = tx.Exec(`UPDATE job SET state = ? WHERE state = ? AND EXISTS
			(SELECT 1 FROM job_recipient r WHERE r.queue_id = job.queue_id AND r.transport <> ?)`, int64(Hold), int64(Queued), uint8(flow.Mailbox))
		return err
	})
	return n, err
}
