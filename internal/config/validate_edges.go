package config

import (
	"path/filepath"
	"reflect"
)

// proxyRules refuse what would make somebody else's word count: a network of proxies that is the internet, and a listener that
// waits for proxies which nobody named.
func proxyRules(c *Config) []rule {
	var rs []rule
	everybody := func(key string, networks Networks) {
		for _, n := range networks {
			rs = append(rs, rule{n.Bits() == 0, key, "\"" + n.String() + "\" is everybody: anyone could claim to be any client"})
		}
	}
	everybody("edges.proxy_networks", c.Edges.ProxyNetworks)
	everybody("edges.smtpd_authorized_xclient_hosts", c.Edges.XclientHosts)
	everybody("edges.smtpd_authorized_xforward_hosts", c.Edges.XforwardHosts)
	everybody("edges.auth_networks", c.Edges.AuthNetworks)
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
