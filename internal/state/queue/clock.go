package queue

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

const (
	clockEvery = 10 * time.Second
	clockJump  = time.Minute // the clock went on by so much more, or less, than time did: it was set
	clockMercy = time.Hour
)

// clock is the clock at a moment.
type clock struct{ wall, began time.Time }

// reading takes the wall clock's reading only.
func reading(now time.Time) clock { return clock{now.Round(0), time.Now()} }

// off is by how much the clock was set since.
func (c clock) off(now time.Time) time.Duration {
	return now.Round(0).Sub(c.wall) - time.Since(c.began)
}

// watchClock sees when the clock is set. Set back, attempts would be due much too late: those planned for behind what the
// schedule allows are due now. Set forward by much, everything would expire at its next attempt: nothing does for an hour, in
// which somebody may set it right.
func (q *Queue) watchClock() {
	defer q.wg.Done()
	if err := q.removeEmpty(q.ctx); err != nil && q.ctx.Err() == nil {
		q.opt.Log.Error("jobs without recipients cannot be looked for", "error", err)
	}
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-tick.C:
		}
		q.mu.Lock()
		now := q.opt.Now()
		off := q.clock.off(now)
		q.clock = reading(now)
		q.mu.Unlock()
		if off > -clockJump && off < clockJump {
			continue
		}
		q.opt.Log.Warn("the clock was set", "by", off.Round(time.Second).String())
		if err := q.clockSet(q.ctx, now, off); err != nil && q.ctx.Err() == nil {
			q.opt.Log.Error("attempts that were planned by the old clock cannot be looked for; those in rows wait for their time", "error", err)
		}
	}
}

// clockSet obeys a clock that was set by off, to now.
func (q *Queue) clockSet(ctx context.Context, now time.Time, off time.Duration) error {
	q.mu.Lock()
	if off > clockMercy {
		q.mercy = now.Add(clockMercy)
	}
	if off < 0 {
		q.mercy = time.Time{}
		latest := q.retry.latest(now)
		for _, it := range q.jobs {
			for _, r := range it.rcpts {
				if !r.flying && r.next.After(latest) && (r.attempts > 0 || !it.release.After(now)) {
					q.due(r, now)
				}
			}
			q.settle(it)
		}
		q.passed, q.soonest = [len(classes)]place{}, [len(classes)]int64{}
		q.pump()
	}
	q.mu.Unlock()
	return q.replan(ctx, now)
}

// replan makes due what its row has planned for behind what the schedule allows: the clock was set back.
func (q *Queue) replan(ctx context.Context, now time.Time) error {
	latest := q.retryNow().latest(now)
	for _, c := range classes {
		for from, more := (place{next: latest.UnixMicro()}), true; more; {
			rows, err := q.dueRows(ctx, c, from, now.Add(farFuture), feedSlice)
			if err != nil {
				return err
			}
			if more = len(rows) == feedSlice; len(rows) > 0 {
				from = rows[len(rows)-1].place
			}
			if err := q.makeDue(ctx, rows, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *Queue) makeDue(ctx context.Context, rows []found, now time.Time) error {
	var late []found
	for _, f := range rows {
		if f.attempts > 0 {
			late = append(late, f)
		}
	}
	if len(late) == 0 {
		return nil
	}
	err := q.opt.DB.Write(ctx, func(tx *db.Tx) error {
		for _, f := range late {
			if _, err := tx.Exec("UPDATE job_recipient SET next_attempt = ? WHERE queue_id = ? AND recipient_no = ? AND next_attempt = ?",
				now.UnixMicro(), f.id[:], f.no, f.next); err != nil {
				return err
			}
		}
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	q.passed, q.soonest = [len(classes)]place{}, [len(classes)]int64{}
	return err
}

func (q *Queue) retryNow() Retry {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.retry
}
