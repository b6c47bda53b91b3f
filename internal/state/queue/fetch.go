package queue

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
)

// fetch brings jobs from their rows into memory, but for those that are there. Pinned ones stay until unpin, also when
// they are held; else only those come that may be tried. It returns the items, pinned ones also where they were there.
func (q *Queue) fetch(ctx context.Context, ids []queueid.ID, pin bool) ([]*item, error) {
	q.loading.Lock()
	defer q.loading.Unlock()
	q.mu.Lock()
	q.departed = map[queueid.ID]bool{}
	q.mu.Unlock()
	var read []*item
	err := q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		read = read[:0]
		for _, id := range ids {
			it, err := readItem(tx, id)
			if err != nil {
				return err
			}
			if it != nil {
				read = append(read, it)
			}
		}
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	departed := q.departed
	q.departed = nil
	if err != nil {
		return nil, err
	}
	now := q.opt.Now()
	var list []*item
	for _, it := range read {
		if q.jobs[it.id] != nil || departed[it.id] || it.held && !pin || len(it.rcpts) == 0 {
			continue
		}
		q.awaken(it, now)
		if pin {
			it.pinned++
			list = append(list, it)
		}
		q.settle(it)
	}
	q.pump()
	return list, nil
}

// awaken puts an item that was read from its rows among the others. q.mu is held.
func (q *Queue) awaken(it *item, now time.Time) {
	q.jobs[it.id] = it
	q.away[it.stateOfRow()]--
	it.ref = q.replayed[it.id]
	delete(q.replayed, it.id)
	latest := q.retry.latest(now)
	for _, r := range it.rcpts {
		if site := q.siteOf(r.transport, r.route); site != r.route || r.site == "" {
			r.site = site // else what the row says is better
		}
		if !r.next.After(now) || r.attempts == 0 && it.release.After(now) {
			continue
		}
		if r.next.After(latest) || r.last.At.Before(q.flushed[it.urgency]) {
			r.next = now
		}
	}
}

// pinned brings one job into memory and keeps it there until unpin; nil: there is none.
func (q *Queue) pinned(ctx context.Context, id queueid.ID) (*item, error) {
	for {
		q.mu.Lock()
		it := q.jobs[id]
		if it != nil && len(it.rcpts) == 0 {
			q.mu.Unlock()
			return nil, nil
		}
		if it != nil {
			it.pinned++
			q.mu.Unlock()
			return it, nil
		}
		q.mu.Unlock()
		list, err := q.fetch(ctx, []queueid.ID{id}, true)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			return list[0], nil
		}
		// Gone, or it moved between rows and memory meanwhile.
		found, err := q.hasJobRow(ctx, id)
		q.mu.Lock()
		here := q.jobs[id] != nil
		q.mu.Unlock()
		if err != nil || !found && !here {
			return nil, err
		}
	}
}

// unpin ends what pinned began.
func (q *Queue) unpin(it *item) {
	q.mu.Lock()
	defer q.unlock()
	it.pinned--
	q.settle(it)
	q.pump()
}

func (q *Queue) hasJobRow(ctx context.Context, id queueid.ID) (found bool, err error) {
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		var one int64
		found, err = tx.QueryRow("SELECT 1 FROM job WHERE queue_id = ? AND EXISTS (SELECT 1 FROM job_recipient WHERE job_recipient.queue_id = job.queue_id)",
			id[:]).Scan(&one)
		return err
	})
	return found, err
}

// readItem reads one job's rows; nil: it has none.
func readItem(tx *db.Tx, id queueid.ID) (*item, error) {
	it := &item{id: id, rows: true, stored: true}
	var state, received, expires, release int64
	found, err := tx.QueryRow("SELECT state, size, received, expires, payer, not_before FROM job WHERE queue_id = ?", id[:]).
		Scan(&state, &it.size, &received, &expires, &it.payer, &release)
	if err != nil || !found {
		return nil, err
	}
	it.held, it.corrupt = State(state) != Queued, State(state) == Corrupt
	it.received, it.expires = time.UnixMicro(received), time.UnixMicro(expires)
	if release != 0 {
		it.release = time.UnixMicro(release)
	}
	rows := tx.Query("SELECT "+recipientColumns+" FROM job_recipient WHERE queue_id = ? ORDER BY recipient_no", id[:])
	for rows.Next() {
		it.rcpts = append(it.rcpts, readRecipient(rows))
		it.urgency = classOf(rows.Int64(13))
	}
	return it, rows.Err()
}

const recipientColumns = `queue_id, recipient_no, route, attempts, next_attempt, last_at, last_status, last_relay, last_reply, transport,
	site, class, warned, urgency, COALESCE(address, '')`

// readRecipient reads a row of recipientColumns.
func readRecipient(rows *db.Rows) *recipient {
	r := &recipient{no: rows.Int(1), route: rows.Text(2), attempts: rows.Int(3), next: time.UnixMicro(rows.Int64(4)),
		transport: flow.Transport(rows.Int64(9)), site: rows.Text(10), rowSite: rows.Text(10), warned: uint8(rows.Int64(12))}
	if at := rows.Int64(5); at != 0 {
		r.last = flow.Outcome{Recipient: r.no, At: time.UnixMicro(at), Status: parseStatus(rows.Text(6)), Relay: rows.Text(7),
			Reply: rows.Text(8), Class: flow.Class(rows.Int64(11))}
	}
	return r
}
