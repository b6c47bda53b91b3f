package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// change does one job's part of a Change, of the recipients nos. It returns false where nothing was to be done: the job has
// left, or its recipients are in flight.
func (q *Queue) change(ctx context.Context, id queueid.ID, nos []int, c Change) (done bool, err error) {
	it, err := q.pinned(ctx, id)
	if it == nil {
		return false, err
	}
	defer q.unpin(it)
	if done, ok := q.changeNow(it, nos, c); ok {
		return done, nil
	}
	job, err := q.Job(ctx, id)
	if err != nil {
		return false, ignoreGone(err)
	}
	switch c.Action {
	case ActBounce:
		return q.bounce(it, job, nos, c)
	case ActReroute:
		return q.rewrite(it, job, nos, func(r *flow.Recipient) ([]flow.Recipient, error) {
			r.Transport, r.NextHop = cmp.Or(c.Transport, r.Transport), c.NextHop
			return []flow.Recipient{*r}, nil
		})
	}
	return q.rewrite(it, job, nos, func(r *flow.Recipient) ([]flow.Recipient, error) {
		if q.opt.Resolve == nil {
			return []flow.Recipient{*r}, nil
		}
		return q.opt.Resolve(ctx, job, r)
	})
}

// changeNow does what needs nothing but memory; ok is false for the rest.
func (q *Queue) changeNow(it *item, nos []int, c Change) (done, ok bool) {
	q.mu.Lock()
	defer q.unlock()
	switch c.Action {
	case ActHold, ActRelease:
		return q.hold(it, c.Action == ActHold), true
	case ActFlush:
		return q.flush(it, nos, c.Reclassify), true
	case ActDelete:
		return q.drop(it, func(no int) bool { _, found := slices.BinarySearch(nos, no); return found }), true
	}
	return false, false
}

func ignoreGone(err error) error {
	if errors.Is(err, ErrNoJob) {
		return nil
	}
	return err
}

// choose returns the recipients nos of an item that are not in flight. q.mu is held.
func (q *Queue) choose(it *item, nos []int) (list []*recipient) {
	if q.jobs[it.id] != it {
		return nil
	}
	for _, no := range nos {
		if r := it.find(no); r != nil && !r.flying {
			list = append(list, r)
		}
	}
	return list
}

// flush makes recipients due now. q.mu is held.
func (q *Queue) flush(it *item, nos []int, anew bool) bool {
	list := q.choose(it, nos)
	if len(list) == 0 || it.held {
		return false
	}
	now := q.opt.Now()
	for _, r := range list {
		q.due(r, now)
		if anew {
			r.attempts = 0
		}
	}
	if it.rows {
		q.updateRows(it, change{again: list})
	}
	return true
}

// drop deletes the recipients that are meant, also those in flight. q.mu is held.
func (q *Queue) drop(it *item, meant func(no int) bool) bool {
	if q.jobs[it.id] != it {
		return false
	}
	var gone []int
	it.rcpts = slices.DeleteFunc(it.rcpts, func(r *recipient) bool {
		if !meant(r.no) {
			return false
		}
		q.setTurn(r, 0)
		gone = append(gone, r.no)
		return true
	})
	q.end(it, change{gone: gone, done: gone})
	return len(gone) > 0
}

// bounce ends recipients as failures, and has their sender told. Where that cannot be, they wait on, and the operator hears of it.
func (q *Queue) bounce(it *item, job *flow.Job, nos []int, c Change) (bool, error) {
	q.mu.Lock()
	t := &Task{Job: job, item: it}
	for _, r := range q.choose(it, nos) {
		if r.no >= len(job.Recipients) {
			continue
		}
		q.setTurn(r, 0) // its unit is void
		r.flying = true
		it.flying++
		t.unit.Recipients = append(t.unit.Recipients, r.no)
		t.Recipients = append(t.Recipients, job.Recipients[r.no])
	}
	q.mu.Unlock()
	if len(t.Recipients) == 0 {
		return false, nil
	}
	var outcomes []flow.Outcome
	code, text := c.reason()
	for _, r := range t.Recipients {
		outcomes = append(outcomes, flow.Outcome{Recipient: r.No, Result: flow.Failed, Status: code, Relay: "none", Reply: text, At: q.opt.Now(),
			Class: flow.ClassPolicy})
	}
	q.finish(t, outcomes)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.jobs[it.id] == it && it.find(t.Recipients[0].No) != nil {
		return false, fmt.Errorf("%s: the notification of its sender could not be made, so the message stays; the log says why", it.id)
	}
	return true, nil
}

// rewrite gives recipients another way. The first that takes one's place has its number, so that what the ledgers know of it
// stays true; further ones come behind the last.
func (q *Queue) rewrite(it *item, job *flow.Job, nos []int, way func(*flow.Recipient) ([]flow.Recipient, error)) (bool, error) {
	ways := map[int][]flow.Recipient{}
	for _, no := range nos {
		if no >= len(job.Recipients) {
			continue
		}
		r := job.Recipients[no]
		list, err := way(&r)
		if err != nil {
			return false, err
		}
		if len(list) == 0 {
			list = []flow.Recipient{{To: r.To, Original: r.Original, Notify: r.Notify, ORcpt: r.ORcpt, Transport: flow.Drop}}
		}
		ways[no] = list
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.choose(it, nos)
	if len(list) == 0 {
		return false, nil
	}
	now := q.opt.Now()
	changed := *job
	changed.Recipients = slices.Clone(job.Recipients)
	var again []*recipient
	for _, old := range list {
		q.setTurn(old, 0)
		for i, to := range ways[old.no] {
			no := old.no
			if i > 0 {
				no = len(changed.Recipients)
				changed.Recipients = append(changed.Recipients, to)
			}
			to.No = no
			changed.Recipients[no] = to
			r := q.newRecipient(&changed.Recipients[no], it.begin(now))
			r.site = q.siteOf(r.transport, r.route)
			if i, found := slices.BinarySearchFunc(it.rcpts, no, func(r *recipient, no int) int { return cmp.Compare(r.no, no) }); found {
				it.rcpts[i] = r
			} else {
				it.rcpts = slices.Insert(it.rcpts, i, r)
			}
			again = append(again, r)
		}
	}
	it.job = &changed
	if it.rows {
		q.updateRows(it, change{again: again, job: &changed})
	} else {
		q.writeRows(it, nil)
	}
	return true, nil
}
