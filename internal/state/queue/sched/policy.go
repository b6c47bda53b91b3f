package sched

import (
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

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
	// Programs are how many of a name may run at once, [pipes.NAME]: a name is one site, whatever the next hops. Not there: Limits.PerRoute.
	Programs map[string]int
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

// A next hop that the operator named is his own: when it is up again, mail should not wait for long.
const (
	ownRestMin = 30 * time.Second
	ownRestMax = 2 * time.Minute
)

// localPerRoute leaves workers for others when commands or locks of one user take long: local_destination_concurrency_limit.
const localPerRoute = 2

// complete puts the defaults in the place of zeros.
func (p Policy) complete() Policy {
	p.Initial = or(p.Initial, DefaultInitial)
	p.DeadAfter = or(p.DeadAfter, DefaultDeadAfter)
	p.RestMin = or(p.RestMin, DefaultRestMin)
	p.RestMax = max(or(p.RestMax, DefaultRestMax), p.RestMin)
	return p
}

func or[T int | time.Duration](v, instead T) T {
	if v <= 0 {
		return instead
	}
	return v
}

// ceiling and initial are the bounds of a site's limit.
func (p *Policy) ceiling(key siteKey) int {
	switch key.transport {
	case flow.SMTP, flow.LMTP:
		return max(1, or(p.Sites[key.name].Concurrency, p.Limits.PerRoute))
	case flow.Pipe, flow.File:
		return max(1, min(localPerRoute, p.Limits.PerRoute))
	case flow.Program:
		return max(1, or(p.Programs[key.name], p.Limits.PerRoute))
	}
	return max(1, p.Limits.Mailbox)
}

// siteOf names the site of a route that is no domain's exchangers.
func (p *Policy) siteOf(t flow.Transport, route string) string {
	if name, _, ok := flow.ParseProgramHop(route); t == flow.Program && ok {
		return name
	}
	if p.SiteOf != nil && remote(t) {
		return p.SiteOf(t, route)
	}
	return route
}

func (p *Policy) initial(key siteKey) int {
	if !remote(key.transport) {
		return p.ceiling(key)
	}
	return min(or(p.Sites[key.name].Initial, p.Initial), p.ceiling(key))
}

// reserve is how many of n places are kept for what is not Bulk.
func reserve(n int) int {
	if n < 4 {
		return min(1, n-1)
	}
	return n / 4
}

func remote(t flow.Transport) bool { return t == flow.SMTP || t == flow.LMTP }
