package sched

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

// SiteInfo is a site as an operator sees it.
type SiteInfo struct {
	Name        string
	Transport   flow.Transport
	Flying      int           // units in flight
	Ready       int           // units that are due and wait
	Limit       int           // units that may be in flight now
	Ceiling     int           // and at most
	Took        time.Duration // an attempt, on the average
	Rest        *Rest         // nil: it does not rest
	Connections Rate
	Messages    Rate
}

// Sites lists the remote sites that have units in flight or due, rest, or were used lately: those that rest first, then by
// what is due.
func (s *Scheduler) Sites(now time.Time) []SiteInfo {
	out := make([]SiteInfo, 0, len(s.sites))
	for key, at := range s.sites {
		if !at.lane.remote {
			continue
		}
		i := SiteInfo{Name: key.name, Transport: key.transport, Flying: at.flying, Ready: at.ready, Limit: int(at.limit), Ceiling: int(at.ceiling),
			Took: at.took, Connections: at.connections.rate, Messages: at.messages.rate}
		if at.rest != nil {
			rest := *at.rest
			i.Rest = &rest
			if rest.Until.After(now) {
				i.Limit = 0
			}
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b SiteInfo) int {
		if (a.Rest == nil) != (b.Rest == nil) {
			if a.Rest != nil {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Ready, a.Ready), cmp.Compare(b.Flying, a.Flying), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Transport, b.Transport))
	})
	return out
}

// RestOf is why a site is not tried at present; nil: it is.
func (s *Scheduler) RestOf(t flow.Transport, site string) *Rest {
	at := s.sites[siteKey{t, site}]
	if at == nil || at.rest == nil {
		return nil
	}
	rest := *at.rest
	return &rest
}

// Rests tells whether a site rests, and how many do in all.
func (s *Scheduler) Rests(site string) (rests bool, all int) {
	for _, t := range [...]flow.Transport{flow.SMTP, flow.LMTP} {
		at := s.sites[siteKey{t, site}]
		rests = rests || at != nil && at.rest != nil
	}
	return rests, s.remote.rests
}

// SiteOf is the site of a route, as far as it is known.
func (s *Scheduler) SiteOf(t flow.Transport, route string) string {
	if n, ok := s.names[route]; ok && t == flow.SMTP {
		return n.site
	}
	return s.policy.siteOf(t, route)
}

// Resume ends the rest of a site, if it rests, and forgets what was learned of it; false when no site of that name is known.
func (s *Scheduler) Resume(site string) bool {
	found := false
	for _, t := range [...]flow.Transport{flow.SMTP, flow.LMTP} {
		if at := s.sites[siteKey{t, site}]; at != nil {
			found = true
			if at.rest != nil {
				at.resume(s)
			}
		}
	}
	return found
}

func (at *site) resume(s *Scheduler) {
	at.rests, at.took = 0, 0
	at.awake()
	at.become(fresh)
	at.offer(s)
}

// Flush makes everything that waits due at once, and ends all rests.
func (s *Scheduler) Flush(now time.Time) {
	s.clock(now)
	for _, e := range s.waiting {
		e.Due = now
	}
	heap.Init(&s.waiting)
	for _, at := range s.sites {
		if at.rest != nil {
			at.resume(s)
		}
	}
}

// SetPolicy puts another policy in force. What is in flight stays. Units that are due stay in the lines in which they are.
func (s *Scheduler) SetPolicy(p Policy) {
	s.policy = p.complete()
	s.remote.total = p.Limits.Total
	for _, at := range s.sites {
		at.apply(s)
	}
	for _, at := range s.sites {
		at.offer(s)
	}
}

// Flying is how many units of remote routes are in flight.
func (s *Scheduler) Flying() int { return s.remote.flying }
