package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// Info is a job as the operator sees it.
type Info struct {
	ID         string          `json:"queue_id"`
	State      string          `json:"state"`                 // incoming, active, deferred, hold, corrupt
	Held       string          `json:"hold_reason,omitempty"` // why it is on hold from the start
	Received   time.Time       `json:"arrival_time"`
	Size       int64           `json:"message_size"`           // bytes
	Sender     string          `json:"sender"`                 // empty: the null reverse-path
	NotBefore  *time.Time      `json:"release_time,omitempty"` // FUTURERELEASE
	Recipients []RecipientInfo `json:"recipients"`

	id queueid.ID
}

// RecipientInfo is a recipient that is not done with.
type RecipientInfo struct {
	No        int        `json:"-"` // flow.Recipient.No
	Address   string     `json:"address"`
	Transport string     `json:"transport"`
	Route     string     `json:"route,omitempty"`
	Site      string     `json:"site,omitempty"`  // whose mail exchangers they are, as far as it is known; else the route
	Class     string     `json:"class,omitempty"` // flow.Class of the last attempt
	Attempts  int        `json:"attempts"`
	Next      *time.Time `json:"next_attempt,omitempty"`
	Status    string     `json:"status,omitempty"` // enhanced code of the last attempt
	Relay     string     `json:"relay,omitempty"`
	Reply     string     `json:"delay_reason,omitempty"`
}

// List returns the jobs in the queue, oldest first. Select needs less memory.
func (q *Queue) List(ctx context.Context) (list []Info, err error) {
	err = q.Select(ctx, Filter{}, func(i Info) error {
		list = append(list, i)
		return nil
	})
	return list, err
}

// Info returns one job, or ErrNoJob.
func (q *Queue) Info(ctx context.Context, id queueid.ID) (info Info, err error) {
	err = ErrNoJob
	failed := q.Select(ctx, Filter{IDs: []queueid.ID{id}}, func(i Info) error {
		info, err = i, nil
		return nil
	})
	return info, cmp.Or(failed, err)
}

// Job returns what a job in the queue was accepted with, or ErrNoJob.
func (q *Queue) Job(ctx context.Context, id queueid.ID) (*flow.Job, error) {
	q.mu.Lock()
	it := q.jobs[id]
	var job *flow.Job
	gone := false
	if it != nil {
		job, gone = it.job, len(it.rcpts) == 0
	}
	q.mu.Unlock()
	switch {
	case gone:
		return nil, ErrNoJob
	case job != nil:
		return job, nil
	}
	job, err := q.readJob(ctx, id)
	if errors.Is(err, errNoRows) {
		err = ErrNoJob
	}
	return job, err
}

// stateOf is the state of a job in memory as the operator sees it. What only waits for sites that rest is deferred. q.mu is held.
func (q *Queue) stateOf(it *item, now time.Time) string {
	switch {
	case it.corrupt:
		return Corrupt.String()
	case it.held:
		return Hold.String()
	case it.flying > 0:
		return "active"
	}
	rests := false
	for _, r := range it.rcpts {
		if r.next.After(now) {
			continue
		}
		if q.restOf(r) == nil {
			if it.rows {
				return "active"
			}
			return "incoming"
		}
		rests = true
	}
	if !it.rows && !rests {
		return "incoming"
	}
	return "deferred"
}

// restOf is why a recipient's site is not tried at present; nil: it is. q.mu is held.
func (q *Queue) restOf(r *recipient) *sched.Rest {
	return q.sched.RestOf(r.transport, q.siteOf(r.transport, r.route))
}

// suspend says of a recipient that waits for a site that rests what the site said last, and when it is probed. q.mu is held.
func (q *Queue) suspend(r *recipient, ri *RecipientInfo, now time.Time) {
	rest := q.restOf(r)
	if rest == nil || r.flying || r.next.After(now) && !r.next.Before(rest.Until) {
		return
	}
	if o := &rest.Reason; o.At.After(r.last.At) {
		ri.Status, ri.Relay, ri.Class = o.Status.String(), o.Relay, o.Class.String()
		ri.Reply = q.suspended(r, rest)
	}
	ri.Next = &rest.Until
}

// suspended says in words why a recipient is not tried. q.mu is held.
func (q *Queue) suspended(r *recipient, rest *sched.Rest) string {
	return clip(fmt.Sprintf("delivery temporarily suspended: the site %s rests until %s: %s", q.siteOf(r.transport, r.route),
		rest.Until.UTC().Format(time.RFC3339), rest.Reason.Reply))
}

// Flush makes everything that waits due now, but for what is to be released later.
func (q *Queue) Flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.opt.Now()
	for _, it := range q.jobs {
		if it.release.After(now) {
			continue
		}
		for _, r := range it.rcpts {
			if r.next.After(now) {
				r.next = now
			}
		}
		q.settle(it)
	}
	for c := range q.flushed {
		q.flushed[c], q.flushPassed[c] = now, place{}
	}
	q.sched.Flush(now)
	if !q.started { // only the rows will tell the next start
		q.enqueue(func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE job_recipient SET next_attempt = ? WHERE urgency IN (0, 1, 2) AND next_attempt > ? AND attempts > 0", now.UnixMicro(), now.UnixMicro())
			return err
		}, nil)
	}
	q.bring()
	q.pump()
}

// Sync returns once the changes made so far are durable.
func (q *Queue) Sync(ctx context.Context) error {
	done := make(chan struct{})
	q.enqueueRows(0, func(*db.Tx) error { return nil }, func() { close(done) })
	q.hurry()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrNoJob says that the queue has no such job.
var ErrNoJob = errors.New("no such message in the queue")

// Delete removes a job for good, without a notification, and returns once that is durable. Attempts under way end, and
// what they deliver stays delivered.
func (q *Queue) Delete(ctx context.Context, id queueid.ID) error {
	it, err := q.pinned(ctx, id)
	if err != nil {
		return err
	}
	if it == nil {
		return ErrNoJob
	}
	q.mu.Lock()
	deleted := q.drop(it, func(int) bool { return true })
	q.mu.Unlock()
	q.unpin(it)
	if !deleted {
		return ErrNoJob
	}
	return q.Sync(ctx)
}

// Hold stops deliveries of a job, or lets them go on.
func (q *Queue) Hold(id queueid.ID, hold bool) error {
	it, err := q.pinned(q.ctx, id)
	if err != nil {
		return err
	}
	if it == nil {
		return ErrNoJob
	}
	q.mu.Lock()
	found := q.hold(it, hold)
	q.mu.Unlock()
	q.unpin(it)
	if !found {
		return ErrNoJob
	}
	return nil
}

// hold is Hold of an item; false: it is gone. q.mu is held.
func (q *Queue) hold(it *item, hold bool) bool {
	if q.jobs[it.id] != it || len(it.rcpts) == 0 {
		return false
	}
	if it.held == hold {
		return true
	}
	it.held, it.corrupt = hold, false
	var due []*recipient
	now := q.opt.Now()
	for _, r := range it.rcpts {
		if r.flying { // its attempt will say when the next one is
			continue
		}
		if q.setTurn(r, 0); !hold {
			r.next = it.begin(now)
			due = append(due, r)
		}
	}
	if !it.rows {
		q.writeRows(it, nil)
		return true
	}
	q.setState(it, it.stateOfRow())
	if len(due) > 0 {
		q.updateRows(it, change{again: due}) // it may have to wait in its rows
	}
	return true
}

// Counts are the numbers of jobs by state, for metrics.
func (q *Queue) Counts() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.opt.Now()
	counts := map[string]int{"incoming": 0, "active": 0, "deferred": 0, "hold": 0, "corrupt": 0}
	for _, it := range q.jobs {
		if len(it.rcpts) > 0 { // else its last change is being written
			counts[q.stateOf(it, now)]++
		}
	}
	counts["deferred"] += q.away[Queued]
	counts["hold"] += q.away[Hold]
	counts[Corrupt.String()] += q.away[Corrupt]
	return counts
}
