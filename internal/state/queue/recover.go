package queue

import (
	"context"
	"errors"
	"time"

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
	it := &item{id: job.ID, job: job, ref: ref, held: job.Hold != "", received: job.Received, size: job.Size(), submitted: now}
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
		it.rcpts = append(it.rcpts, q.newRecipient(r, now))
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

// loadSlice is how many rows one read transaction of loadRows returns.
const loadSlice = 2000

// loadRows puts the jobs that have rows into memory: what the scheduler needs, not their bodies.
func (q *Queue) loadRows(ctx context.Context) error {
	items := map[queueid.ID]*item{}
	var order []*item
	from, more := []byte{}, true
	for more {
		more = false
		err := q.opt.DB.Read(ctx, func(tx *db.Tx) error {
			n := 0
			rows := tx.Query("SELECT queue_id, state, size, received FROM job WHERE queue_id > ? ORDER BY queue_id LIMIT ?", from, loadSlice)
			for rows.Next() {
				n++
				it := &item{rows: true, stored: true, held: State(rows.Int64(1)) != Queued, corrupt: State(rows.Int64(1)) == Corrupt,
					size: rows.Int64(2), received: time.UnixMicro(rows.Int64(3))}
				from = rows.Bytes(0)
				copy(it.id[:], from)
				it.ref = q.replayed[it.id]
				items[it.id] = it
				order = append(order, it)
			}
			more = n == loadSlice
			return rows.Err()
		})
		if err != nil {
			return err
		}
	}
	if err := q.loadRecipients(ctx, items); err != nil {
		return err
	}
	for _, it := range order {
		if len(it.rcpts) == 0 { // nothing of it is left to do
			id := it.id
			q.enqueue(func(tx *db.Tx) error { return deleteRows(tx, id) }, nil)
			continue
		}
		if err := q.add(it); err != nil && err != ErrKnown {
			return err
		}
	}
	return nil
}

func (q *Queue) loadRecipients(ctx context.Context, items map[queueid.ID]*item) error {
	from, no, more := []byte{}, int64(-1), true
	now := q.opt.Now()
	latest := q.retry.latest(now)
	for more {
		more = false
		err := q.opt.DB.Read(ctx, func(tx *db.Tx) error {
			n := 0
			rows := tx.Query(`SELECT queue_id, recipient_no, route, attempts, next_attempt, last_at, last_status, last_relay, last_reply, transport
				FROM job_recipient WHERE (queue_id, recipient_no) > (?, ?) ORDER BY queue_id, recipient_no LIMIT ?`, from, no, loadSlice)
			for rows.Next() {
				var id queueid.ID
				from, no = rows.Bytes(0), rows.Int64(1)
				copy(id[:], from)
				n++
				it := items[id]
				if it == nil {
					continue
				}
				r := &recipient{no: int(no), route: rows.Text(2), attempts: rows.Int(3), next: time.UnixMicro(rows.Int64(4))}
				r.transport = flow.Transport(rows.Int64(9))
				if r.next.After(latest) {
					r.next = now
				}
				if at := rows.Int64(5); at != 0 {
					r.last = flow.Outcome{Recipient: r.no, At: time.UnixMicro(at), Status: parseStatus(rows.Text(6)),
						Relay: rows.Text(7), Reply: rows.Text(8)}
				}
				it.rcpts = append(it.rcpts, r)
			}
			more = n == loadSlice
			return rows.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
