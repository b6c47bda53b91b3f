// Package sched decides which deliveries run next. It is pure: no clock, no goroutine, no I/O; the caller tells it the
// time, and does what it says.
//
// Units that are due wait in lines, one for each destination and payer. Destinations are sites: domains whose mail
// exchangers are the same provider's count as one, once the caller has told which (Unresolved, Resolved). Of what may run,
// the payers take turns, and for each payer its sites; so neither a long line nor a great sender holds up the others.
//
// Units are never taken out: one whose recipients have ended, are held or have a later unit comes up like the rest, and
// the caller, who knows, passes it to Done at once. So the deletion of many jobs costs no search for each.
package sched

import (
	"container/heap"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// Unit is what is scheduled: the recipients of one job that share a route.
type Unit struct {
	ID         queueid.ID
	Turn       uint64 // the caller's, to tell units apart
	Transport  flow.Transport
	Route      string // SMTP: the domain; else the next hop or whose command or file it is; "" for mailboxes
	MX         bool   // Route is a domain whose mail exchangers say which site it belongs to
	Payer      string // who takes turns with others: an account, a sender's domain
	Class      Class
	Recipients []int // recipient numbers
	Due        time.Time
	Expire     time.Time // when it comes up also where its site rests; zero: never for that reason
}

// Class is how urgent a unit is among its payer's and others'.
type Class uint8

// The classes. Each gets a share of what may run, Urgent the largest; none starves.
const (
	Normal Class = iota
	Urgent       // notifications, mail that asks for priority
	Bulk         // lists, newsletters
)

// Pick is a unit whose turn it is. With Rest it is not to be tried: its site rests, and the unit has expired meanwhile.
type Pick struct {
	Unit
	Rest *Rest
}

// Rest is why a site is not tried at present.
type Rest struct {
	Until  time.Time // when it is probed
	Since  time.Time
	Reason flow.Outcome // the last attempt's
}

// Feedback is what an attempt said about its site.
type Feedback struct {
	Signal  flow.Signal
	Outcome flow.Outcome // of the last recipient, the reason of a Rest
}

// Limits bound what runs at once.
type Limits struct {
	PerRoute int // units of one SMTP or LMTP site in flight, where Policy.Sites says nothing else; of commands and files at most localPerRoute
	Total    int // units of all SMTP and LMTP sites in flight
	Mailbox  int // mailbox units in flight
}

// Rate is a number of events in a time; the zero Rate is no limit.
type Rate struct {
	N   int
	Per time.Duration
}

// Site is what a site is given.
type Site struct {
	Concurrency int  // units in flight, the ceiling of what it may grow to; 0: Limits.PerRoute
	Initial     int  // units in flight at first; 0: Policy.Initial
	Connections Rate // new connections
	Messages    Rate // units begun
}

// Policy is what the operator says. The zero value of each field but Limits is its default.
type Policy struct {
	Limits  Limits
	Initial int             // units of one site in flight at first; 0: DefaultInitial
	Sites   map[string]Site // by site name
	// SiteOf names the site of a route that is no domain's exchangers (Unit.MX is false); nil: the route itself.
	SiteOf    func(t flow.Transport, route string) string
	DeadAfter int           // attempts in a row that found a site unreachable, or refused us, before it rests; 0: DefaultDeadAfter
	RestMin   time.Duration // the first rest; each one after it is twice as long; 0: DefaultRestMin
	RestMax   time.Duration // the longest; 0: DefaultRestMax
}

// Defaults of Policy.
const (
	DefaultInitial   = 5 // initial_destination_concurrency
	DefaultDeadAfter = 3
	DefaultRestMin   = 5 * time.Minute // minimal_backoff_time
	DefaultRestMax   = time.Hour
)

// SiteInfo is a site as an operator sees it.
type SiteInfo struct {
	Name        string
	Transport   flow.Transport
	Flying      int   // units in flight
	Ready       int   // units that are due and wait
	Limit       int   // units that may be in flight now
	Ceiling     int   // and at most
	Rest        *Rest // nil: it does not rest
	Connections Rate
	Messages    Rate
}

// Scheduler decides what runs next.
type Scheduler struct {
	policy  Policy
	limits  Limits
	waiting dueHeap
	routes  map[routeKey]*route
	turn    []*route // routes with units due and room in flight, in the order of their turns
	flying  int      // units of remote routes in flight
}

type routeKey struct {
	transport flow.Transport
	name      string
}

type route struct {
	key     routeKey
	ready   []Unit
	flying  int
	waiting bool // it stands in Scheduler.turn
}

// New makes a scheduler with nothing to do.
func New(p Policy) *Scheduler {
	return &Scheduler{policy: p, limits: p.Limits, routes: map[routeKey]*route{}}
}

// SetPolicy puts another policy in force. What is in flight stays.
func (s *Scheduler) SetPolicy(p Policy) { s.policy, s.limits = p, p.Limits }

// Unresolved returns up to max domains whose site is to be found; each is returned once until Resolved answers it. Units of
// theirs wait meanwhile.
func (s *Scheduler) Unresolved(max int) []string { return nil }

// Resolved says which site a domain belongs to, until when. An empty site (the DNS gave no answer) makes the domain its own
// site.
func (s *Scheduler) Resolved(domain, site string, until time.Time) {}

// Sites lists the sites that have units in flight or waiting, or rest.
func (s *Scheduler) Sites(now time.Time) []SiteInfo {
	var out []SiteInfo
	for k, r := range s.routes {
		out = append(out, SiteInfo{Name: k.name, Transport: k.transport, Flying: r.flying, Ready: len(r.ready), Limit: s.perRoute(r), Ceiling: s.perRoute(r)})
	}
	return out
}

// Resume ends the rest of a site; false when no site of that name is known.
func (s *Scheduler) Resume(site string) bool { return false }

// Add takes a unit. It may be due already.
func (s *Scheduler) Add(u Unit) { heap.Push(&s.waiting, u) }

// Tick moves what is due at now into the lines of its route.
func (s *Scheduler) Tick(now time.Time) {
	for len(s.waiting) > 0 && !s.waiting[0].Due.After(now) {
		u := heap.Pop(&s.waiting).(Unit)
		key := routeKey{u.Transport, u.Route}
		r := s.routes[key]
		if r == nil {
			r = &route{key: key}
			s.routes[key] = r
		}
		r.ready = append(r.ready, u)
		s.enqueue(r)
	}
}

func (s *Scheduler) enqueue(r *route) {
	if !r.waiting && len(r.ready) > 0 && r.flying < s.perRoute(r) {
		r.waiting = true
		s.turn = append(s.turn, r)
	}
}

// localPerRoute leaves workers for others when commands or locks of one user take long: local_destination_concurrency_limit.
const localPerRoute = 2

func (s *Scheduler) perRoute(r *route) int {
	if r.key.transport == flow.Pipe || r.key.transport == flow.File {
		return min(localPerRoute, s.limits.PerRoute)
	}
	if r.key.transport == flow.Mailbox || r.key.transport == flow.Drop {
		return s.limits.Mailbox
	}
	return s.limits.PerRoute
}

func remote(t flow.Transport) bool { return t == flow.SMTP || t == flow.LMTP }

// Ready returns the next unit that may run at now; false when there is none. The unit is in flight until Done.
func (s *Scheduler) Ready(now time.Time) (Pick, bool) {
	for n := len(s.turn); n > 0; n-- {
		r := s.turn[0]
		s.turn = s.turn[1:]
		r.waiting = false
		if remote(r.key.transport) && s.flying >= s.limits.Total {
			r.waiting = true
			s.turn = append(s.turn, r) // keeps its place among the remote ones; local routes may pass
			continue
		}
		u := r.ready[0]
		r.ready = r.ready[1:]
		r.flying++
		if remote(r.key.transport) {
			s.flying++
		}
		s.enqueue(r)
		return Pick{Unit: u}, true
	}
	return Pick{}, false
}

// Done frees the place of a unit that Ready returned, and learns from its attempt; the zero Feedback says nothing about
// the site.
func (s *Scheduler) Done(u Unit, f Feedback, now time.Time) {
	key := routeKey{u.Transport, u.Route}
	r := s.routes[key]
	if r == nil || r.flying == 0 {
		return
	}
	r.flying--
	if remote(u.Transport) {
		s.flying--
	}
	if r.flying == 0 && len(r.ready) == 0 {
		delete(s.routes, key)
		return
	}
	s.enqueue(r)
}

// Next is when Tick has something to do; false when nothing waits.
func (s *Scheduler) Next() (time.Time, bool) {
	if len(s.waiting) == 0 {
		return time.Time{}, false
	}
	return s.waiting[0].Due, true
}

// Flush makes everything that waits due at once.
func (s *Scheduler) Flush(now time.Time) {
	for i := range s.waiting {
		s.waiting[i].Due = now
	}
	heap.Init(&s.waiting)
}

// dueHeap orders units by due time, then by id, so that equal times keep the order of arrival.
type dueHeap []Unit

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	if !h[i].Due.Equal(h[j].Due) {
		return h[i].Due.Before(h[j].Due)
	}
	return h[i].ID.Compare(h[j].ID) < 0
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(Unit)) }
func (h *dueHeap) Pop() any {
	old := *h
	u := old[len(old)-1]
	*h = old[:len(old)-1]
	return u
}

// Flying is how many units of remote routes are in flight.
func (s *Scheduler) Flying() int { return s.flying }
