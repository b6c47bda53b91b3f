// Package sites names the site that mail exchangers belong to, and knows what the largest providers bear.
//
// A provider counts connections and messages of a sender for all the domains that it serves together, so what goes to its
// exchangers shares limits, whatever the domains are called. Exchangers belong to the site whose suffix each of them has; else,
// where all are below one registrable domain (publicsuffix.org's list), to that; else to the one that is preferred.
//
// The package asks nobody: exchangers are given to it. Their names come from the DNS of whoever likes, so a domain can put
// itself into a provider's site. Limits are all that it gets there, and that it reaches no host is not held against the site while
// others' mail goes there (internal/state/queue/sched, learn.go).
//
//	sites.go    Namer
//	presets.go  the largest providers
package sites

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Namer names sites. It does not change once it is made.
type Namer struct {
	suffixes []suffix // the longest first
}

type suffix struct{ domain, site string }

// New makes a Namer of what sites' exchangers are called: a name stands for itself and all below it.
func New(exchangers map[string][]string) *Namer {
	n := &Namer{}
	for site, list := range exchangers {
		for _, domain := range list {
			if domain = plain(domain); domain != "" {
				n.suffixes = append(n.suffixes, suffix{domain, site})
			}
		}
	}
	slices.SortFunc(n.suffixes, func(a, b suffix) int {
		return cmp.Or(cmp.Compare(len(b.domain), len(a.domain)), cmp.Compare(a.domain, b.domain), cmp.Compare(a.site, b.site))
	})
	return n
}

// Named is the site whose exchanger a host is; empty: of none that has a name.
func (n *Namer) Named(host string) string {
	host = plain(host)
	for _, s := range n.suffixes {
		if below(host, s.domain) {
			return s.site
		}
	}
	return ""
}

// Of is the site of exchangers, which are given by preference; empty for none.
func (n *Namer) Of(exchangers []string) string {
	if len(exchangers) == 0 {
		return ""
	}
	name, common := n.Named(exchangers[0]), registrable(exchangers[0])
	for _, host := range exchangers[1:] {
		if n.Named(host) != name {
			name = ""
		}
		if registrable(host) != common {
			common = ""
		}
	}
	return cmp.Or(name, n.Named(exchangers[0]), common, plain(exchangers[0]))
}

// registrable is the part of a name that somebody registered; empty for what is none, such as an address.
func registrable(host string) string {
	host = plain(host)
	if strings.Trim(host, "0123456789.:") == "" {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return domain
}

func plain(host string) string { return strings.ToLower(strings.Trim(host, ".[]")) }

func below(host, domain string) bool {
	rest, ok := strings.CutSuffix(host, domain)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}
