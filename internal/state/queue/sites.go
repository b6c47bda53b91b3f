package queue

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	maxAsking   = 64               // calls of Options.Site at once
	maxSites    = 200_000          // domains whose site is remembered
	siteTimeout = 10 * time.Second // of one call; without an answer a domain is a site by itself, and its attempt asks again
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
	site, until := q.site(ctx, domain)
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

// site is Options.Site; where it panics nothing is known for a while, and the other domains go their way.
func (q *Queue) site(ctx context.Context, domain string) (site string, until time.Time) {
	defer func() {
		if r := recover(); r != nil {
			q.opt.Log.Error("panic in the search for a site", "domain", domain, "panic", r, "stack", string(debug.Stack()))
			site, until = "", q.opt.Now().Add(time.Minute)
		}
	}()
	return q.opt.Site(ctx, domain)
}
