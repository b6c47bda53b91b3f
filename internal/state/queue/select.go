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

const selectSlice = 200 // jobs one read returns

// listed is a job as its rows and memory have it.
type listed struct {
	id       queueid.ID
	job      *flow.Job // nil: addresses are in the rows, or have to be read
	info     Info
	rcpts    []*recipient // as the rows have them, parallel to info.Recipients
	sender   bool         // info.Sender is known
	complete bool         // and the recipients' addresses
}

// Select calls fn with each job that a filter means, oldest first, until fn returns an error. It holds some hundred jobs at
// a time, and no lock while fn runs. A job that moves on meanwhile is told as it was or as it is.
func (q *Queue) Select(ctx context.Context, f Filter, fn func(Info) error) error {
	named := slices.Clone(f.IDs)
	slices.SortFunc(named, queueid.ID.Compare)
	named = slices.Compact(named)
	young := q.young(named)
	from, n := f.Offset, 0
	for more := true; more; {
		var rows []listed
		var err error
		if len(f.IDs) > 0 {
			rows, more, err = q.readNamed(ctx, named, from)
		} else {
			rows, more, err = q.readListed(ctx, from)
		}
		if err != nil {
			return err
		}
		for _, id := range young {
			if id.Compare(from) <= 0 || more && id.Compare(rows[len(rows)-1].id) > 0 {
				continue
			}
			if i, found := slices.BinarySearchFunc(rows, id, func(l listed, id queueid.ID) int { return l.id.Compare(id) }); !found {
				rows = slices.Insert(rows, i, listed{id: id})
			}
		}
		for i := range rows {
			l := &rows[i]
			from = l.id
			if there, err := q.complete(ctx, l); err != nil {
				return err
			} else if !there || !f.matches(&l.info) {
				continue
			}
			if err := fn(l.info); err != nil {
				return err
			}
			if n++; n == f.Limit {
				return nil
			}
		}
	}
	return nil
}

// young returns the jobs that are not in the rows yet, sorted; of those named, if any are.
func (q *Queue) young(named []queueid.ID) (list []queueid.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wanted := func(it *item) bool { return !it.stored && len(it.rcpts) > 0 }
	if len(named) == 0 {
		return q.ids(wanted)
	}
	for _, id := range named {
		if it := q.jobs[id]; it != nil && wanted(it) {
			list = append(list, id)
		}
	}
	return list
}

// readNamed reads the rows of ids behind one, a slice of them; ids are sorted.
func (q *Queue) readNamed(ctx context.Context, ids []queueid.ID, from queueid.ID) (list []listed, more bool, err error) {
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		list, more = nil, false
		for _, id := range ids {
			if id.Compare(from) <= 0 {
				continue
			}
			if len(list) == selectSlice {
				more = true
				return nil
			}
			l, err := readRows(tx, tx.Query("SELECT "+jobColumns+" FROM job WHERE queue_id = ?", id[:]))
			if err != nil {
				return err
			}
			list = append(list, l...)
		}
		return nil
	})
	return list, more, err
}

// readListed reads a slice of rows behind an id.
func (q *Queue) readListed(ctx context.Context, from queueid.ID) (list []listed, more bool, err error) {
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = readRows(tx, tx.Query("SELECT "+jobColumns+" FROM job WHERE queue_id > ? ORDER BY queue_id LIMIT ?", from[:], selectSlice))
		return err
	})
	return list, len(list) == selectSlice, err
}

const jobColumns = "queue_id, state, size, received, sender, not_before"

// readRows reads jobs and then their recipients.
func readRows(tx *db.Tx, rows *db.Rows) (list []listed, err error) {
	for rows.Next() {
		var l listed
		copy(l.id[:], rows.Bytes(0))
		l.info.State, l.info.Size, l.info.Received = stateName(State(rows.Int64(1))), rows.Int64(2), time.UnixMicro(rows.Int64(3))
		l.info.Sender, l.sender, l.complete = rows.Text(4), !rows.IsNull(4), true
		l.info.setRelease(timeOf(rows.Int64(5)))
		list = append(list, l)
	}
	if err = rows.Err(); err != nil || len(list) == 0 {
		return nil, err
	}
	first, last := list[0].id, list[len(list)-1].id
	rows = tx.Query("SELECT "+recipientColumns+" FROM job_recipient WHERE queue_id >= ? AND queue_id <= ? ORDER BY queue_id, recipient_no", first[:], last[:])
	for i := 0; rows.Next(); {
		var id queueid.ID
		copy(id[:], rows.Bytes(0))
		for i < len(list) && list[i].id.Compare(id) < 0 {
			i++
		}
		if i == len(list) || list[i].id != id {
			continue // without its job
		}
		r := readRecipient(rows)
		ri := r.info()
		ri.Address = rows.Text(14)
		list[i].complete = list[i].complete && ri.Address != ""
		list[i].info.Recipients, list[i].rcpts = append(list[i].info.Recipients, ri), append(list[i].rcpts, r)
	}
	return list, rows.Err()
}

// stateName is the state of a job that is in rows only.
func stateName(s State) string {
	if s == Queued {
		return "deferred"
	}
	return s.String()
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}

func (i *Info) setRelease(at time.Time) {
	if !at.IsZero() {
		i.NotBefore = &at
	}
}

// info is a recipient as an operator sees it, without its address.
func (r *recipient) info() RecipientInfo {
	ri := RecipientInfo{No: r.no, Transport: r.transport.String(), Route: r.route, Site: r.site, Attempts: r.attempts}
	if !r.last.At.IsZero() {
		next := r.next
		ri.Next, ri.Status, ri.Relay, ri.Reply, ri.Class = &next, r.last.Status.String(), r.last.Relay, r.last.Reply, r.last.Class.String()
	}
	return ri
}

// complete fills in what memory knows better than the rows, and what only the body knows; false: the job is gone.
func (q *Queue) complete(ctx context.Context, l *listed) (bool, error) {
	q.mu.Lock()
	it := q.jobs[l.id]
	switch now := q.opt.Now(); {
	case it != nil:
		q.remember(it, l, now)
	case l.info.State == "deferred":
		for i, r := range l.rcpts {
			q.suspend(r, &l.info.Recipients[i], now)
		}
	}
	q.mu.Unlock()
	l.info.id, l.info.ID = l.id, l.id.String()
	if len(l.info.Recipients) == 0 {
		return false, nil
	}
	if l.job == nil && (!l.sender || !l.complete || l.info.State == Hold.String() || l.info.State == Corrupt.String()) {
		job, err := q.readJob(ctx, l.id)
		switch {
		case errors.Is(err, errNoRows):
			there, err := q.hasJobRow(ctx, l.id) // else it left meanwhile
			l.info.State = Corrupt.String()
			return there, err
		case errors.Is(err, flow.ErrCorrupt):
			l.info.State = Corrupt.String()
			return true, nil
		case err != nil:
			return false, err
		}
		l.job = job
	}
	if l.job == nil {
		return true, nil
	}
	if l.info.State == Hold.String() {
		l.info.Held = l.job.Hold
	}
	l.info.Sender = senderOf(l.job)
	for i := range l.info.Recipients {
		if ri := &l.info.Recipients[i]; ri.No < len(l.job.Recipients) {
			ri.Address = l.job.Recipients[ri.No].To.String()
		}
	}
	return true, nil
}

// remember takes what an item says in the place of its rows. q.mu is held.
func (q *Queue) remember(it *item, l *listed, now time.Time) {
	addresses := map[int]string{}
	for _, ri := range l.info.Recipients {
		addresses[ri.No] = ri.Address
	}
	l.job = it.job
	l.info = Info{State: q.stateOf(it, now), Received: it.received, Size: it.size, Sender: l.info.Sender}
	l.info.setRelease(it.release)
	for _, r := range it.rcpts {
		ri := r.info()
		if !it.held {
			q.suspend(r, &ri, now)
		}
		ri.Address = addresses[r.no]
		l.complete = l.complete && ri.Address != ""
		l.info.Recipients = append(l.info.Recipients, ri)
	}
}
