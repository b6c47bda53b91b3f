package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// Source reads an item of Egress.Addresses.
func (*Egress) Source(item string) (addr netip.Addr, name string, err error) {
	words := strings.Fields(item)
	if len(words) == 0 || len(words) > 2 {
		return addr, "", fmt.Errorf("%q is not \"address\" or \"address name\"", item)
	}
	if addr, err = netip.ParseAddr(words[0]); err != nil || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
		return addr, "", fmt.Errorf("%q is no address to connect from", words[0])
	}
	if len(words) == 2 {
		if name = words[1]; !isHostname(name) {
			return addr, "", fmt.Errorf("%q is not a host name", name)
		}
	}
	return addr.Unmap(), name, nil
}

// deliveryRules are those of mail that leaves.
func deliveryRules(c *Config) []rule {
	m := &c.MTA
	rs := []rule{
		{m.SMTPTLSKeyFile != "" && m.SMTPTLSCertFile == "", "mta.smtp_tls_key_file", "needs mta.smtp_tls_cert_file too"},
		{m.SMTPTLSCertFile != "" && !filepath.IsAbs(m.SMTPTLSCertFile), "mta.smtp_tls_cert_file", "wants an absolute path"},
		{m.SMTPTLSKeyFile != "" && !filepath.IsAbs(m.SMTPTLSKeyFile), "mta.smtp_tls_key_file", "wants an absolute path"},
		{m.SMTPSenderDependentAuthentication && len(m.SMTPSASLPasswordMaps) == 0, "mta.smtp_sender_dependent_authentication", "needs mta.smtp_sasl_password_maps too"},
		{m.TLS == "none" && len(m.SMTPSASLPasswordMaps) > 0 && len(m.SMTPTLSPolicyMaps) == 0, "mta.smtp_sasl_password_maps",
			"a password is sent only under TLS: set mta.tls = \"may\" or more, or mta.smtp_tls_policy_maps"},
	}
	domains := map[string]string{}
	for _, name := range names(c.Egress) {
		e, key := c.Egress[name], "egress."+name
		rs = append(rs, rule{len(e.Addresses) == 0, key + ".addresses", "is empty; wants addresses of this host"})
		for _, a := range e.Addresses {
			_, _, err := e.Source(a)
			rs = append(rs, rule{err != nil, key + ".addresses", fmt.Sprint(err)})
		}
		of := e.SenderDomains
		if len(of) == 0 {
			of = []string{""}
		}
		for _, d := range of {
			other, taken := domains[strings.ToLower(d)]
			what := fmt.Sprintf("%q stands in egress.%s too", d, other)
			if d == "" {
				what = fmt.Sprintf("is empty in egress.%s too: one pool may be for all others", other)
			}
			rs = append(rs, rule{taken, key + ".sender_domains", what},
				rule{d != "" && d != "<>" && !isHostname(strings.TrimPrefix(d, ".")), key + ".sender_domains", fmt.Sprintf("%q is no domain", d)})
			domains[strings.ToLower(d)] = name
		}
	}
	return rs
}
