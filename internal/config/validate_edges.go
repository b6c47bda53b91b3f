package config

import (
	"path/filepath"
	"reflect"
)

// proxyRules refuse what would make anybody's word count: a trusted network that is the internet, and a listener that
// waits for proxies which nobody named.
func proxyRules(c *Config) []rule {
	var rs []rule
	everybody := func(key string, networks Networks, could string) {
		for _, n := range networks {
			rs = append(rs, rule{n.Wide(), key, "\"" + n.String() + "\" has most of the internet in it: anyone could " + could})
		}
	}
	everybody("edges.proxy_networks", c.Edges.ProxyNetworks, "claim to be any client")
	everybody("edges.smtpd_authorized_xclient_hosts", c.Edges.XclientHosts, "claim to be any client")
	everybody("edges.smtpd_authorized_xforward_hosts", c.Edges.XforwardHosts, "claim to be any client")
	everybody("edges.auth_networks", c.Edges.AuthNetworks, "try passwords, in the name of any client")
	everybody("submission.trusted_networks", c.Submission.TrustedNetworks, "send through us without logging in: an open relay")
	everybody("http.trusted_proxies", c.HTTP.TrustedProxies, "claim to be any client")
	e := &c.Edges
	rs = append(rs,
		rule{e.AuthSocket != "" && !filepath.IsAbs(e.AuthSocket), "edges.auth_socket", "wants an absolute path"},
		rule{e.AuthSocketGroup != "" && e.AuthSocket == "", "edges.auth_socket_group", "needs edges.auth_socket"})
	v := reflect.ValueOf(c.Listeners)
	for i := range v.NumField() {
		l := v.Field(i).Interface().(Listener)
		rs = append(rs, rule{l.ProxyProtocol && len(c.Edges.ProxyNetworks) == 0, "listeners." + v.Type().Field(i).Tag.Get("toml") + ".proxy_protocol",
			"needs edges.proxy_networks: the addresses of the proxies"})
	}
	return rs
}
