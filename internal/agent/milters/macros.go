package milters

import (
	"crypto/tls"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/wire/milter"
)

// DefaultMacros are those that Postfix sends at each stage.
func DefaultMacros() (m milter.Macros) {
	m[milter.AtConnect] = []string{"j", "{daemon_name}", "{daemon_addr}", "v", "_"}
	m[milter.AtHello] = []string{"{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"}
	m[milter.AtMail] = []string{"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}"}
	m[milter.AtRcpt] = []string{"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"}
	m[milter.AtData] = []string{"i"}
	m[milter.AtEnd] = []string{"i"}
	m[milter.AtEndOfHeader] = []string{"i"}
	return m
}

// value is a macro's value; the name may stand without its braces.
func (s *session) value(name string) (string, bool) {
	v := s.macro(strings.Trim(name, "{}"))
	return v, v != ""
}

func (s *session) macro(name string) string {
	c := &s.conn.Client
	switch name {
	case "j":
		return s.set.Hostname
	case "v":
		return s.set.V
	case "_":
		if !c.Addr.IsValid() {
			return "localhost [127.0.0.1]"
		}
		return s.name() + " [" + c.Addr.Addr().String() + "]"
	case "daemon_name":
		return s.set.DaemonName
	case "daemon_addr":
		return addr(s.conn.Local.Addr().IsValid(), s.conn.Local.Addr().String())
	case "daemon_port":
		return addr(s.conn.Local.IsValid(), strconv.Itoa(int(s.conn.Local.Port())))
	case "client_addr":
		if !c.Addr.IsValid() {
			return "127.0.0.1" // as Postfix has it for mail of programs of the host
		}
		return c.Addr.Addr().String()
	case "client_name":
		return s.name()
	case "client_ptr":
		return orUnknown(s.conn.Reverse)
	case "client_port":
		return addr(c.Addr.IsValid(), strconv.Itoa(int(c.Addr.Port())))
	case "auth_authen":
		return c.Login
	case "auth_type":
		if c.Login == "" {
			return ""
		}
		return s.conn.Mechanism
	}
	if v, ok := s.transactionMacro(name); ok {
		return v
	}
	return s.tlsMacro(name)
}

func (s *session) transactionMacro(name string) (string, bool) {
	switch name {
	case "i":
		if s.tx != nil {
			return s.tx.ID.String(), true
		}
	case "mail_addr", "mail_host", "mail_mailer":
		if s.tx != nil {
			return ofAddress(name[5:], s.tx.Envelope.From), true
		}
	case "rcpt_addr", "rcpt_host", "rcpt_mailer":
		if s.rcpt != nil {
			return ofAddress(name[5:], s.rcpt.To), true
		}
	default:
		return "", false
	}
	return "", true
}

func ofAddress(what string, a address.Address) string {
	switch {
	case a.IsZero():
		return ""
	case what == "addr":
		return a.String()
	case what == "host":
		return a.Domain
	}
	return "smtp"
}

func (s *session) tlsMacro(name string) string {
	t := s.conn.TLS
	if t == nil {
		return ""
	}
	switch name {
	case "tls_version":
		return strings.Replace(tls.VersionName(t.Version), "TLS ", "TLSv", 1)
	case "cipher":
		return tls.CipherSuiteName(t.CipherSuite)
	case "cipher_bits":
		if strings.Contains(tls.CipherSuiteName(t.CipherSuite), "128") {
			return "128"
		}
		return "256"
	case "cert_subject", "cert_issuer":
		if len(t.PeerCertificates) == 0 {
			return ""
		}
		if name == "cert_issuer" {
			return t.PeerCertificates[0].Issuer.CommonName
		}
		return t.PeerCertificates[0].Subject.CommonName
	}
	return ""
}

// name is the client's verified name.
func (s *session) name() string {
	if !s.conn.Client.Addr.IsValid() {
		return "localhost"
	}
	return orUnknown(s.conn.Client.Name)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func addr(known bool, s string) string {
	if !known {
		return ""
	}
	return s
}
