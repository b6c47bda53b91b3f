package queue

import (
	"bytes"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
)

// forgetEvery is how often the ledgers are cleaned.
const forgetEvery = time.Minute

// sweep does what time demands: it gives rows to jobs that have been without for too long, has the journal note how far
// it is settled, and cleans the ledgers.
func (q *Queue) sweep() {
	defer q.wg.Done()
	tick := time.NewTicker(sweepTime)
	defer tick.Stop()
	cleaned := q.opt.Now()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-tick.C:
		}
		q.mu.Lock()
		now := q.opt.Now()
		q.settlePatience(now)
		q.mu.Unlock()
		if err := q.opt.Journal.FlushSettled(q.ctx); err != nil && q.ctx.Err() == nil {
			q.opt.Log.Error("settled positions cannot be written; trying again", "error", err)
			continue
		}
		if now.Sub(cleaned) < forgetEvery {
			continue
		}
		cleaned = now
		if err := q.clean(); err != nil && q.ctx.Err() == nil {
			q.opt.Log.Error("ledgers cannot be cleaned; trying again", "error", err)
		}
	}
}

// settlePatience gives rows to jobs that the journal has carried for long. q.mu is held.
func (q *Queue) settlePatience(now time.Time) {
	for ; q.swept < len(q.journal); q.swept++ {
		e := q.journal[q.swept]
		it := q.jobs[e.id]
		if it == nil || it.rows || it.ref != e.ref || len(it.rcpts) == 0 {
			continue
		}
		if now.Sub(it.submitted) < q.opt.Patience {
			return // the rest came later
		}
		q.writeRows(it, nil)
	}
}

// clean removes from the ledgers what no start of the server will ask for: the rows of ids that neither the journal nor
// the queue's rows hold any more.
func (q *Queue) clean() error {
	q.mu.Lock()
	kept := q.journal[:0]
	for _, e := range q.journal {
		if !q.opt.Journal.Saved(e.ref) {
			kept = append(kept, e)
		}
	}
	clear(q.journal[len(kept):])
	q.journal, q.swept = kept, 0
	// The time of a new transaction's id lies behind its acceptance by as long as the transaction lasts; its ledger rows
	// come after its Submit, and from then on it is in q.journal. So ids not held here have no use for their rows.
	live := make([]queueid.ID, 0, len(kept))
	for _, e := range kept {
		live = append(live, e.id)
	}
	for id, it := range q.jobs {
		if slices.ContainsFunc(it.rcpts, func(r *recipient) bool { return r.transport == flow.Mailbox }) || it.flying > 0 || !it.rows {
			live = append(live, id)
		}
	}
	end := queueid.New(q.opt.Now().Add(-time.Minute).UnixMicro(), 0)
	q.mu.Unlock()

	slices.SortFunc(live, queueid.ID.Compare)
	from := queueid.ID{}
	for _, id := range append(live, end) {
		if id.Compare(end) > 0 {
			id = end
		}
		if from.Compare(id) < 0 {
			if err := q.opt.Ledger.Forget(q.ctx, from, id); err != nil {
				return err
			}
			if err := q.forgetDone(from, id); err != nil {
				return err
			}
		}
		// A job's own rows and those derived from it (same time, greater origin) stay.
		from = queueid.New(id.Micros()+1, 0)
	}
	return nil
}

func (q *Queue) forgetDone(from, to queueid.ID) error {
	const slice = 2000
	for {
		var n int64
		err := q.opt.DB.Write(q.ctx, func(tx *db.Tx) (err error) {
			bound := bytes.Clone(to[:])
			var b []byte
			found, err := tx.QueryRow("SELECT queue_id FROM job_done WHERE queue_id >= ? AND queue_id < ? ORDER BY queue_id LIMIT 1 OFFSET ?",
				from[:], to[:], slice).Scan(&b)
			if err != nil {
				return err
			}
			if found {
				bound = b
			}
			n, err = tx.Exec("DELETE FROM job_done WHERE queue_id >= ? AND queue_id < ?", from[:], bound)
			if !found {
				n = 0
			}
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}
