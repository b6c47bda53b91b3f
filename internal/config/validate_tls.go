package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// tlsRules are what must hold between the keys of [tls].
func tlsRules(c *Config) []rule {
	rs := []rule{{c.TLS.Key != "" && c.TLS.Cert == "", "tls.key", "needs tls.cert too"}}
	for i, pair := range c.TLS.Certificates {
		n := len(strings.Fields(pair))
		rs = append(rs, rule{n != 1 && n != 2, "tls.certificates",
			fmt.Sprintf("item %d: wants \"CERT KEY\", two files, or one file that holds both", i+1)})
	}
	if !c.TLS.ACME.Enabled {
		return rs
	}
	a := c.TLS.ACME
	dns01 := slices.Contains(a.Challenges, "dns-01")
	rs = append(rs,
		rule{len(a.Challenges) == 0, "tls.acme.challenges", "is empty, and tls.acme is enabled"},
		rule{dns01 && len(a.Challenges) > 1, "tls.acme.challenges", "dns-01 stands alone: it needs none of the others"},
		rule{dns01 && a.DNS.Server == "", "tls.acme.dns.server", "is needed for dns-01: the zone's primary server, \"address:port\""},
		rule{(a.DNS.KeyName == "") != (a.DNS.KeySecretFile == ""), "tls.acme.dns.key_name", "and key_secret_file go together"},
		rule{!isURL(a.Directory), "tls.acme.directory", fmt.Sprintf("%q is not an https URL", a.Directory)},
		rule{a.Email != "" && !strings.Contains(a.Email, "@"), "tls.acme.email", fmt.Sprintf("%q is not an address", a.Email)},
	)
	for _, name := range a.AllNames(c) {
		rs = append(rs, rule{strings.HasPrefix(name, "*.") && !dns01, "tls.acme.names",
			fmt.Sprintf("%q: a wildcard needs challenges = [\"dns-01\"]", name)})
		rs = append(rs, rule{!strings.Contains(name, "."), "tls.acme.names",
			fmt.Sprintf("%q has no domain, so no authority can vouch for it; set hostname to the host's full name", name)})
	}
	return rs
}

// AllNames are the names that certificates are obtained for.
func (a ACME) AllNames(c *Config) []string {
	if len(a.Names) == 0 {
		return []string{c.Hostname}
	}
	return a.Names
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}
