package node

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/agent/mta"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/flow"
)

// deliveryTables opens what the settings of mail that leaves name: tables and our certificate.
func deliveryTables(s *mta.Settings, c *config.Config, tables *lookup.Opener) error {
	var errs []error
	open := func(key string, names []string) (all table.List) {
		for _, name := range names {
			list, err := tables.List(name)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
			all = append(all, list...)
		}
		return all
	}
	s.PolicyMaps = open("mta.smtp_tls_policy_maps", c.MTA.SMTPTLSPolicyMaps)
	s.PasswordMaps = open("mta.smtp_sasl_password_maps", c.MTA.SMTPSASLPasswordMaps)
	err := joined(checkDelivery(c))
	if err == nil && c.MTA.SMTPTLSCertFile != "" {
		s.Certificate, err = clientCertificate(c)
	}
	return errors.Join(append(errs, err)...)
}

// checkDelivery finds what is wrong with the settings of mail that leaves besides their tables, for `config check` too.
func checkDelivery(c *config.Config) (wrong []certs.Problem) {
	for _, item := range c.MTA.SMTPFallbackRelay {
		if _, err := flow.ParseNextHop(flow.SMTP, item); err != nil {
			wrong = append(wrong, certs.Problem{Key: "mta.smtp_fallback_relay", Text: err.Error()})
		}
	}
	if c.MTA.SMTPTLSCertFile == "" {
		return wrong
	}
	if _, err := clientCertificate(c); err != nil {
		wrong = append(wrong, certs.Problem{Key: "mta.smtp_tls_cert_file", Text: err.Error()})
	}
	return wrong
}

// clientCertificate reads what we show to hosts that ask for a certificate.
func clientCertificate(c *config.Config) (*tls.Certificate, error) {
	cert, key := c.MTA.SMTPTLSCertFile, c.MTA.SMTPTLSKeyFile
	if key == "" {
		key = cert
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", cert, key, err)
	}
	return &pair, nil
}
