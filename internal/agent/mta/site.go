package mta

import (
	"context"
	"time"
)

// Bounds of the time for which the name of a site is good.
const (
	minSite = 5 * time.Minute
	maxSite = time.Hour
)

// Site names what shares limits with a domain: the name of its mail exchangers' site (Options.SiteOf), until when it is good.
// A domain whose exchangers are not known is a site of its own for a while. It never fails, and takes as long as the DNS does.
func (a *Agent) Site(ctx context.Context, domain string) (name string, until time.Time) {
	found, f := a.exchangers(ctx, a.settings.Load(), domain)
	if f != nil || a.opt.SiteOf == nil {
		return domain, a.opt.Now().Add(minSite)
	}
	hosts := make([]string, len(found.list))
	for i, m := range found.list {
		hosts[i] = m.Host
	}
	if name = a.opt.SiteOf(hosts); name == "" {
		name = domain
	}
	return name, a.opt.Now().Add(min(max(found.ttl, minSite), maxSite))
}
