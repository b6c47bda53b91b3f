package sched

import (
	"container/heap"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

type siteKey struct {
	transport flow.Transport
	name      string
}

type lineKey struct {
	payer string
	class Class
}

// line is the units of one payer and class that are due at one site, in the order in which they became due. It stands either
// in the site (parked) or with its payer in the lane (offered).
type line struct {
	key   lineKey
	site  *site
	units ring[*entry]
}

// pop takes the first unit; nil when only places of expired ones were left.
func (ln *line) pop() *entry {
	for ln.units.len() > 0 {
		if e := ln.units.popFront(); !e.gone {
			return e
		}
	}
	return nil
}

// site is what shares limits.
type site struct {
	key     siteKey
	lane    *lane
	lines   map[lineKey]*line
	parked  [classes]ring[*line] // lines that wait for room
	offered [classes]int         // lines that take part in the lane's turns
	ready   int                  // units that are due
	flying  int
	bulk    int // of them Bulk
	starved int // index in the pool's heap; -1: not there
	timer   time.Time
	used    time.Time // when something was last done for it
	wasBusy bool

	// What learn.go knows.
	ceiling  float64
	initial  float64
	limit    float64
	linear   bool    // it was too much once: the limit grows by one for each round, not for each unit
	wall     float64 // the limit that was too much; 0: none was
	caution  float64 // how much slower it grows there
	shrunk   uint64  // units that took off before this say nothing new about the limit
	misses   int     // attempts in a row that found it unreachable, or were refused as such
	rests    int     // without success between
	resting  uint64  // the rest began with this flight; units that took off before it are no probes
	rest     *Rest
	expiring expiryHeap    // while it rests: what is due, by Expire
	took     time.Duration // an attempt, on the average
	health   health

	successes [2]success // the last, and the last of another route

	connections, messages bucket
}

// site returns the site of a key.
func (s *Scheduler) site(key siteKey) *site {
	at := s.sites[key]
	if at == nil {
		at = &site{key: key, lane: &s.local, lines: map[lineKey]*line{}, starved: -1, used: s.now}
		if remote(key.transport) {
			at.lane, at.health = &s.remote, fresh
		}
		s.sites[key] = at
		at.apply(s)
		at.limit = at.initial
	}
	return at
}

// apply takes over what the policy says of a site.
func (at *site) apply(s *Scheduler) {
	p := s.policy.Sites[at.key.name]
	at.ceiling, at.initial = float64(s.policy.ceiling(at.key)), float64(s.policy.initial(at.key))
	at.limit = min(at.limit, at.ceiling)
	if at.lane.remote {
		at.connections.set(p.Connections, s.now)
		at.messages.set(p.Messages, s.now)
	} else {
		at.limit = at.ceiling
	}
}

// enter puts a unit that is due into its line.
func (at *site) enter(e *entry, s *Scheduler) {
	key := lineKey{e.Payer, e.Class}
	ln := at.lines[key]
	if ln == nil {
		ln = &line{key: key, site: at}
		at.lines[key] = ln
		at.parked[e.Class].pushBack(ln)
	}
	ln.units.pushBack(e)
	at.ready++
	at.touch(s)
	if at.rest != nil {
		at.expires(e)
	}
	at.offer(s)
}

// touch keeps count of the sites that are busy. s.now is when.
func (at *site) touch(s *Scheduler) {
	at.used = s.now
	if busy := at.ready+at.flying > 0; busy != at.wasBusy {
		at.wasBusy = busy
		if busy {
			at.lane.busy++
		} else {
			at.lane.busy--
		}
	}
}

// spare is how many lines more take part in the turns than there is room for: whose turn comes first gets the room. Without
// them a line whose payer has thousands of others would keep the room for when its turn comes, and everybody else from it.
const spare = 16

// offer lets parked lines take part in the turns while there is room, and sees to it that the site hears when there is.
func (at *site) offer(s *Scheduler) {
	for c := range classes {
		if at.parked[c].len() == 0 {
			continue
		}
		n, wait := at.room(c, s)
		for n > 0 && at.offered[c] < n+spare && at.parked[c].len() > 0 {
			at.offered[c]++
			at.lane.offer(at.parked[c].popFront())
		}
		if n > 0 || at.parked[c].len() == 0 {
			continue // those that are offered come back here when they were picked
		}
		switch {
		case !wait.IsZero():
			at.wake(wait, s)
		case at.lane.remote && at.own(c) > 0 && at.starved < 0:
			heap.Push(&at.lane.pools[at.health].starved, at)
		}
	}
}

// own is how many units of a class more the site's limit lets take off.
func (at *site) own(c Class) int {
	limit := int(at.limit)
	n := limit - at.flying
	if c == Bulk && at.lane.remote {
		n = min(n, limit-reserve(limit)-at.bulk)
	}
	return n
}

// share is how many units more may be in flight where many sites want to: no more than are free. So a site that holds its
// units for long gets fewer the scarcer they are, and one that has none gets one as long as there is any.
func (at *site) share() int {
	free := at.lane.free(at.health)
	if at.lane.busy <= 1 {
		return free
	}
	return min(free, free-at.flying)
}

// room is how many units of a class may take off now. Where it is none for a time, wait says until when.
func (at *site) room(c Class, s *Scheduler) (n int, wait time.Time) {
	if !at.lane.remote {
		return at.own(c), wait
	}
	if at.rest != nil {
		if at.rest.Until.After(s.now) {
			return 0, at.rest.Until
		}
		return min(1-at.flying, at.share()), wait // the probe
	}
	n = min(at.own(c), at.share())
	for _, b := range [...]*bucket{&at.messages, &at.connections} {
		if n <= 0 || !b.limited() {
			continue
		}
		left, next := b.left(s.now)
		if n = min(n, left); n == 0 {
			return 0, next
		}
	}
	return n, wait
}

// wake has the timer call the site.
func (at *site) wake(when time.Time, s *Scheduler) {
	if at.timer.IsZero() || when.Before(at.timer) {
		at.timer = when
		heap.Push(&s.timers, timer{when, at})
	}
}

// woken is the timer's call.
func (at *site) woken(s *Scheduler) {
	at.timer = time.Time{}
	for len(at.expiring) > 0 && (at.expiring[0].gone || !at.expiring[0].Expire.After(s.now)) {
		e := heap.Pop(&at.expiring).(*entry)
		if e.gone {
			continue
		}
		e.gone = true
		at.ready--
		at.touch(s)
		rest := *at.rest
		s.expired.pushBack(Pick{Unit: e.Unit, Rest: &rest})
	}
	if len(at.expiring) > 0 {
		at.wake(at.expiring[0].Expire, s)
	}
	at.offer(s)
}

// expires notes a unit that waits while the site rests.
func (at *site) expires(e *entry) {
	if !e.Expire.IsZero() && !e.gone {
		heap.Push(&at.expiring, e)
	}
}

// takeOff counts a unit in flight.
func (at *site) takeOff(e *entry, s *Scheduler) Unit {
	at.flights(e.Class, 1)
	at.ready--
	at.messages.take(1)
	at.connections.take(1)
	s.flights++
	u := e.Unit
	u.flight = flight{site: at, no: s.flights, at: s.now}
	e.gone = true // for the heap of what expires
	at.touch(s)
	at.offer(s)
	return u
}

// flights adds n to what is in flight, wherever that is counted.
func (at *site) flights(c Class, n int) {
	at.flying += n
	at.lane.flying += n
	at.lane.pools[at.health].flying += n
	if c == Bulk {
		at.bulk += n
		at.lane.bulk += n
	}
	if at.starved >= 0 {
		heap.Fix(&at.lane.pools[at.health].starved, at.starved)
	}
}

// become moves a site to another pool.
func (at *site) become(h health) {
	if h == at.health || !at.lane.remote {
		return
	}
	pools := &at.lane.pools
	if at.starved >= 0 {
		heap.Remove(&pools[at.health].starved, at.starved)
	}
	pools[at.health].flying -= at.flying
	pools[h].flying += at.flying
	at.health = h
}
