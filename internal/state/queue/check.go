package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/fault"
)

// Checker looks at the queue's rows. Queue is nil where none is open.
type Checker struct {
	fault.Check
	DB    *db.DB
	Queue *Queue
	// Readable tells why a job's message cannot be read; nil: it can be.
	Readable func(ctx context.Context, job *flow.Job) error
}

const (
	checkSlice      = 100 // jobs one read transaction returns, with their bodies
	checkRecipients = 1000
)

// Run checks every job. A job whose message or whose row cannot be read is set aside as corrupt: it stays in the queue and
// is not tried. It returns the number of jobs.
func (c *Checker) Run(ctx context.Context) (jobs int, err error) {
	var from queueid.ID
	for more := true; more; {
		if err := c.Pause(ctx); err != nil {
			return jobs, err
		}
		var list []storedJob
		err := c.DB.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(`SELECT job.queue_id, state, pack, COALESCE(body, ?) FROM job LEFT JOIN job_body ON job_body.queue_id = job.queue_id
				WHERE job.queue_id > ? ORDER BY job.queue_id LIMIT ?`, []byte{}, from[:], checkSlice)
			for rows.Next() {
				j := storedJob{state: State(rows.Int64(1)), pack: rows.Int64(2)}
				copy(j.id[:], rows.Bytes(0))
				if j.job, j.err = flow.DecodeJob(rows.Bytes(3)); len(rows.Bytes(3)) == 0 {
					j.err = errors.New("its body is missing")
				}
				list = append(list, j)
			}
			return rows.Err()
		})
		if err != nil {
			return jobs, err
		}
		for _, j := range list {
			if err := c.job(ctx, &j); err != nil {
				return jobs, err
			}
			from = j.id
		}
		jobs += len(list)
		more = len(list) == checkSlice
	}
	if err := c.recipients(ctx); err != nil {
		return jobs, err
	}
	return jobs, c.bodies(ctx)
}

type storedJob struct {
	id    queueid.ID
	state State
	pack  int64
	job   *flow.Job
	err   error
}

func (c *Checker) job(ctx context.Context, j *storedJob) error {
	if j.err != nil {
		return c.setAside(ctx, j, fault.Fault{Kind: fault.JobUnreadable, Text: fmt.Sprintf("a job that cannot be understood: %v", j.err)})
	}
	if blobs := j.job.Blobs(); len(blobs) > 0 && blobs[0].Pack != j.pack {
		f := fault.Fault{Kind: fault.JobPack, Pack: blobs[0].Pack, QueueID: j.id.String(),
			Text: fmt.Sprintf("a job whose row says pack %d, and whose message is in pack %d", j.pack, blobs[0].Pack)}
		if c.Repair {
			if err := c.exec(ctx, "UPDATE job SET pack = ? WHERE queue_id = ?", blobs[0].Pack, j.id[:]); err != nil {
				return err
			}
			f.Mended = "the row says so too"
		}
		if err := c.Report(f); err != nil {
			return err
		}
	}
	if err := c.Readable(ctx, j.job); err != nil {
		return c.setAside(ctx, j, fault.Fault{Kind: fault.JobNoRecord, Pack: j.pack,
			Text: fmt.Sprintf("a job from %s for %d recipients whose message cannot be read: %v", j.job.From, len(j.job.Recipients), err)})
	}
	return nil
}

// setAside marks a job as corrupt. One that is marked already is where it belongs: known, and no longer a fault.
func (c *Checker) setAside(ctx context.Context, j *storedJob, f fault.Fault) error {
	f.QueueID = j.id.String()
	gone, err := c.gone(ctx, j.id)
	if err != nil || gone {
		return err
	}
	switch {
	case j.state == Corrupt:
		f.Note = true
		f.Text += "; it is set aside as corrupt: `postrider queue delete` removes it"
	case c.Repair && c.Queue != nil:
		if err := c.Queue.setAside(ctx, j.id); err != nil {
			return err
		}
		f.Mended = "set aside as corrupt"
	case c.Repair:
		if err := c.exec(ctx, "UPDATE job SET state = ? WHERE queue_id = ?", int64(Corrupt), j.id[:]); err != nil {
			return err
		}
		f.Mended = "set aside as corrupt"
	}
	return c.Report(f)
}

// gone tells whether a job has left the queue since it was read.
func (c *Checker) gone(ctx context.Context, id queueid.ID) (gone bool, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		var one int64
		found, err := tx.QueryRow("SELECT 1 FROM job WHERE queue_id = ?", id[:]).Scan(&one)
		gone = !found
		return err
	})
	return gone, err
}

func (c *Checker) exec(ctx context.Context, sql string, args ...any) error {
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(sql, args...)
		return err
	})
}

// recipients finds rows of recipients whose job has no row.
func (c *Checker) recipients(ctx context.Context) error {
	from, no := []byte{}, int64(-1)
	for more := true; more; {
		if err := c.Pause(ctx); err != nil {
			return err
		}
		var lost []queueid.ID
		n := 0
		err := c.DB.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(`SELECT r.queue_id, r.recipient_no, COALESCE(j.state, 0) FROM job_recipient r LEFT JOIN job j ON j.queue_id = r.queue_id
				WHERE (r.queue_id, r.recipient_no) > (?, ?) ORDER BY r.queue_id, r.recipient_no LIMIT ?`, from, no, checkRecipients)
			for rows.Next() {
				n++
				from, no = rows.Bytes(0), rows.Int64(1)
				var id queueid.ID
				copy(id[:], from)
				if rows.Int64(2) == 0 && (len(lost) == 0 || lost[len(lost)-1] != id) {
					lost = append(lost, id)
				}
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		more = n == checkRecipients
		for _, id := range lost {
			f := fault.Fault{Kind: fault.RecipientNoJob, QueueID: id.String(), Text: "recipients without their job"}
			if err := c.jobless(ctx, f, "DELETE FROM job_recipient WHERE queue_id = ? AND NOT EXISTS (SELECT 1 FROM job WHERE queue_id = ?)", id); err != nil {
				return err
			}
		}
	}
	return nil
}

// bodies finds rows of bodies whose job has no row.
func (c *Checker) bodies(ctx context.Context) error {
	from := []byte{}
	for more := true; more; {
		if err := c.Pause(ctx); err != nil {
			return err
		}
		var lost []queueid.ID
		n := 0
		err := c.DB.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(`SELECT b.queue_id, COALESCE(j.state, 0) FROM job_body b LEFT JOIN job j ON j.queue_id = b.queue_id
				WHERE b.queue_id > ? ORDER BY b.queue_id LIMIT ?`, from, checkRecipients)
			for rows.Next() {
				n++
				if from = rows.Bytes(0); rows.Int64(1) == 0 {
					var id queueid.ID
					copy(id[:], from)
					lost = append(lost, id)
				}
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		more = n == checkRecipients
		for _, id := range lost {
			f := fault.Fault{Kind: fault.BodyNoJob, QueueID: id.String(), Text: "the body of a job without the job"}
			if err := c.jobless(ctx, f, "DELETE FROM job_body WHERE queue_id = ? AND NOT EXISTS (SELECT 1 FROM job WHERE queue_id = ?)", id); err != nil {
				return err
			}
		}
	}
	return nil
}

// setAside holds a job as corrupt, and returns once that is durable.
func (q *Queue) setAside(ctx context.Context, id queueid.ID) error {
	it, err := q.pinned(ctx, id)
	if it == nil {
		return err // it left meanwhile
	}
	q.mu.Lock()
	it.held, it.corrupt = true, true
	q.setState(it, Corrupt)
	q.mu.Unlock()
	q.unpin(it)
	return q.Sync(ctx)
}

// JobTimes calls fn with the time in each job's id: what the ledgers know of these is needed.
func JobTimes(ctx context.Context, d *db.DB, fn func(micros int64)) error {
	var from queueid.ID
	for more := true; more; {
		n := 0
		err := d.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query("SELECT queue_id FROM job WHERE queue_id > ? ORDER BY queue_id LIMIT ?", from[:], loadSlice)
			for rows.Next() {
				copy(from[:], rows.Bytes(0))
				fn(from.Micros())
				n++
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		more = n == loadSlice
	}
	return nil
}

// MarkDone notes that recipients of a job ended by another transport than the mailstore, so that a replay passes over them.
func MarkDone(ctx context.Context, d *db.DB, id queueid.ID, recipients []int) error {
	return d.Write(ctx, func(tx *db.Tx) error { return putDone(tx, id, recipients) })
}

// jobless tells of rows whose job has none, and removes them where that is wanted and it still has none.
func (c *Checker) jobless(ctx context.Context, f fault.Fault, remove string, id queueid.ID) error {
	if c.Repair {
		if err := c.exec(ctx, remove, id[:], id[:]); err != nil {
			return err
		}
		f.Mended = "removed"
	}
	return c.Report(f)
}
