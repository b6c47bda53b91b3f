package queue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
)

// AgeBounds are the upper bounds of the buckets by age, those of qshape(1); the last bucket of Count.Ages is what is older.
var AgeBounds = [...]time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute,
	160 * time.Minute, 320 * time.Minute, 640 * time.Minute, 1280 * time.Minute}

// Count is how much there is of something in the queue.
type Count struct {
	Jobs       int                     `json:"messages"`
	Recipients int                     `json:"recipients"`
	Bytes      int64                   `json:"bytes"` // of the messages
	Oldest     time.Time               `json:"oldest,omitzero"`
	Ages       [len(AgeBounds) + 1]int `json:"ages"` // jobs by age
}

func (c *Count) add(now, received time.Time, size int64, recipients int) {
	c.Jobs++
	c.Recipients += recipients
	c.Bytes += size
	if c.Oldest.IsZero() || received.Before(c.Oldest) {
		c.Oldest = received
	}
	age, i := now.Sub(received), 0
	for i < len(AgeBounds) && age >= AgeBounds[i] {
		i++
	}
	c.Ages[i]++
}

// Stats are the numbers of the queue. A job to several sites counts at each.
type Stats struct {
	At     time.Time        `json:"at"` // what lies in rows only may have been counted up to a minute before
	Total  Count            `json:"total"`
	States map[string]Count `json:"states"`
	Sites  map[string]Count `json:"sites"` // by RecipientInfo.Site; "" is our own mailstore
}

// rowStats is what was counted of the jobs in rows only.
type rowStats struct {
	mu    sync.Mutex
	stats Stats
	until time.Time // it is used so long
}

// Stats counts. What is in memory is counted now; the walk through the rows takes at most a small part of the time.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	rows, err := q.countedRows(ctx)
	if err != nil {
		return Stats{}, err
	}
	now := q.opt.Now()
	s := Stats{At: now, Total: rows.Total, States: maps.Clone(rows.States), Sites: maps.Clone(rows.Sites)}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.jobs {
		if len(it.rcpts) > 0 {
			s.count(q.stateOf(it, now), now, it.received, it.size, it.rcpts)
		}
	}
	return s, ctx.Err()
}

// countedRows counts the jobs that are in rows only, or says what it counted lately.
func (q *Queue) countedRows(ctx context.Context) (Stats, error) {
	t := &q.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		return t.stats, nil
	}
	began, now := time.Now(), q.opt.Now()
	s := Stats{States: map[string]Count{}, Sites: map[string]Count{}}
	var from queueid.ID
	for more := true; more; {
		var list []countedJob
		err := q.opt.DB.Read(ctx, func(tx *db.Tx) (err error) {
			list, err = readCounted(tx, from)
			return err
		})
		if err != nil {
			return Stats{}, err
		}
		if more = len(list) == loadSlice; len(list) > 0 {
			from = list[len(list)-1].id
		}
		q.mu.Lock()
		list = slices.DeleteFunc(list, func(j countedJob) bool { return q.jobs[j.id] != nil || len(j.rcpts) == 0 })
		q.mu.Unlock()
		for _, j := range list {
			s.count(stateName(j.state), now, j.received, j.size, j.rcpts)
		}
	}
	t.stats, t.until = s, time.Now().Add(costShare*time.Since(began))
	return s, nil
}

type countedJob struct {
	id       queueid.ID
	state    State
	size     int64
	received time.Time
	rcpts    []*recipient
}

// readCounted reads a slice of the jobs behind an id.
func readCounted(tx *db.Tx, from queueid.ID) (list []countedJob, err error) {
	rows := tx.Query("SELECT queue_id, state, size, received FROM job WHERE queue_id > ? ORDER BY queue_id LIMIT ?", from[:], loadSlice)
	for rows.Next() {
		j := countedJob{state: State(rows.Int64(1)), size: rows.Int64(2), received: time.UnixMicro(rows.Int64(3))}
		copy(j.id[:], rows.Bytes(0))
		list = append(list, j)
	}
	if err := rows.Err(); err != nil || len(list) == 0 {
		return nil, err
	}
	first, last := list[0].id, list[len(list)-1].id
	rows = tx.Query("SELECT queue_id, site FROM job_recipient WHERE queue_id >= ? AND queue_id <= ? ORDER BY queue_id, recipient_no", first[:], last[:])
	for i := 0; rows.Next(); {
		var id queueid.ID
		copy(id[:], rows.Bytes(0))
		for i < len(list) && list[i].id.Compare(id) < 0 {
			i++
		}
		if i < len(list) && list[i].id == id {
			list[i].rcpts = append(list[i].rcpts, &recipient{site: rows.Text(1)})
		}
	}
	return list, rows.Err()
}

// count adds a job with its recipients.
func (s *Stats) count(state string, now, received time.Time, size int64, rcpts []*recipient) {
	at := map[string]int{}
	for _, r := range rcpts {
		at[r.site]++
	}
	for site, n := range at {
		c := s.Sites[site]
		c.add(now, received, size, n)
		s.Sites[site] = c
	}
	c := s.States[state]
	c.add(now, received, size, len(rcpts))
	s.States[state] = c
	s.Total.add(now, received, size, len(rcpts))
}
