package queue

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// finish takes the outcomes of one attempt. Notifications are made durable before their recipients end.
func (q *Queue) finish(t *Task, outcomes []flow.Outcome) {
	now := q.opt.Now()
	byNo := make(map[int]flow.Outcome, len(outcomes))
	for _, o := range outcomes {
		byNo[o.Recipient] = o
	}
	tried := make([]flow.Recipient, 0, len(t.Recipients))
	ended := make([]flow.Outcome, 0, len(t.Recipients)) // parallel to tried
	for _, r := range t.Recipients {
		o, ok := byNo[r.No]
		if !ok && q.ctx.Err() != nil {
			continue // cut off by the stop: no attempt, the next start has it again
		}
		if !ok {
			o = flow.Outcome{Recipient: r.No, Status: status.Enhanced{Class: status.Temporary}, Relay: "none",
				Reply: "delivery was interrupted", At: now}
		}
		if !o.Result.Final() && q.hasExpired(t.Job, t.Job.Sender(&r), now) {
			o = expired(o)
		}
		tried, ended = append(tried, r), append(ended, o)
	}
	if n := notice(t.Job, tried, ended); n != nil {
		if err := q.report(n); err != nil {
			q.opt.Log.Error("delivery status notification could not be made; recipients that failed stay in the queue until it can; of success nobody is told",
				"queue_id", t.Job.ID.String(), "error", err)
			for i := range ended {
				if ended[i].Result == flow.Failed {
					ended[i].Result, ended[i].Status.Class = flow.Deferred, status.Temporary
				}
			}
		}
	}
	warned := q.warn(t, tried, ended, now)
	for i := range ended {
		q.opt.Event(t.Job, &tried[i], &ended[i])
	}
	q.apply(t, ended, warned, now)
}

// report asks the Reporter. Its panic is a failure.
func (q *Queue) report(n *Notice) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return q.opt.Reporter.Report(q.ctx, n)
}

// expired turns a deferral into the failure of a recipient that waited long enough. The remote's last words stay.
func expired(o flow.Outcome) flow.Outcome {
	o.Result = flow.Failed
	o.Status = status.Enhanced{Class: status.Permanent, Subject: 4, Detail: 7} // RFC 3463 §3.5: delivery time expired
	if o.Class == flow.ClassNone {
		o.Class = flow.ClassExpired
	}
	return o
}

// notice collects the recipients whose sender is to be told (RFC 3461 §4.1); nil when none.
func notice(j *flow.Job, rcpts []flow.Recipient, outcomes []flow.Outcome) *Notice {
	n := &Notice{Job: j}
	for i, o := range outcomes {
		asked := rcpts[i].Notify
		due := false
		switch o.Result {
		case flow.Failed:
			due = asked == 0 || asked&envelope.NotifyFailure != 0
		case flow.Delivered:
			due = asked&envelope.NotifySuccess != 0
		case flow.Relayed:
			due = asked&envelope.NotifySuccess != 0 && !o.DSNPassed
		}
		if due && asked&envelope.NotifyNever == 0 {
			n.Recipients = append(n.Recipients, rcpts[i])
			n.Outcomes = append(n.Outcomes, o)
		}
	}
	if len(n.Recipients) == 0 {
		return nil
	}
	return n
}

// apply changes the item by final outcomes and deferrals, and has both written down where rows are concerned. warned has what
// senders were told, by recipient.
func (q *Queue) apply(t *Task, outcomes []flow.Outcome, warned map[int]uint8, now time.Time) {
	q.mu.Lock()
	defer q.unlock()
	q.land(t, feedback(outcomes))
	it := t.item
	if q.jobs[it.id] != it || len(it.rcpts) == 0 {
		return // it was deleted meanwhile
	}
	defer q.settle(it)
	var done []int // final recipients of transports that have no ledger of their own
	var gone []int
	var again []*recipient
	jitter := q.opt.Jitter() // one for all: what was tried together comes back together, in one transaction
	for _, o := range outcomes {
		r := it.find(o.Recipient)
		if r == nil || r.done {
			continue
		}
		if o.Result.Final() {
			r.done = true
			gone = append(gone, r.no)
			if r.transport != flow.Mailbox || o.Result == flow.Failed {
				done = append(done, r.no)
			}
			continue
		}
		r.attempts++
		r.last = o
		r.last.Reply = clip(o.Reply)
		r.warned |= warned[r.no]
		r.site = q.siteOf(r.transport, r.route)
		q.due(r, it.before(now, now.Add(q.wait(r, jitter))))
		again = append(again, r)
	}
	if len(gone) > 0 {
		it.rcpts = slices.DeleteFunc(it.rcpts, func(r *recipient) bool { return r.done })
	}
	q.end(it, change{gone: gone, done: done, again: again})
}

// before is the time of the next attempt: the last one is made when the time is over, so that nobody is told late.
func (it *item) before(now, next time.Time) time.Time {
	if it.expires.After(now) && next.After(it.expires) {
		return it.expires
	}
	return next
}

// feedback is what the outcomes of one attempt say about its site: the gravest.
func feedback(outcomes []flow.Outcome) (f sched.Feedback) {
	for _, o := range outcomes {
		signal := o.Signal
		if signal == flow.Silent && (o.Result == flow.Relayed || o.Result == flow.Delivered) {
			signal = flow.Well
		}
		if signal >= f.Signal {
			f = sched.Feedback{Signal: signal, Outcome: o}
		}
	}
	return f
}

// end has a change of an item written down where rows are concerned. q.mu is held.
func (q *Queue) end(it *item, c change) {
	switch {
	case len(c.gone)+len(c.again) == 0:
	case it.rows:
		q.updateRows(it, c)
	case len(c.again) > 0:
		q.writeRows(it, c.done)
	case len(c.done) > 0:
		q.writeDone(it, c.done)
	case len(it.rcpts) == 0:
		q.opt.Journal.Settle(it.ref)
		q.forget(it)
	}
}

// What keeps a recipient of our own mailstore waiting is our own disk, and when there is room again nobody should wait for
// hours. So its waits begin at localRetry, grow by as much each time, and end at localRetryMax.
const (
	localRetry    = 30 * time.Second
	localRetryMax = 5 * time.Minute
)

// wait is the time until a recipient's next attempt.
func (q *Queue) wait(r *recipient, jitter float64) time.Duration {
	w := q.retry.wait(r.last.Class, r.attempts, jitter)
	if r.transport == flow.Mailbox {
		w = min(w, localRetryMax, time.Duration(r.attempts)*localRetry)
	}
	return w
}

// clip bounds the remote's words that are kept, and makes them text that every database takes.
func clip(s string) string {
	const limit = 2000
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + " …"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// unreadable sets a job aside whose rows cannot be read, or waits where only the database could not answer.
func (q *Queue) unreadable(t *Task, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.land(t, sched.Feedback{})
	it := t.item
	if q.jobs[it.id] != it || len(it.rcpts) == 0 {
		return
	}
	defer q.settle(it)
	if errors.Is(err, flow.ErrCorrupt) || errors.Is(err, errNoRows) {
		q.opt.Log.Error("job cannot be read; it is set aside", "queue_id", it.id.String(), "error", err)
		it.held, it.corrupt = true, true
		q.setState(it, Corrupt)
		return
	}
	q.opt.Log.Error("job cannot be read now", "queue_id", it.id.String(), "error", err)
	q.postpone(t)
}

// postpone has the recipients of a task tried later that were not tried now. q.mu is held.
func (q *Queue) postpone(t *Task) {
	next := q.opt.Now().Add(q.retry.Wait(1, q.opt.Jitter()))
	var again []*recipient
	for _, no := range t.unit.Recipients {
		if r := t.item.find(no); r != nil {
			q.due(r, next)
			again = append(again, r)
		}
	}
	if t.item.rows { // feed looks for them where their rows say
		q.end(t.item, change{again: again})
	}
}

// spare puts a task off whose recipients were to expire without an attempt, and have not by the queue's clock.
func (q *Queue) spare(t *Task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.land(t, sched.Feedback{})
	if it := t.item; q.jobs[it.id] == it && len(it.rcpts) > 0 {
		q.postpone(t)
		q.settle(it)
	}
}
