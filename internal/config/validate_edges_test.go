package config

import (
	"strings"
	"testing"
)

// Whoever is in one of these networks counts as somebody else, or may relay: none of them may be a large part of the internet,
// in one piece or in several.
func TestWideNetworksAreNotTrusted(t *testing.T) {
	for _, key := range []string{"edges.proxy_networks", "edges.smtpd_authorized_xclient_hosts", "edges.smtpd_authorized_xforward_hosts", "edges.auth_networks",
		"submission.trusted_networks", "http.trusted_proxies", "filters.reinject_networks"} {
		for network, wide := range map[string]bool{"0.0.0.0/0": true, `0.0.0.0/1", "128.0.0.0/1`: true, "::/0": true, "2000::/3": true, "::ffff:0.0.0.0/96": true,
			"10.0.0.0/8": false, "fd00::/8": false, "fe80::/10": false, "192.0.2.0/24": false} {
			_, err := Parse("x.toml", nil, []string{key + ` = ["` + network + `"]`})
			if (err != nil) != wide || wide && !strings.Contains(err.Error(), key+": ") {
				t.Errorf("%s = %s: %v", key, network, err)
			}
		}
	}
}
