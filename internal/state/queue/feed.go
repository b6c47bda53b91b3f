package queue

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// place is a recipient's place in the order of what is due.
type place struct {
	next int64 // microseconds since 1970
	id   queueid.ID
	no   int64
}

// found is a row that feed has seen.
type found struct {
	place
	transport flow.Transport
	site      string
	attempts  int64
	last      int64
	class     sched.Class
}

// feed brings from the rows what becomes due, until the queue stops.
func (q *Queue) feed() {
	defer q.wg.Done()
	if err := q.replan(q.ctx, q.opt.Now()); err != nil && q.ctx.Err() == nil {
		q.opt.Log.Error("attempts that were planned by another clock cannot be looked for; those in rows wait for their time", "error", err)
	}
	for {
		wait, began := feedEvery, time.Now()
		if err := q.fill(q.ctx); err != nil {
			if q.ctx.Err() != nil {
				return
			}
			q.opt.Log.Error("what is due cannot be read; trying again", "error", err)
			wait = feedPause
		}
		// At most half of the time goes into reading, however often room is found.
		breath := time.NewTimer(max(time.Since(began), feedBreath))
		select {
		case <-q.ctx.Done():
			breath.Stop()
			return
		case <-breath.C:
		}
		timer := time.NewTimer(wait)
		select {
		case <-q.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-q.hungry:
			timer.Stop()
		}
	}
}

// fill brings what is due within the horizon and has room, in the order of its times; of sites that had more than their share
// what was passed over first.
func (q *Queue) fill(ctx context.Context) error {
	q.mu.Lock()
	for it := range q.parked {
		q.settle(it)
	}
	q.shed()
	if slices.Contains(q.wanting[:], true) { // nor do our own mailboxes' recipients wait for room
		q.crowded[mailstore] = true
	}
	var drained []string
	for site := range q.crowded {
		if q.lines[site] <= q.siteRoom(site)/2 {
			drained = append(drained, site)
		}
	}
	until := q.opt.Now().Add(horizon)
	siteUntil := until
	if q.flushed != [len(classes)]time.Time{} {
		siteUntil = until.Add(farFuture)
	}
	q.pump()
	q.mu.Unlock()
	for _, site := range drained {
		if err := q.refill(ctx, site, siteUntil); err != nil {
			return err
		}
	}
	for _, c := range classes {
		if err := q.pass(ctx, c, until); err != nil {
			return err
		}
	}
	return nil
}

// pass goes on through the rows of a class, from where it stopped. After a flush it also goes through what is not due.
func (q *Queue) pass(ctx context.Context, c sched.Class, until time.Time) error {
	q.mu.Lock()
	if q.rewind[c] && (q.drained(c) || q.resident[c] < q.share(c)*7/8 && time.Since(q.rewound[c]) >= rewindEvery) {
		q.rewind[c], q.passed[c], q.flushPassed[c], q.rewound[c] = false, place{}, place{}, time.Now()
	}
	flushed := q.flushed[c]
	q.wanting[c] = false
	nothing := q.soonest[c] > until.UnixMicro() && !q.rewind[c] && flushed.IsZero()
	q.mu.Unlock()
	if nothing {
		return nil
	}
	end, err := q.advance(ctx, c, until, &q.passed[c])
	if err == nil && end {
		err = q.lookAhead(ctx, c)
	}
	if err != nil || flushed.IsZero() {
		return err
	}
	end, err = q.advance(ctx, c, until.Add(farFuture), &q.flushPassed[c])
	q.mu.Lock()
	defer q.mu.Unlock()
	if end && q.flushed[c] == flushed && len(q.crowded) == 0 && !q.rewind[c] {
		q.flushed[c], q.flushPassed[c] = time.Time{}, place{}
	}
	return err
}

// lookAhead finds out when there is something to bring again, so that nobody asks before.
func (q *Queue) lookAhead(ctx context.Context, c sched.Class) error {
	q.mu.Lock()
	from := q.passed[c]
	q.soonest[c] = math.MaxInt64 // evict lowers it
	q.mu.Unlock()
	rows, err := q.dueRows(ctx, c, from, q.opt.Now().Add(farFuture), 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err != nil:
		q.soonest[c] = 0
	case len(rows) > 0:
		q.soonest[c] = min(q.soonest[c], rows[0].next)
	}
	return err
}

// advance brings what comes behind a place as long as there is room, and moves the place; end tells whether that was all.
func (q *Queue) advance(ctx context.Context, c sched.Class, until time.Time, at *place) (end bool, err error) {
	for {
		q.mu.Lock()
		from, n := *at, min(q.share(c)-q.resident[c], feedSlice)
		q.wanting[c] = n <= 0
		q.mu.Unlock()
		if n <= 0 {
			return false, nil
		}
		rows, err := q.dueRows(ctx, c, from, until, n)
		if err == nil {
			err = q.bringRows(ctx, rows)
		}
		if err != nil {
			return false, err
		}
		q.mu.Lock()
		if len(rows) > 0 && *at == from { // nobody has begun anew meanwhile
			*at = rows[len(rows)-1].place
		}
		q.mu.Unlock()
		if len(rows) < n {
			return true, nil
		}
	}
}

const (
	feedSlice = 1000 // rows one read returns
	farFuture = 100 * 365 * 24 * time.Hour
)

// refill brings what was passed over of a site that had more than its share.
func (q *Queue) refill(ctx context.Context, site string, until time.Time) error {
	q.mu.Lock()
	delete(q.crowded, site) // what is passed over from now on says so again
	q.mu.Unlock()
	end := false
	defer func() {
		if !end {
			q.mu.Lock()
			q.crowded[site] = true
			q.mu.Unlock()
		}
	}()
	for from := (place{}); ; {
		rows, err := q.siteRows(ctx, site, from, until)
		if err == nil {
			err = q.bringRows(ctx, rows)
		}
		if err != nil {
			return err
		}
		q.mu.Lock()
		full := q.lines[site] >= q.siteRoom(site)
		q.mu.Unlock()
		if end = len(rows) < feedSlice; end || full {
			return nil
		}
		from = rows[len(rows)-1].place
	}
}

// dueRows reads what comes behind a place and is due, of a class.
func (q *Queue) dueRows(ctx context.Context, c sched.Class, from place, until time.Time, limit int) (list []found, err error) {
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = readFound(tx.Query(`SELECT next_attempt, queue_id, recipient_no, transport, site, attempts, last_at, urgency FROM job_recipient
			WHERE urgency = ? AND (next_attempt, queue_id, recipient_no) > (?, ?, ?) AND next_attempt <= ?
			ORDER BY next_attempt, queue_id, recipient_no LIMIT ?`, uint8(c), from.next, from.id[:], from.no, until.UnixMicro(), limit))
		return err
	})
	return list, err
}

// siteRows does the same for a site.
func (q *Queue) siteRows(ctx context.Context, site string, from place, until time.Time) (list []found, err error) {
	err = q.opt.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = readFound(tx.Query(`SELECT next_attempt, queue_id, recipient_no, transport, site, attempts, last_at, urgency FROM job_recipient
			WHERE site = ? AND (next_attempt, queue_id, recipient_no) > (?, ?, ?) AND next_attempt <= ?
			ORDER BY next_attempt, queue_id, recipient_no LIMIT ?`, site, from.next, from.id[:], from.no, until.UnixMicro(), feedSlice))
		return err
	})
	return list, err
}

func readFound(rows *db.Rows) (list []found, err error) {
	for rows.Next() {
		f := found{transport: flow.Transport(rows.Int64(3)), site: rows.Text(4), attempts: rows.Int64(5), last: rows.Int64(6),
			class: classOf(rows.Int64(7))}
		f.next, f.no = rows.Int64(0), rows.Int64(2)
		copy(f.id[:], rows.Bytes(1))
		list = append(list, f)
	}
	return list, rows.Err()
}

// classOf reads a class from a row.
func classOf(n int64) sched.Class {
	if n < 0 || n >= int64(len(classes)) {
		return sched.Normal
	}
	return sched.Class(n)
}

// bringRows brings the jobs of rows that are due, where there is room.
func (q *Queue) bringRows(ctx context.Context, rows []found) error {
	var ids []queueid.ID
	seen := map[queueid.ID]bool{}
	coming, inClass := map[string]int{}, [len(classes)]int{}
	q.mu.Lock()
	limit := q.opt.Now().Add(horizon).UnixMicro()
	for i := range rows {
		f := &rows[i]
		if flushed := q.flushed[f.class]; f.next > limit && (flushed.IsZero() || f.attempts == 0 || f.last >= flushed.UnixMicro()) {
			continue // only a flush looks so far, and this one waits for its release, or was tried since
		}
		it := q.jobs[f.id]
		switch {
		case it != nil:
			q.settle(it)
		case seen[f.id]:
		case !local(f.transport) && q.lines[f.site]+coming[f.site] >= q.siteRoom(f.site):
			q.crowded[f.site] = true
		case !local(f.transport) && q.resident[f.class]+inClass[f.class] > q.share(f.class):
			q.rewind[f.class] = true
		default:
			inClass[f.class]++
			seen[f.id] = true
			ids = append(ids, f.id)
			coming[f.site]++
		}
	}
	q.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	_, err := q.fetch(ctx, ids, false)
	return err
}
