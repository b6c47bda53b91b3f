package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// lane is a transport's agent with the tasks that wait for it.
type lane struct {
	Lane
	pending []*Task
	running int
	began   time.Time     // of the last call of Deliver
	full    chan struct{} // capacity 1: a whole batch is pending
}

// pause is how long a worker should wait for more tasks to come together. q.mu is held.
func (l *lane) pause(now time.Time) time.Duration {
	if l.Pace == 0 || len(l.pending) == 0 || len(l.pending) >= l.Batch {
		return 0
	}
	return l.began.Add(l.Pace).Sub(now)
}

// Load loads the rows: from now on the operator's functions work, and nothing is delivered. Recover has been called for
// every unsettled record of the journal.
func (q *Queue) Load(ctx context.Context) error {
	if err := q.countRows(ctx); err != nil {
		return err
	}
	q.wg.Add(2)
	q.mu.Lock()
	q.loaded = true
	q.mu.Unlock()
	go q.persist()
	go q.sweep()
	return nil
}

// Start is Load, and begins to deliver.
func (q *Queue) Start(ctx context.Context) error {
	if err := q.Load(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.started = true
	q.timer = time.AfterFunc(0, q.tick)
	q.wg.Add(2)
	go q.feed()
	go q.watchClock()
	q.pump()
	return nil
}

// Stop begins nothing new, lets attempts under way finish until ctx ends, writes down what they said, and returns. Jobs
// without rows stay in the journal.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	q.stopping = true
	loaded := q.loaded
	if q.timer != nil {
		q.timer.Stop()
	}
	q.mu.Unlock()
	if !loaded {
		q.cancel()
		return nil
	}
	stop := context.AfterFunc(ctx, q.cancel) // agents give up when the grace is over
	defer stop()
	q.waitIdle()
	q.cancel()
	q.wg.Wait()
	ctx = context.WithoutCancel(ctx) // what the agents said is written in any case; the database answers soon, also with no
	err := q.writeOps(ctx)
	if err != nil {
		err = fmt.Errorf("queue: changes not written at the stop; some deliveries may be repeated: %w", err)
	}
	return errors.Join(err, q.opt.Journal.FlushSettled(ctx))
}

// waitIdle waits until no worker runs.
func (q *Queue) waitIdle() {
	for {
		q.mu.Lock()
		busy := 0
		for _, l := range q.lanes {
			busy += l.running
		}
		idle := q.idle
		if busy > 0 && idle == nil {
			idle = make(chan struct{})
			q.idle = idle
		}
		q.mu.Unlock()
		if busy == 0 {
			return
		}
		<-idle
	}
}

// tick is the timer's call: something has become due.
func (q *Queue) tick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pump()
}

// pump moves what is due to the lanes and starts workers. q.mu is held.
func (q *Queue) pump() {
	if !q.started || q.stopping {
		return
	}
	now := q.opt.Now()
	q.sched.Tick(now)
	for {
		u, ok := q.sched.Ready(now)
		if !ok {
			break
		}
		t := q.task(u)
		if t == nil {
			q.sched.Done(u.Unit, sched.Feedback{}, now)
			continue
		}
		l := q.lane(u.Transport)
		if l.pending = append(l.pending, t); len(l.pending) >= l.Batch {
			select {
			case l.full <- struct{}{}:
			default:
			}
		}
		if l.running < l.Workers {
			l.running++
			q.wg.Add(1)
			go q.work(l)
		}
	}
	q.resolve()
	if next, ok := q.sched.Next(); ok {
		q.timer.Reset(max(next.Sub(now), time.Millisecond))
	}
}

// task makes the attempt for a unit; nil when nothing of it is left to do.
func (q *Queue) task(u sched.Pick) *Task {
	it := q.jobs[u.ID]
	if it == nil || it.held {
		return nil
	}
	t := &Task{Job: it.job, Due: u.Due, unit: u.Unit, item: it, rest: u.Rest}
	kept := u.Recipients[:0:0]
	for _, no := range u.Recipients {
		if r := it.find(no); r != nil && r.turn == u.Turn {
			kept = append(kept, no)
			r.flying = true
			t.Attempts = max(t.Attempts, r.attempts)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	t.unit.Recipients = kept
	it.flying += len(kept)
	return t
}

// land says that an attempt is over, or was never begun, and what it said of its site. settle has to follow. q.mu is held.
func (q *Queue) land(t *Task, f sched.Feedback) {
	t.item.flying -= len(t.unit.Recipients)
	site := mailstore
	for _, no := range t.unit.Recipients {
		if r := t.item.find(no); r != nil {
			r.flying = false
			q.setTurn(r, 0)
			site = r.site
		}
	}
	if t.unit.Transport != 0 { // else the operator's
		q.sched.Done(t.unit, f, q.opt.Now())
	}
	if q.overfull(site) {
		q.bring() // feed sheds it
	}
}

// wanted tells whether a task that waits in its lane is still to be tried: its job may have been deleted or held. q.mu is
// held.
func (q *Queue) wanted(t *Task) bool {
	return q.jobs[t.item.id] == t.item && !t.item.held && len(t.item.rcpts) > 0
}

// work serves a lane until nothing is pending.
func (q *Queue) work(l *lane) {
	defer q.wg.Done()
	for {
		q.mu.Lock()
		if wait := l.pause(q.opt.Now()); wait > 0 && !q.stopping {
			q.mu.Unlock()
			gather := time.NewTimer(wait)
			select {
			case <-gather.C:
			case <-l.full:
				gather.Stop()
			case <-q.ctx.Done():
				gather.Stop()
			}
			q.mu.Lock()
		}
		if len(l.pending) == 0 || q.stopping {
			l.running--
			for _, t := range l.pending { // not begun: they stay where a start finds them
				q.land(t, sched.Feedback{})
			}
			l.pending = nil
			if q.idle != nil {
				close(q.idle)
				q.idle = nil
			}
			q.mu.Unlock()
			return
		}
		tasks := q.take(l)
		l.began = q.opt.Now()
		q.mu.Unlock()
		if len(tasks) > 0 {
			q.attempt(l, tasks)
		}
	}
}

// take returns the next batch of a lane. q.mu is held.
func (q *Queue) take(l *lane) []*Task {
	n, recipients := 0, 0
	for n < len(l.pending) && recipients < l.Batch {
		recipients += len(l.pending[n].unit.Recipients)
		n++
	}
	tasks := make([]*Task, 0, n)
	for _, t := range l.pending[:n] {
		if q.wanted(t) {
			tasks = append(tasks, t)
		} else {
			q.land(t, sched.Feedback{})
			q.settle(t.item)
		}
	}
	if l.pending = l.pending[n:]; len(l.pending) == 0 {
		l.pending = nil // let the array go
	}
	return tasks
}

// attempt has the agent try tasks, and keeps what came of it.
func (q *Queue) attempt(l *lane, tasks []*Task) {
	defer func() {
		q.mu.Lock()
		q.pump()
		q.mu.Unlock()
	}()
	ready := tasks[:0]
	for _, t := range tasks {
		if err := q.load(t); err != nil {
			q.unreadable(t, err)
			continue
		}
		if t.rest != nil && q.hasExpired(t.Job, t.Job.From, q.opt.Now()) {
			q.finish(t, t.untried())
			continue
		}
		if t.rest != nil { // the clock was set, or the configuration gives it more time
			q.spare(t)
			continue
		}
		ready = append(ready, t)
	}
	if len(ready) == 0 {
		return
	}
	out := q.deliver(l, ready)
	for i, t := range ready {
		var outcomes []flow.Outcome
		if i < len(out) {
			outcomes = out[i]
		}
		q.finish(t, outcomes)
	}
}

// untried is the outcomes of a task whose site rests, and which has waited long enough: what the site said last.
func (t *Task) untried() (list []flow.Outcome) {
	for _, r := range t.Recipients {
		o := t.rest.Reason
		o.Recipient, o.Signal = r.No, flow.Silent
		list = append(list, expired(o))
	}
	return list
}

// deliver calls the agent. A panic is no report: the recipients are deferred, and the other messages go their way.
func (q *Queue) deliver(l *lane, tasks []*Task) (out [][]flow.Outcome) {
	defer func() {
		if r := recover(); r != nil {
			q.opt.Log.Error("panic in a delivery agent; its messages are deferred", "queue_id", tasks[0].Job.ID.String(),
				"tasks", len(tasks), "panic", r, "stack", string(debug.Stack()))
			out = nil
		}
	}()
	return l.Agent.Deliver(q.ctx, tasks)
}

// load completes a task: the job from its rows where memory does not have it, and its recipients.
func (q *Queue) load(t *Task) error {
	if t.Job == nil {
		q.mu.Lock()
		t.Job = t.item.job // another task of the job may have read it
		q.mu.Unlock()
	}
	if t.Job == nil {
		job, err := q.readJob(q.ctx, t.item.id)
		if err != nil {
			return err
		}
		t.Job = job
		q.mu.Lock()
		if t.item.job == nil { // else an operator has changed it meanwhile
			t.item.job = job // until its last task under way is over
		}
		q.mu.Unlock()
	}
	for _, no := range t.unit.Recipients {
		if no >= len(t.Job.Recipients) {
			return fmt.Errorf("%w: recipient %d of %d", flow.ErrCorrupt, no, len(t.Job.Recipients))
		}
		t.Recipients = append(t.Recipients, t.Job.Recipients[no])
	}
	return nil
}
