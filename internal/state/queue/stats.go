package queue

import (
	"context"
	"time"
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

// Stats counts.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	now := q.opt.Now()
	s := Stats{At: now, States: map[string]Count{}, Sites: map[string]Count{}}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.jobs {
		if len(it.rcpts) == 0 {
			continue
		}
		at := map[string]int{}
		for _, r := range it.rcpts {
			at[r.route]++
		}
		s.count(it.state(now), now, it.received, it.size, at)
	}
	return s, ctx.Err()
}

// count adds a job with its recipients by site.
func (s *Stats) count(state string, now, received time.Time, size int64, sites map[string]int) {
	all := 0
	for site, n := range sites {
		all += n
		c := s.Sites[site]
		c.add(now, received, size, n)
		s.Sites[site] = c
	}
	c := s.States[state]
	c.add(now, received, size, all)
	s.States[state] = c
	s.Total.add(now, received, size, all)
}
