package queue

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

// Recover takes one unsettled record of the journal at a start, before Start: what its ledgers say is done is passed over,
// the rest is queued again. A record that is no job (a message put straight into a mailbox) is settled: its promise was
// the mailstore's commit. A trailer that cannot be read is an error; the record then stays unsettled, and what stands
// behind it in the pack is replayed at every start, so the ledgers keep what they know of it.
func (q *Queue) Recover(ctx context.Context, ref recipe.BlobRef, trailer []byte) error {
	if flow.IsAppend(trailer) {
		q.opt.Journal.Settle(ref)
		return nil
	}
	job, err := flow.DecodeJob(trailer)
	if err != nil {
		return err
	}
	job.Bind(ref)
	rows, done, err := q.recorded(ctx, job.ID)
	if err != nil {
		return err
	}
	if rows {
		q.mu.Lock()
		q.replayable(job.ID, ref)
		q.replayed[job.ID] = ref
		q.mu.Unlock()
		q.opt.Journal.Settle(ref)
		return nil
	}
	now := q.opt.Now()
	it := q.newItem(job, ref, now)
	for i := range job.Recipients {
		r := &job.Recipients[i]
		if done[r.No] {
			continue
		}
		if r.Transport == flow.Mailbox {
			delivered, err := q.opt.Ledger.Delivered(ctx, job.ID, r.No)
			if err != nil {
				return err
			}
			if delivered {
				continue
			}
		}
		it.rcpts = append(it.rcpts, q.newRecipient(r, it.begin(now)))
	}
	if err = q.add(it); errors.Is(err, ErrKnown) { // a notification made twice: the other record stands for it
		q.opt.Journal.Settle(ref)
		err = nil
	}
	return err
}

// recorded tells whether the job has rows, and which recipients job_done has.
func (q *Queue) recorded(ctx context.Context, id queueid.ID) (rows bool, done map[int]bool, err error) {
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		var one int64
		if rows, err = tx.QueryRow("SELECT 1 FROM job WHERE queue_id = ?", id[:]).Scan(&one); err != nil || rows {
			return err
		}
		done = map[int]bool{}
		r := tx.Query("SELECT recipient_no FROM job_done WHERE queue_id = ?", id[:])
		for r.Next() {
			done[r.Int(0)] = true
		}
		return r.Err()
	})
	return rows, done, err
}

// loadSlice is how many rows one read transaction returns.
const loadSlice = 2000

// countRows counts the jobs that have rows.
func (q *Queue) countRows(ctx context.Context) error {
	counts := map[State]int{}
	err := q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		clear(counts)
		rows := tx.Query("SELECT state, COUNT(*) FROM job GROUP BY state")
		for rows.Next() {
			counts[State(rows.Int64(0))] = rows.Int(1)
		}
		return rows.Err()
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = counts
	return err
}

// removeEmpty removes the jobs of which nothing is left to do.
func (q *Queue) removeEmpty(ctx context.Context) error {
	var from queueid.ID
	for more := true; more; {
		n := 0
		ended := map[queueid.ID]State{}
		err := q.opt.DB.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(`SELECT queue_id, state, EXISTS (SELECT 1 FROM job_recipient WHERE job_recipient.queue_id = job.queue_id)
				FROM job WHERE queue_id > ? ORDER BY queue_id LIMIT ?`, from[:], loadSlice)
			for rows.Next() {
				n++
				if copy(from[:], rows.Bytes(0)); !rows.Bool(2) {
					ended[from] = State(rows.Int64(1))
				}
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		more = n == loadSlice
		q.mu.Lock()
		for id, state := range ended {
			if q.jobs[id] == nil {
				q.away[state]--
				q.enqueue(func(tx *db.Tx) error { return deleteRows(tx, id) }, nil)
			}
		}
		q.mu.Unlock()
	}
	return nil
}
