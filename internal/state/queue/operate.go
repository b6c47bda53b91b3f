package queue

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
)

// change does one job's part of a Change, of the recipients nos. It returns false where nothing was to be done: the job has
// left, or its recipients are in flight.
func (q *Queue) change(ctx context.Context, id queueid.ID, nos []int, c Change) (done bool, err error) {
	switch c.Action {
	case ActHold, ActRelease:
		err = q.Hold(id, c.Action == ActHold)
		return err == nil, ignoreGone(err)
	case ActFlush:
		return q.flush(id, nos, c.Reclassify), nil
	case ActDelete:
		return q.drop(id, nos), nil
	}
	job, err := q.Job(ctx, id)
	if err != nil {
		return false, ignoreGone(err)
	}
	switch c.Action {
	case ActBounce:
		return q.bounce(job, nos, c), nil
	case ActReroute:
		return q.rewrite(job, nos, func(r *flow.Recipient) ([]flow.Recipient, error) {
			r.Transport, r.NextHop = cmp.Or(c.Transport, r.Transport), c.NextHop
			return []flow.Recipient{*r}, nil
		})
	}
	return q.rewrite(job, nos, func(r *flow.Recipient) ([]flow.Recipient, error) {
		if q.opt.Resolve == nil {
			return []flow.Recipient{*r}, nil
		}
		return q.opt.Resolve(ctx, job, r)
	})
}

func ignoreGone(err error) error {
	if errors.Is(err, ErrNoJob) {
		return nil
	}
	return err
}

// choose returns the recipients nos of a job that are not in flight. q.mu is held.
func (q *Queue) choose(id queueid.ID, nos []int) (*item, []*recipient) {
	it := q.jobs[id]
	if it == nil {
		return nil, nil
	}
	var list []*recipient
	for _, no := range nos {
		if r := it.find(no); r != nil && !r.flying {
			list = append(list, r)
		}
	}
	return it, list
}

// flush makes recipients due now.
func (q *Queue) flush(id queueid.ID, nos []int, anew bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	it, list := q.choose(id, nos)
	if len(list) == 0 || it.held {
		return false
	}
	now := q.opt.Now()
	for _, r := range list {
		r.next = now
		if anew {
			r.attempts = 0
		}
	}
	if it.rows {
		q.updateRows(it, change{again: list})
	}
	q.schedule(it, list)
	q.pump()
	return true
}

// drop deletes recipients, also those in flight.
func (q *Queue) drop(id queueid.ID, nos []int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.jobs[id]
	if it == nil || len(it.rcpts) == 0 {
		return false
	}
	var gone []int
	it.rcpts = slices.DeleteFunc(it.rcpts, func(r *recipient) bool {
		if !slices.Contains(nos, r.no) {
			return false
		}
		gone = append(gone, r.no)
		return true
	})
	q.end(it, change{gone: gone, done: gone})
	return len(gone) > 0
}

// bounce ends recipients as failures, and has their sender told.
func (q *Queue) bounce(job *flow.Job, nos []int, c Change) bool {
	q.mu.Lock()
	it, list := q.choose(job.ID, nos)
	t := &Task{Job: job, item: it}
	for _, r := range list {
		if r.no >= len(job.Recipients) {
			continue
		}
		r.turn = 0 // its unit is void
		r.flying = true
		it.flying++
		t.unit.Recipients = append(t.unit.Recipients, r.no)
		t.Recipients = append(t.Recipients, job.Recipients[r.no])
	}
	q.mu.Unlock()
	if len(t.Recipients) == 0 {
		return false
	}
	var outcomes []flow.Outcome
	code, text := c.reason()
	for _, r := range t.Recipients {
		outcomes = append(outcomes, flow.Outcome{Recipient: r.No, Result: flow.Failed, Status: code, Relay: "none", Reply: text, At: q.opt.Now(),
			Class: flow.ClassPolicy})
	}
	q.finish(t, outcomes)
	return true
}

// rewrite gives recipients another way. The first that takes one's place has its number, so that what the ledgers know of it
// stays true; further ones come behind the last.
func (q *Queue) rewrite(job *flow.Job, nos []int, way func(*flow.Recipient) ([]flow.Recipient, error)) (bool, error) {
	changed := *job
	changed.Recipients = slices.Clone(job.Recipients)
	fresh := map[int][]int{} // numbers by the one that they stand for
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
		for i, to := range list {
			if to.No = no; i > 0 {
				to.No = len(changed.Recipients)
				changed.Recipients = append(changed.Recipients, to)
			}
			changed.Recipients[to.No] = to
			fresh[no] = append(fresh[no], to.No)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	it, list := q.choose(job.ID, nos)
	if len(list) == 0 {
		return false, nil
	}
	now := q.opt.Now()
	var again []*recipient
	for _, old := range list {
		for _, no := range fresh[old.no] {
			r := q.newRecipient(&changed.Recipients[no], now)
			if i, found := slices.BinarySearchFunc(it.rcpts, no, func(r *recipient, no int) int { return cmp.Compare(r.no, no) }); found {
				it.rcpts[i] = r
			} else {
				it.rcpts = slices.Insert(it.rcpts, i, r)
			}
			again = append(again, r)
		}
	}
	if it.job != nil || !it.stored {
		it.job = &changed
	}
	id, body := it.id, flow.AppendJob(nil, &changed)
	if !it.rows {
		q.writeRows(it, nil)
	} else {
		q.enqueue(func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE job SET body = ? WHERE queue_id = ?", body, id[:])
			return err
		}, nil)
		q.updateRows(it, change{again: again})
	}
	q.schedule(it, again)
	q.pump()
	return true, nil
}
