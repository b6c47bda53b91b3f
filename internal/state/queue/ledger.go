package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
)

const (
	costShare     = 40              // what walks through all rows takes at most this part of the time
	forgetEvery   = time.Minute     // how often the ledgers are cleaned
	cleanAnyway   = time.Hour       // also where the queue has seen no change: others write to the mailstore's ledger, too
	cleanPatience = 5 * time.Second // how long that waits for changes to be written
)

// sweep does what time demands: it gives rows to jobs that have been without for too long, has the journal note how far
// it is settled, and cleans the ledgers.
func (q *Queue) sweep() {
	defer q.wg.Done()
	tick := time.NewTicker(sweepTime)
	defer tick.Stop()
	cleaned, every := q.opt.Now(), forgetEvery
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-tick.C:
		}
		q.mu.Lock()
		now := q.opt.Now()
		q.settlePatience(now)
		told := q.untold
		q.untold = nil
		q.mu.Unlock()
		for i := range told {
			q.opt.Event(told[i].job, &told[i].recipient, &told[i].outcome)
		}
		if err := q.opt.Journal.FlushSettled(q.ctx); err != nil && q.ctx.Err() == nil {
			q.opt.Log.Error("settled positions cannot be written; trying again", "error", err)
			continue
		}
		if now.Sub(cleaned) < every {
			continue
		}
		cleaned = now
		began := time.Now()
		if err := q.clean(); err != nil && q.ctx.Err() == nil {
			q.opt.Log.Error("ledgers cannot be cleaned; trying again", "error", err)
		}
		every = max(forgetEvery, costShare*time.Since(began))
	}
}

// untried is a recipient that nobody has tried, since its site rests.
type untried struct {
	job       *flow.Job
	recipient flow.Recipient
	outcome   flow.Outcome
}

// noteUntried has sweep tell those of a job that gets rows: the log says of each once why nothing is heard of it. q.mu is held.
func (q *Queue) noteUntried(it *item) {
	if it.held || it.job == nil {
		return
	}
	now := q.opt.Now()
	for _, r := range it.rcpts {
		rest := q.restOf(r)
		if len(q.untold) >= maxUntold || rest == nil || r.flying || !r.last.At.IsZero() || r.next.After(now) || r.no >= len(it.job.Recipients) {
			continue
		}
		o := flow.Outcome{Recipient: r.no, Status: rest.Reason.Status, Relay: "none", Reply: q.suspended(r, rest), At: now, Class: rest.Reason.Class}
		o.Status.Class = status.Temporary
		o.Delays[1] = now.Sub(it.received)
		q.untold = append(q.untold, untried{it.job, it.job.Recipients[r.no], o})
	}
}

const maxUntold = 10_000 // in a second; what is more the log does not have

// settlePatience gives rows to jobs that the journal has carried for long. q.mu is held.
func (q *Queue) settlePatience(now time.Time) {
	for i, passed := q.swept, true; i < len(q.journal); i++ {
		e := q.journal[i]
		if it := q.jobs[e.id]; it != nil && !it.rows && it.ref == e.ref && len(it.rcpts) > 0 {
			age := now.Sub(it.submitted)
			if age < q.opt.Patience {
				return // the rest came later
			}
			if age < q.opt.MailboxPatience && it.toMailboxes() {
				passed = false // looked at again
				continue
			}
			q.writeRows(it, nil)
		}
		if passed {
			q.swept = i + 1
		}
	}
}

// toMailboxes tells whether all that is left of a job goes into our own mailstore.
func (it *item) toMailboxes() bool {
	return !slices.ContainsFunc(it.rcpts, func(r *recipient) bool { return r.transport != flow.Mailbox })
}

// clean removes from the ledgers what no start of the server will ask for: the rows of ids that neither the journal nor
// the queue holds any more. Those of ids derived from one that they hold (the same time) stay.
func (q *Queue) clean() error {
	q.mu.Lock()
	kept := q.journal[:0]
	live := make(map[int64]bool, len(q.jobs))
	for _, e := range q.journal {
		if !q.opt.Journal.Saved(e.ref) {
			kept = append(kept, e)
			live[e.id.Micros()] = true
		}
	}
	quiet := q.quiet(len(q.journal) - len(kept))
	clear(q.journal[len(kept):])
	q.journal, q.swept = kept, 0
	for id := range q.jobs {
		live[id.Micros()] = true
	}
	for id, ref := range q.replayed {
		if q.opt.Journal.Saved(ref) {
			delete(q.replayed, id)
		}
	}
	if quiet {
		q.mu.Unlock()
		return nil
	}
	began := time.Now()
	q.live.set(live)
	away := 0
	for _, n := range q.away {
		away += n
	}
	before := queueid.New(q.opt.Now().Add(-time.Minute).UnixMicro(), 0)
	q.mu.Unlock()
	defer q.live.set(nil)
	if away > 0 {
		if err := JobTimes(q.ctx, q.opt.DB, q.live.stored); err != nil {
			return err
		}
	}
	// A job that has ended may still have its rows, and then a start asks the ledgers: those changes are written first.
	ctx, cancel := context.WithTimeout(q.ctx, cleanPatience)
	defer cancel()
	if err := q.Sync(ctx); err != nil {
		return err
	}
	if err := q.opt.Ledger.Forget(q.ctx, before, q.live.has); err != nil {
		return err
	}
	if err := q.forgetDone(q.ctx, before, q.live.has); err != nil {
		return err
	}
	q.cleaned = began
	return nil
}

// quiet tells whether nothing has changed since the ledgers were cleaned last, of which saved entries of the journal would be a
// sign: then there is nothing to forget. q.mu is held.
func (q *Queue) quiet(saved int) bool {
	q.ops.mu.Lock()
	defer q.ops.mu.Unlock()
	now := time.Now()
	if saved > 0 {
		q.ops.last = now
	}
	return len(q.journal) == 0 && q.cleaned.Sub(q.ops.last) > 2*forgetEvery && now.Sub(q.cleaned) < cleanAnyway
}

// liveSet has, while the ledgers are cleaned, the times of the ids whose rows are needed; jobs that come meanwhile join it.
// Its lock is a leaf: it is asked inside the ledgers' transactions.
type liveSet struct {
	mu    sync.Mutex
	times map[int64]bool // nil: nobody asks
	rows  []int64        // of jobs that have rows, ascending
}

func (l *liveSet) set(times map[int64]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times, l.rows = times, nil
}

// stored adds the time of a job that has rows; they come in ascending order.
func (l *liveSet) stored(micros int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, micros)
}

func (l *liveSet) add(id queueid.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times != nil {
		l.times[id.Micros()] = true
	}
}

func (l *liveSet) has(id queueid.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times[id.Micros()] {
		return true
	}
	_, found := slices.BinarySearch(l.rows, id.Micros())
	return found
}

// forgetDone is Ledger.Forget for job_done. It goes in slices, so that other writes pass between them.
func (q *Queue) forgetDone(ctx context.Context, before queueid.ID, keep func(queueid.ID) bool) error {
	const slice = 1000
	var from queueid.ID
	for more := true; more; {
		err := q.opt.DB.Write(ctx, func(tx *db.Tx) error {
			var ids []queueid.ID
			rows := tx.Query("SELECT DISTINCT queue_id FROM job_done WHERE queue_id > ? AND queue_id < ? ORDER BY queue_id LIMIT ?",
				from[:], before[:], slice)
			for rows.Next() {
				var id queueid.ID
				copy(id[:], rows.Bytes(0))
				ids = append(ids, id)
			}
			if rows.Err() != nil {
				return rows.Err()
			}
			for _, id := range ids {
				if keep(id) {
					continue
				}
				if _, err := tx.Exec("DELETE FROM job_done WHERE queue_id = ?", id[:]); err != nil {
					return err
				}
			}
			if more = len(ids) == slice; more {
				from = ids[slice-1]
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
