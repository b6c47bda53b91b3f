package sched

import (
	"container/heap"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

// slow is how long attempts of a site may take, on the average, before it counts among those that give trouble.
const slow = 10 * time.Second

// void tells whether there was no attempt.
func (f *Feedback) void() bool {
	return f.Signal == flow.Silent && f.Outcome.At.IsZero() && f.Outcome.Result == flow.Deferred
}

// unasked tells whether the attempt ended before any host was asked: the DNS had no answer, or we found the fault.
func (f *Feedback) unasked() bool {
	o := &f.Outcome
	return f.signal() == flow.Silent && !o.Connected && o.RemoteMTA == ""
}

// success is when mail of a route was taken.
type success struct {
	route string
	at    time.Time
}

// served notes a success: the last one, and before it the last of another route.
func (at *site) served(u *Unit, s *Scheduler) {
	if at.successes[0].route != u.Route {
		at.successes[1] = at.successes[0]
	}
	at.successes[0] = success{u.Route, s.now}
}

// recently is how old another domain's success may be that says that a site is there, where attempts end sooner.
const recently = 10 * time.Second

// serves tells whether a site took mail of another domain while an attempt reached none of its hosts. Then it is the domain that
// is wrong: its owner says which hosts are its exchangers, and may name some of a provider's that take no mail.
func (at *site) serves(u *Unit, s *Scheduler) bool {
	since := u.flight.at
	if last := s.now.Add(-recently); last.Before(since) {
		since = last
	}
	for _, ok := range at.successes {
		if u.MX && ok.route != u.Route && ok.at.After(since) {
			return true
		}
	}
	return false
}

// signal is Feedback.Signal, or what a success says.
func (f *Feedback) signal() flow.Signal {
	if f.Signal == flow.Silent && (f.Outcome.Result == flow.Relayed || f.Outcome.Result == flow.Delivered) {
		return flow.Well
	}
	return f.Signal
}

// learn changes limit, health and rest by what an attempt said.
func (at *site) learn(u *Unit, f *Feedback, s *Scheduler) {
	if f.void() || f.unasked() || !at.lane.remote || f.signal() == flow.Unreachable && at.serves(u, s) {
		return
	}
	took := max(0, s.now.Sub(u.flight.at))
	if at.took == 0 {
		at.took = took
	} else {
		at.took += (took - at.took) / 8
	}
	switch f.signal() {
	case flow.Well:
		at.answered()
		at.rests = 0
		at.served(u, s)
		at.grow(u)
	case flow.Silent: // it answered, be it to say no
		at.answered()
	case flow.Slower:
		if at.limit < 2 { // less is nothing
			at.missed(u, f, s)
		}
		at.shrink(u, s)
	case flow.Unreachable, flow.Refuses:
		at.missed(u, f, s)
		at.shrink(u, s)
	}
}

// missed counts an attempt in vain. After some in a row, or when it was a probe, the site rests.
func (at *site) missed(u *Unit, f *Feedback, s *Scheduler) {
	at.misses++
	if at.rest == nil && at.misses >= s.policy.DeadAfter || at.rest != nil && u.flight.no >= at.resting {
		at.sleep(f, s)
	}
}

// answered ends rest and doubt.
func (at *site) answered() {
	at.misses = 0
	if at.rest != nil {
		at.awake()
	}
	if at.took > slow {
		at.become(troubled)
	} else {
		at.become(proven)
	}
}

// grow raises the limit: by one for each success until it was too much once, then by one for as many as the limit (RFC 5681
// §3.1 does so with windows). Where it was too much before, it is tried ever more rarely whether more is possible by now. Only
// a limit that was made use of is known to be too low.
func (at *site) grow(u *Unit) {
	if u.flight.no < at.shrunk || float64(at.flying+1) < at.limit/2 {
		return
	}
	step := 1.0
	if at.linear {
		step /= at.limit
	}
	if at.wall > 0 && at.limit+step >= at.wall {
		step = 1 / (at.limit * at.caution)
	}
	at.limit = min(at.limit+step, at.ceiling)
	if at.limit >= at.wall+1 {
		at.wall, at.caution = 0, 0
	}
}

// What it takes to try again what was too much: so many rounds, twice as many each time.
const (
	leastCaution = 16
	mostCaution  = 512
)

// shrink lowers the limit, once for all that was in flight: by half at first, when it had doubled, then by a third.
func (at *site) shrink(u *Unit, s *Scheduler) {
	at.become(troubled)
	if u.flight.no < at.shrunk {
		return
	}
	at.caution = min(max(2*at.caution, leastCaution), mostCaution)
	at.wall = float64(int(at.limit))
	if at.linear {
		at.limit *= 0.7
	} else {
		at.limit /= 2
	}
	at.limit, at.linear, at.shrunk = max(1, at.limit), true, s.flights+1
}

// sleep begins a rest, or makes it longer.
func (at *site) sleep(f *Feedback, s *Scheduler) {
	least, most := s.policy.RestMin, s.policy.RestMax
	if !s.exchangers[at.key] {
		least, most = min(least, ownRestMin), min(most, ownRestMax)
	}
	length := most
	if at.rests < 16 {
		length = min(most, least<<at.rests)
	}
	at.rests++
	rest := &Rest{Until: s.now.Add(length), Since: s.now, Reason: f.Outcome}
	if at.rest != nil {
		rest.Since = at.rest.Since
	} else {
		at.lane.rests++
		for _, ln := range at.lines {
			ln.units.each(at.expires)
		}
		heap.Init(&at.expiring)
	}
	at.rest, at.resting, at.limit = rest, s.flights+1, 1
	at.become(troubled)
	at.wake(rest.Until, s)
	if len(at.expiring) > 0 {
		at.wake(at.expiring[0].Expire, s)
	}
}

// awake ends a rest. The limit begins anew where the site began.
func (at *site) awake() {
	if at.rest != nil {
		at.lane.rests--
	}
	at.rest, at.expiring, at.misses = nil, nil, 0
	at.limit, at.linear, at.wall, at.caution = at.initial, false, 0, 0
}
