package sched

import "time"

// name is the site of a domain.
type name struct {
	site  string
	until time.Time
}

// maxNames bounds the domains whose site is remembered.
const maxNames = 100_000

// place puts a unit that is due into its site's line, or leaves it with its domain until the site is known. A name that is out
// of date serves until the answer is there.
func (s *Scheduler) place(e *entry) {
	if !e.MX {
		s.enter(e, e.Route)
		return
	}
	n, known := s.names[e.Route]
	if known && n.until.After(s.now) {
		s.enter(e, n.site)
		return
	}
	waiting, asked := s.nameless[e.Route]
	if !asked {
		s.ask.pushBack(e.Route)
	}
	if known { // out of date, and nearly always true: nobody waits for the domains whose DNS hangs
		s.nameless[e.Route] = waiting
		s.enter(e, n.site)
		return
	}
	s.nameless[e.Route] = append(waiting, e)
}

// enter puts a unit into the line of a site.
func (s *Scheduler) enter(e *entry, name string) {
	if !e.MX {
		name = s.policy.siteOf(e.Transport, e.Route)
	}
	key := siteKey{e.Transport, name}
	at := s.site(key)
	if e.MX {
		s.exchangers[key] = true
	}
	at.enter(e, s)
}

// Unresolved returns up to max domains whose site is to be found; each is returned once until Resolved answers it. Units of
// theirs wait meanwhile.
func (s *Scheduler) Unresolved(max int) []string {
	var out []string
	for len(out) < max && s.ask.len() > 0 {
		out = append(out, s.ask.popFront())
	}
	return out
}

// Resolved says which site a domain belongs to, until when. An empty site (the DNS gave no answer) makes the domain its own
// site. Units that wait for it are placed also where until has passed.
func (s *Scheduler) Resolved(domain, site string, until time.Time) {
	if site == "" {
		site = domain
	}
	if len(s.names) >= maxNames {
		s.forgetNames()
	}
	s.names[domain] = name{site, until}
	waiting := s.nameless[domain]
	delete(s.nameless, domain)
	for _, e := range waiting {
		s.enter(e, site)
	}
}

// forgetNames makes room for more: first what is out of date, and if that is not enough, everything; it is asked again.
func (s *Scheduler) forgetNames() {
	for domain, n := range s.names {
		if !n.until.After(s.now) {
			delete(s.names, domain)
		}
	}
	if len(s.names) > maxNames/2 {
		clear(s.names)
	}
}
