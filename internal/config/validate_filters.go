package config

import "fmt"

// filterRules refuse a way back for everybody, and a filter whose mail could not come back.
func filterRules(c *Config) []rule {
	f, back := &c.Filters, &c.Listeners.Reinject
	rs := []rule{
		{back.Enabled && len(f.ReinjectNetworks) == 0, "listeners.reinject.enabled",
			"needs filters.reinject_networks: the addresses of the filters, such as \"127.0.0.1\""},
		{f.ContentFilter != "" && f.SmtpdProxyFilter != "", "filters.smtpd_proxy_filter", "is a filter before the queue; filters.content_filter is one after it: choose"},
	}
	for _, a := range back.Addresses {
		rs = append(rs, rule{back.Enabled && !isLoopback(a), "listeners.reinject.addresses", fmt.Sprintf("%q is not a loopback address; who comes in there is not judged", a)})
	}
	for _, n := range f.ReinjectNetworks {
		rs = append(rs, rule{n.Wide(), "filters.reinject_networks", "\"" + n.String() + "\" has most of the internet in it: an open relay"})
	}
	return rs
}
