package mta

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/dns"
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
	if f != nil {
		return domain, a.opt.Now().Add(minSite)
	}
	if name = a.siteOf(found.list); name == "" {
		name = domain
	}
	return name, a.opt.Now().Add(min(max(found.ttl, minSite), maxSite))
}

// siteOf is the site of exchangers; empty: they have none but the domain's.
func (a *Agent) siteOf(list []dns.MX) string {
	if a.opt.SiteOf == nil {
		return ""
	}
	hosts := make([]string, len(list))
	for i, m := range list {
		hosts[i] = m.Host
	}
	return a.opt.SiteOf(hosts)
}
