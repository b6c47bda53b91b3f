package sched

import (
	"container/heap"
	"time"
)

// Scheduler decides what runs next. It is used by one goroutine at a time.
type Scheduler struct {
	policy        Policy
	now           time.Time // the latest that the caller said
	waiting       dueHeap   // not due
	timers        timerHeap
	sites         map[siteKey]*site
	exchangers    map[siteKey]bool // sites that the DNS named, and not the operator
	names         map[string]name
	nameless      map[string][]*entry // due, of domains whose site is not known
	ask           ring[string]        // of them, what Unresolved has not returned
	expired       ring[Pick]          // for Ready to return
	remote, local lane
	flights       uint64
	swept         time.Time
}

// New makes a scheduler with nothing to do.
func New(p Policy) *Scheduler {
	s := &Scheduler{policy: p.complete(), sites: map[siteKey]*site{}, exchangers: map[siteKey]bool{}, names: map[string]name{}, nameless: map[string][]*entry{}}
	s.local.payers, s.remote.payers = map[payerKey]*payer{}, map[payerKey]*payer{}
	s.remote.remote, s.remote.total = true, p.Limits.Total
	return s
}

// Add takes a unit. It may be due already.
func (s *Scheduler) Add(u Unit) {
	if u.Class >= classes {
		u.Class = Normal
	}
	u.flight = flight{}
	heap.Push(&s.waiting, &entry{Unit: u})
}

// Tick moves what is due at now into the lines, and ends what has lasted until now.
func (s *Scheduler) Tick(now time.Time) {
	s.clock(now)
	for len(s.timers) > 0 && !s.timers[0].at.After(now) {
		if t := heap.Pop(&s.timers).(timer); t.site.timer.Equal(t.at) {
			t.site.woken(s)
		}
	}
	for len(s.waiting) > 0 && !s.waiting[0].Due.After(now) {
		s.place(heap.Pop(&s.waiting).(*entry))
	}
	s.sweep()
}

// backwards is how far the clock may go back before what was planned by it is planned anew.
const backwards = 10 * time.Second

// clock notes the time. Where the clock went back, rests and rates last as long as they would have.
func (s *Scheduler) clock(now time.Time) {
	if back := s.now.Sub(now); back > backwards {
		for i := range s.timers {
			s.timers[i].at = s.timers[i].at.Add(-back)
		}
		for _, at := range s.sites {
			if !at.timer.IsZero() {
				at.timer = at.timer.Add(-back)
			}
			if at.rest != nil {
				at.rest.Until, at.rest.Since = at.rest.Until.Add(-back), at.rest.Since.Add(-back)
			}
			at.used = now
		}
		s.swept = now
		clear(s.names)
	}
	s.now = now
}

// Ready returns the next unit that may run at now; false when there is none. The unit is in flight until Done.
func (s *Scheduler) Ready(now time.Time) (Pick, bool) {
	s.clock(now)
	if s.expired.len() > 0 {
		return s.expired.popFront(), true
	}
	for _, l := range [...]*lane{&s.local, &s.remote} {
		if e, at := l.pick(s); e != nil {
			return Pick{Unit: at.takeOff(e, s)}, true
		}
	}
	return Pick{}, false
}

// Done frees the place of a unit that Ready returned, and learns from its attempt; the zero Feedback says that there was
// none. Of a unit that came with a Rest there is nothing to free.
func (s *Scheduler) Done(u Unit, f Feedback, now time.Time) {
	at := u.flight.site
	if at == nil || at.flying == 0 {
		return
	}
	s.clock(now)
	at.flights(u.Class, -1)
	if !f.Outcome.Connected {
		at.connections.take(-1)
	}
	if f.void() {
		at.messages.take(-1)
	}
	at.learn(&u, &f, s)
	at.touch(s)
	at.offer(s)
}

// Next is when Tick has something to do; false when nothing waits.
func (s *Scheduler) Next() (time.Time, bool) {
	for len(s.timers) > 0 && !s.timers[0].site.timer.Equal(s.timers[0].at) {
		heap.Pop(&s.timers) // void
	}
	switch {
	case len(s.waiting) == 0 && len(s.timers) == 0:
		return time.Time{}, false
	case len(s.timers) == 0 || len(s.waiting) > 0 && s.waiting[0].Due.Before(s.timers[0].at):
		return s.waiting[0].Due, true
	}
	return s.timers[0].at, true
}

// Sites without anything to do are remembered for a while: what was learned of them holds for the next mail, too.
const (
	remember   = time.Hour
	sweepEvery = 10 * time.Minute
	maxSites   = 50_000
)

// sweep forgets sites that nothing was done for lately.
func (s *Scheduler) sweep() {
	crowded := len(s.sites) > maxSites
	if since := s.now.Sub(s.swept); since < sweepEvery && (!crowded || since < backwards) {
		return
	}
	s.swept = s.now
	for key, at := range s.sites {
		idle := s.now.Sub(at.used)
		if at.rest != nil && at.rest.Until.After(s.now) && !crowded {
			continue
		}
		if at.ready+at.flying == 0 && (idle > remember || crowded) {
			if at.starved >= 0 {
				heap.Remove(&at.lane.pools[at.health].starved, at.starved)
			}
			if at.rest != nil {
				at.lane.rests--
			}
			at.timer = time.Time{}
			delete(s.sites, key)
			delete(s.exchangers, key)
		}
	}
}
