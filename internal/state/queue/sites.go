package queue

import (
	"context"
	"time"
)

const (
	maxAsking   = 32               // calls of Options.Site at once
	maxSites    = 200_000          // domains whose site is remembered
	siteTimeout = 30 * time.Second // of one call
)

// resolve has the sites found that the scheduler asks for. q.mu is held.
func (q *Queue) resolve() {
	if q.opt.Site == nil || q.asking >= maxAsking {
		return
	}
	for _, domain := range q.sched.Unresolved(maxAsking - q.asking) {
		q.asking++
		q.wg.Add(1)
		go q.ask(domain)
	}
}

// ask finds one domain's site.
func (q *Queue) ask(domain string) {
	defer q.wg.Done()
	ctx, cancel := context.WithTimeout(q.ctx, siteTimeout)
	defer cancel()
	site, until := q.opt.Site(ctx, domain)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asking--
	if len(q.sites) >= maxSites {
		clear(q.sites)
	}
	if site != "" && site != domain {
		q.sites[domain] = site
	} else {
		delete(q.sites, domain)
	}
	q.sched.Resolved(domain, site, until)
	q.pump()
}
