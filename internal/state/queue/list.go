package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
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

// List returns the jobs in the queue, oldest first.
func (q *Queue) List(ctx context.Context) (list []Info, err error) {
	err = q.Select(ctx, Filter{}, func(i Info) error {
		list = append(list, i)
		return nil
	})
	return list, err
}

// Select calls fn with each job that a filter means, oldest first, until fn returns an error.
func (q *Queue) Select(ctx context.Context, f Filter, fn func(Info) error) error {
	wanted := func(id queueid.ID) bool {
		return id.Compare(f.Offset) > 0 && (len(f.IDs) == 0 || slices.Contains(f.IDs, id))
	}
	list, err := q.infos(ctx, wanted)
	if err != nil {
		return err
	}
	n := 0
	for _, i := range list {
		if !f.matches(&i) {
			continue
		}
		if err := fn(i); err != nil {
			return err
		}
		if n++; n == f.Limit {
			return nil
		}
	}
	return nil
}

// Info returns one job, or ErrNoJob.
func (q *Queue) Info(ctx context.Context, id queueid.ID) (Info, error) {
	list, err := q.infos(ctx, func(other queueid.ID) bool { return other == id })
	if err == nil && len(list) == 0 {
		err = ErrNoJob
	}
	if err != nil {
		return Info{}, err
	}
	return list[0], nil
}

// Job returns what a job in the queue was accepted with, or ErrNoJob.
func (q *Queue) Job(ctx context.Context, id queueid.ID) (*flow.Job, error) {
	q.mu.Lock()
	it := q.jobs[id]
	var job *flow.Job
	if it != nil {
		job = it.job
	}
	q.mu.Unlock()
	switch {
	case it == nil:
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

func (q *Queue) infos(ctx context.Context, wanted func(queueid.ID) bool) ([]Info, error) {
	type found struct {
		info Info
		id   queueid.ID
		job  *flow.Job
		nos  []int // of info.Recipients
	}
	q.mu.Lock()
	var list []found
	now := q.opt.Now()
	for id, it := range q.jobs {
		if !wanted(id) || len(it.rcpts) == 0 {
			continue
		}
		f := found{id: id, job: it.job, info: Info{id: id, ID: id.String(), State: it.state(now), Received: it.received, Size: it.size}}
		for _, r := range it.rcpts {
			ri := RecipientInfo{No: r.no, Site: r.route, Transport: r.transport.String(), Route: r.route, Attempts: r.attempts}
			if !r.last.At.IsZero() {
				next := r.next
				ri.Next, ri.Status, ri.Relay, ri.Reply = &next, r.last.Status.String(), r.last.Relay, r.last.Reply
				ri.Class = r.last.Class.String()
			}
			f.nos = append(f.nos, r.no)
			f.info.Recipients = append(f.info.Recipients, ri)
		}
		list = append(list, f)
	}
	q.mu.Unlock()
	slices.SortFunc(list, func(a, b found) int { return a.id.Compare(b.id) })
	out := make([]Info, 0, len(list))
	for _, f := range list {
		if f.job == nil {
			job, err := q.readJob(ctx, f.id)
			if errors.Is(err, errNoRows) {
				continue // it left meanwhile
			}
			if errors.Is(err, flow.ErrCorrupt) {
				f.info.State = Corrupt.String()
				out = append(out, f.info)
				continue
			}
			if err != nil {
				return nil, err
			}
			f.job = job
		}
		if f.info.State == Hold.String() {
			f.info.Held = f.job.Hold
		}
		f.info.Sender = f.job.From.String()
		if f.job.From.IsZero() {
			f.info.Sender = ""
		}
		for i, no := range f.nos {
			if no < len(f.job.Recipients) {
				f.info.Recipients[i].Address = f.job.Recipients[no].To.String()
			}
		}
		out = append(out, f.info)
	}
	return out, nil
}

func (it *item) state(now time.Time) string {
	switch {
	case it.corrupt:
		return Corrupt.String()
	case it.held:
		return Hold.String()
	case it.flying > 0:
		return "active"
	case !it.rows:
		return "incoming"
	case slices.ContainsFunc(it.rcpts, func(r *recipient) bool { return !r.next.After(now) }):
		return "active"
	}
	return "deferred"
}

// Flush makes everything that waits due now.
func (q *Queue) Flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.opt.Now()
	for _, it := range q.jobs {
		for _, r := range it.rcpts {
			if r.next.After(now) {
				r.next = now
			}
		}
	}
	q.sched.Flush(now)
	if !q.started { // only the rows will tell the next start
		q.enqueue(func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE job_recipient SET next_attempt = ? WHERE next_attempt > ?", now.UnixMicro(), now.UnixMicro())
			return err
		}, nil)
	}
	q.pump()
}

// Sync returns once the changes made so far are durable.
func (q *Queue) Sync(ctx context.Context) error {
	done := make(chan struct{})
	q.enqueue(func(*db.Tx) error { return nil }, func() { close(done) })
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
	q.mu.Lock()
	it := q.jobs[id]
	if it == nil || len(it.rcpts) == 0 {
		q.mu.Unlock()
		return ErrNoJob
	}
	var left []int
	for _, r := range it.rcpts {
		left = append(left, r.no)
	}
	it.rcpts = nil
	done := make(chan struct{})
	rows := it.rows
	if rows {
		left = q.remembered(it, left)
	}
	q.enqueueRows(len(left)+1, func(tx *db.Tx) error {
		if err := putDone(tx, id, left); err != nil || !rows {
			return err
		}
		return deleteRows(tx, id)
	}, func() {
		if !rows {
			q.opt.Journal.Settle(it.ref)
		}
		q.forget(it)
		close(done)
	})
	q.hurry()
	q.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hold stops deliveries of a job, or lets them go on.
func (q *Queue) Hold(id queueid.ID, hold bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.jobs[id]
	if it == nil || len(it.rcpts) == 0 {
		return ErrNoJob
	}
	if it.held == hold {
		return nil
	}
	it.held, it.corrupt = hold, false
	if !it.rows {
		q.writeRows(it, nil)
	} else {
		q.setState(it, map[bool]State{true: Hold, false: Queued}[hold])
	}
	if hold {
		return nil
	}
	now := q.opt.Now()
	var rcpts []*recipient
	for _, r := range it.rcpts {
		if !r.flying { // its attempt will say when the next one is
			r.next = now
			rcpts = append(rcpts, r)
		}
	}
	q.schedule(it, rcpts)
	q.pump()
	return nil
}

// IDs lists the jobs in the queue, oldest first.
func (q *Queue) IDs() []queueid.ID {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := make([]queueid.ID, 0, len(q.jobs))
	for id := range q.jobs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, queueid.ID.Compare)
	return ids
}

// Counts are the numbers of jobs by state, for metrics.
func (q *Queue) Counts() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.opt.Now()
	counts := map[string]int{"incoming": 0, "active": 0, "deferred": 0, "hold": 0}
	for _, it := range q.jobs {
		counts[it.state(now)]++
	}
	return counts
}
