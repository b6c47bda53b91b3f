package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
)

// State is a job's state in its row. Numbers are part of the database format.
type State int64

// The states of a job with rows. A job without rows is in the journal and in memory only.
const (
	Queued  State = 1
	Hold    State = 2
	Corrupt State = 3
)

func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Hold:
		return "hold"
	case Corrupt:
		return "corrupt"
	}
	return fmt.Sprintf("state(%d)", int64(s))
}

// op is a change of rows. Ops run in the order in which they were made, so that a later one sees the earlier one's rows.
type op struct {
	rows  int // about so many it changes
	run   func(tx *db.Tx) error
	after func() // with q.mu held, once the change is durable; may be nil
}

// opList is the ops that are not durable yet. It has a lock of its own, taken after Queue.mu, like that of liveSet.
type opList struct {
	mu    sync.Mutex
	list  []op
	last  time.Time     // when something was added that changes rows
	wake  chan struct{} // capacity 1
	hurry chan struct{} // capacity 1: somebody waits until they are durable
}

func (q *Queue) enqueue(run func(tx *db.Tx) error, after func()) { q.enqueueRows(1, run, after) }

func (q *Queue) enqueueRows(rows int, run func(tx *db.Tx) error, after func()) {
	q.ops.mu.Lock()
	q.ops.list = append(q.ops.list, op{rows, run, after})
	if rows > 0 {
		q.ops.last = time.Now()
	}
	q.ops.mu.Unlock()
	select {
	case q.ops.wake <- struct{}{}:
	default:
	}
}

// hurry has the changes made so far written at once: somebody waits for them.
func (q *Queue) hurry() {
	select {
	case q.ops.hurry <- struct{}{}:
	default:
	}
}

const (
	opBatch   = 500                   // rows in one write, unless one op has more
	opsPace   = 10 * time.Millisecond // the least time from one write to the next, so that what nobody waits for shares a sync
	opsPause  = time.Second           // after a failed write
	sweepTime = time.Second
)

// persist writes ops until the queue stops; Stop writes the rest. When the disk is full they wait; they never overtake one
// another.
func (q *Queue) persist() {
	defer q.wg.Done()
	for {
		pace := time.After(opsPace)
		err := q.writeOps(q.ctx)
		var pause <-chan time.Time
		if err != nil {
			if q.ctx.Err() != nil {
				return
			}
			q.opt.Log.Error("queue cannot be written; trying again", "error", err)
			pause = time.After(opsPause)
		}
		select {
		case <-q.ctx.Done():
			return
		case <-pause:
		case <-q.ops.wake:
			select {
			case <-pace:
			case <-q.ops.hurry:
			case <-q.ctx.Done():
				return
			}
			if pause != nil {
				select {
				case <-pause:
				case <-q.ctx.Done():
					return
				}
			}
		}
	}
}

// writeOps writes what there is.
func (q *Queue) writeOps(ctx context.Context) error {
	for {
		q.ops.mu.Lock()
		n, rows := 0, 0
		for n < len(q.ops.list) && (n == 0 || rows+q.ops.list[n].rows <= opBatch) {
			rows += q.ops.list[n].rows
			n++
		}
		batch := q.ops.list[:n:n]
		q.ops.mu.Unlock()
		if n == 0 {
			return nil
		}
		err := q.opt.DB.Write(ctx, func(tx *db.Tx) error {
			for _, o := range batch {
				if err := o.run(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		q.ops.mu.Lock()
		if q.ops.list = q.ops.list[n:]; len(q.ops.list) == 0 {
			q.ops.list = nil // let the array go
		}
		q.ops.mu.Unlock()
		q.mu.Lock()
		for _, o := range batch {
			if o.after != nil {
				o.after()
			}
		}
		q.unlock()
	}
}

// save has a change of an item's rows written; after is called once it is durable, with q.mu held. q.mu is held.
func (q *Queue) save(it *item, rows int, run func(tx *db.Tx) error, after func()) {
	it.pending++
	q.enqueueRows(rows, run, func() {
		it.pending--
		if after != nil {
			after()
		}
		q.settle(it)
	})
}

// writeRows gives the item rows for the recipients it has left. done are those that ended in this attempt. q.mu is held.
func (q *Queue) writeRows(it *item, done []int) {
	q.noteUntried(it)
	it.rows = true
	id, state, job := it.id, it.stateOfRow(), it.job
	row := *it
	rcpts := make([]recipient, len(it.rcpts))
	for i, r := range it.rcpts {
		r.rowSite = r.site
		rcpts[i] = *r
	}
	q.save(it, 2+len(rcpts), func(tx *db.Tx) error {
		if err := putJob(tx, job, &row, state); err != nil {
			return err
		}
		for i := range rcpts {
			if err := putRecipient(tx, &row, job, &rcpts[i]); err != nil {
				return err
			}
		}
		return putDone(tx, id, done)
	}, func() {
		q.opt.Journal.Settle(row.ref)
		q.left(it)
		it.stored = true
	})
}

// putJob writes the row of a job; one that is there stays.
func putJob(tx *db.Tx, job *flow.Job, it *item, state State) error {
	var release int64
	if !it.release.IsZero() {
		release = it.release.UnixMicro()
	}
	n, err := tx.Exec(`INSERT INTO job (queue_id, state, pack, size, received, expires, sender, payer, not_before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, job.ID[:], int64(state), job.Record.Pack, it.size, it.received.UnixMicro(), it.expires.UnixMicro(), senderOf(job),
		it.payer, release)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.Exec("INSERT INTO job_body (queue_id, body) VALUES (?, ?) ON CONFLICT DO NOTHING", job.ID[:], flow.AppendJob(nil, job))
	return err
}

// senderOf writes a job's reverse-path; the null one is empty.
func senderOf(j *flow.Job) string {
	if j.From.IsZero() {
		return ""
	}
	return j.From.String()
}

// putRecipient writes a recipient's row. job may be nil where the row is there already.
func putRecipient(tx *db.Tx, it *item, job *flow.Job, r *recipient) error {
	var lastAt int64
	if !r.last.At.IsZero() {
		lastAt = r.last.At.UnixMicro()
	}
	var address any
	if job != nil && r.no < len(job.Recipients) {
		address = job.Recipients[r.no].To.String()
	}
	_, err := tx.Exec(`INSERT INTO job_recipient (queue_id, recipient_no, transport, route, attempts, next_attempt, last_at,
		last_status, last_relay, last_reply, address, site, urgency, class, warned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (queue_id, recipient_no) DO UPDATE SET
		transport = excluded.transport, route = excluded.route, attempts = excluded.attempts, next_attempt = excluded.next_attempt,
		last_at = excluded.last_at, last_status = excluded.last_status, last_relay = excluded.last_relay, last_reply = excluded.last_reply,
		address = COALESCE(excluded.address, job_recipient.address), site = excluded.site, class = excluded.class, warned = excluded.warned`,
		it.id[:], r.no, uint8(r.transport), r.route, r.attempts, r.next.UnixMicro(), lastAt, r.last.Status.String(), r.last.Relay, r.last.Reply,
		address, r.site, uint8(it.urgency), uint8(r.last.Class), r.warned)
	return err
}

func putDone(tx *db.Tx, id queueid.ID, done []int) error {
	for _, no := range done {
		if _, err := tx.Exec("INSERT INTO job_done (queue_id, recipient_no) VALUES (?, ?) ON CONFLICT DO NOTHING", id[:], no); err != nil {
			return err
		}
	}
	return nil
}

// writeDone notes recipients that ended elsewhere, of an item without rows; with its last one the item is settled.
func (q *Queue) writeDone(it *item, done []int) {
	id := it.id
	last := len(it.rcpts) == 0
	q.save(it, len(done), func(tx *db.Tx) error { return putDone(tx, id, done) }, func() {
		if last {
			q.opt.Journal.Settle(it.ref)
			q.forget(it)
		}
	})
}

// change is what an attempt has changed: recipients that ended, those among them that no ledger of their transport's
// knows, and those that stay.
type change struct {
	gone, done []int
	again      []*recipient
	job        *flow.Job // set where recipients came or have another way: the body is written anew
}

// updateRows takes ended recipients out of the rows, writes the deferred ones, and removes the job with its last one.
func (q *Queue) updateRows(it *item, c change) {
	id := it.id
	last := len(it.rcpts) == 0
	rcpts := make([]recipient, len(c.again))
	for i, r := range c.again {
		r.rowSite = r.site
		rcpts[i] = *r
	}
	done := q.remembered(it, c.done)
	row := *it
	q.save(it, len(c.gone)+len(rcpts), func(tx *db.Tx) error {
		if err := putDone(tx, id, done); err != nil {
			return err
		}
		if c.job != nil {
			if _, err := tx.Exec("UPDATE job_body SET body = ? WHERE queue_id = ?", flow.AppendJob(nil, c.job), id[:]); err != nil {
				return err
			}
		}
		if last {
			return deleteRows(tx, id)
		}
		for _, no := range c.gone {
			if _, err := tx.Exec("DELETE FROM job_recipient WHERE queue_id = ? AND recipient_no = ?", id[:], no); err != nil {
				return err
			}
		}
		for i := range rcpts {
			if err := putRecipient(tx, &row, c.job, &rcpts[i]); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		if last {
			q.forget(it)
		}
	})
}

// remembered is the recipients whose end job_done must have although the job has rows: as long as a start would replay its
// record, the rows that are gone would not stand in the way. q.mu is held.
func (q *Queue) remembered(it *item, done []int) []int {
	if it.ref.IsZero() || q.opt.Journal.Saved(it.ref) {
		return nil
	}
	return done
}

// deleteRows removes a job. A derived id is remembered, so that its cause, repeated after a crash, does not make it again.
func deleteRows(tx *db.Tx, id queueid.ID) error {
	for _, sql := range []string{"DELETE FROM job_recipient WHERE queue_id = ?", "DELETE FROM job_body WHERE queue_id = ?", "DELETE FROM job WHERE queue_id = ?"} {
		if _, err := tx.Exec(sql, id[:]); err != nil {
			return err
		}
	}
	if id.IsDerived() {
		return putDone(tx, id, []int{0})
	}
	return nil
}

func (q *Queue) setState(it *item, s State) {
	id := it.id
	q.save(it, 1, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE job SET state = ? WHERE queue_id = ?", int64(s), id[:])
		return err
	}, nil)
}

// hasRows tells whether the tables know an id.
func (q *Queue) hasRows(ctx context.Context, id queueid.ID) (found bool, err error) {
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		var one int64
		found, err = tx.QueryRow(`SELECT 1 FROM job WHERE queue_id = ? UNION ALL SELECT 1 FROM job_done WHERE queue_id = ? LIMIT 1`,
			id[:], id[:]).Scan(&one)
		return err
	})
	return found, err
}

var errNoRows = errors.New("the job has no row (yet)")

// readJob reads a job's body from its row.
func (q *Queue) readJob(ctx context.Context, id queueid.ID) (job *flow.Job, err error) {
	var body []byte
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		found, err := tx.QueryRow("SELECT body FROM job_body WHERE queue_id = ?", id[:]).Scan(&body)
		if err == nil && !found {
			err = errNoRows
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return flow.DecodeJob(body)
}

// parseStatus reads a status column; what is not one is none.
func parseStatus(s string) status.Enhanced {
	e, _, _ := status.ParseEnhanced(s)
	return e
}

// RefersTo tells whether a job's message lies in a pack; it is asked before the pack is condemned.
func RefersTo(tx *db.Tx, pack int64) (bool, error) {
	var one int64
	return tx.QueryRow("SELECT 1 FROM job WHERE pack = ? LIMIT 1", pack).Scan(&one)
}
