package mta

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Policy is the TLS that connections to a destination must have.
type Policy struct {
	Level TLS
	// Match is what the certificate must be for, at TLSVerify: names, ".domain" for the hosts below it, and the words
	// "hostname" (the host's name), "nexthop", "dot-nexthop" (the destination's, and those below). At TLSFingerprint: digests
	// of the certificate or of its public key, SHA-256 or SHA-1, in hexadecimal.
	Match []string
	// Min and Max are versions of TLS; 0: by the level.
	Min, Max uint16
	// ServerName is for SNI: empty, or "hostname": the host's name; "nexthop": the destination's; else the name itself.
	ServerName string
}

// maxPolicy bounds the text of a policy.
const maxPolicy = 4096

// ParsePolicy reads the value of a table of policies, in the words of Postfix's smtp_tls_policy_maps: a level, and attributes
// name=value.
func ParsePolicy(s string) (Policy, error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\r' || r == '\n' })
	if len(words) == 0 || len(s) > maxPolicy {
		return Policy{}, errors.New("a TLS policy begins with its level: none, may, encrypt, fingerprint, verify or secure")
	}
	p, err := policyOf(strings.ToLower(words[0]))
	if err != nil {
		return p, err
	}
	var match []string
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		if name = strings.ToLower(name); !ok || value == "" {
			return p, fmt.Errorf("%.100q in a TLS policy is not name=value", w)
		}
		switch name {
		case "match":
			separator := ":"
			if p.Level == TLSFingerprint {
				separator = "|"
			}
			for m := range strings.SplitSeq(value, separator) {
				match = append(match, strings.ToLower(m))
			}
		case "protocols":
			if p.Min, p.Max, err = protocols(value); err != nil {
				return p, err
			}
		case "servername":
			p.ServerName = strings.ToLower(value)
		case "ciphers", "exclude", "connection_reuse": // Go's suites are all of the grade high
		default:
			return p, fmt.Errorf("the attribute %.50q of a TLS policy is not known here; there are match, protocols, servername", name)
		}
	}
	if len(match) > 0 {
		p.Match = match
	}
	return p, p.check()
}

// policyOf is a level with its defaults, Postfix's smtp_tls_verify_cert_match and smtp_tls_secure_cert_match.
func policyOf(level string) (Policy, error) {
	switch level {
	case "none":
		return Policy{Level: TLSNone}, nil
	case "may":
		return Policy{Level: TLSMay}, nil
	case "encrypt":
		return Policy{Level: TLSEncrypt}, nil
	case "fingerprint":
		return Policy{Level: TLSFingerprint}, nil
	case "verify":
		return Policy{Level: TLSVerify, Match: []string{"hostname"}}, nil
	case "secure":
		return Policy{Level: TLSVerify, Match: []string{"nexthop", "dot-nexthop"}}, nil
	case "dane", "dane-only", "half-dane":
		return Policy{}, fmt.Errorf("the TLS level %s is not there yet: DANE comes together with MTA-STS; until then write encrypt or secure", level)
	}
	return Policy{}, fmt.Errorf("%.50q is no TLS level: there are none, may, encrypt, fingerprint, verify and secure", level)
}

func (p *Policy) check() error {
	switch p.Level {
	case TLSFingerprint:
		if len(p.Match) == 0 {
			return errors.New("the TLS level fingerprint needs match=, with the digests of certificates that are right")
		}
		for i, m := range p.Match {
			digest, err := hex.DecodeString(strings.ReplaceAll(m, ":", ""))
			if err != nil || len(digest) != sha256.Size && len(digest) != sha1.Size {
				return fmt.Errorf("match=%.100s is no SHA-256 or SHA-1 digest in hexadecimal (MD5 proves nothing)", m)
			}
			p.Match[i] = hex.EncodeToString(digest)
		}
	case TLSVerify:
		if slices.ContainsFunc(p.Match, func(m string) bool { return strings.Trim(m, ".") == "" }) {
			return errors.New("match= of a TLS policy has an empty name")
		}
	default:
		if len(p.Match) > 0 {
			return errors.New("match= belongs to the TLS levels fingerprint, verify and secure")
		}
	}
	return nil
}

// versions from the oldest. SSL is not spoken at all.
var versions = [...]struct {
	name string
	id   uint16
}{{"tlsv1", tls.VersionTLS10}, {"tlsv1.1", tls.VersionTLS11}, {"tlsv1.2", tls.VersionTLS12}, {"tlsv1.3", tls.VersionTLS13}}

// protocols reads Postfix's lists of versions: ">=TLSv1.2", "<=TLSv1.2", "TLSv1.2:TLSv1.3", "!SSLv3:!TLSv1".
func protocols(s string) (least, most uint16, err error) {
	var on [len(versions)]bool
	named := false
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r == ':' || r == ';' })
	for _, w := range words { // one that is named leaves out those that are not
		named = named || !strings.ContainsAny(w[:1], "!<>")
	}
	for i := range on {
		on[i] = !named
	}
	for _, w := range words {
		word := strings.TrimLeft(w, "!<>=")
		at := slices.IndexFunc(versions[:], func(v struct {
			name string
			id   uint16
		}) bool {
			return v.name == word
		})
		if word == "tlsv1.0" {
			at = 0
		}
		if at < 0 && (word != "sslv2" && word != "sslv3" || !strings.ContainsAny(w[:1], "!>")) {
			return 0, 0, fmt.Errorf("protocols=%.50s: %.20q is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3", s, w)
		}
		for i := range on {
			switch {
			case strings.HasPrefix(w, ">="):
				on[i] = on[i] && i >= at
			case strings.HasPrefix(w, "<="):
				on[i] = on[i] && i <= at
			case i == at:
				on[i] = w[0] != '!'
			}
		}
	}
	for i := range on {
		switch {
		case !on[i]:
		case least == 0:
			least, most = versions[i].id, versions[i].id
		case versions[i].id != most+1:
			return 0, 0, fmt.Errorf("protocols=%.50s leaves a gap between the versions", s)
		default:
			most = versions[i].id
		}
	}
	if least == 0 {
		return 0, 0, fmt.Errorf("protocols=%.50s leaves no version", s)
	}
	return least, most, nil
}

// errCertificate is a certificate that is not the right one.
type errCertificate struct{ text string }

func (e *errCertificate) Error() string { return e.text }

// resolve puts names in the place of the words for them: host is the one that is connected to, domain the destination.
func (p Policy) resolve(host, domain string) Policy {
	if p.Level == TLSVerify {
		match := make([]string, len(p.Match))
		for i, m := range p.Match {
			match[i] = map[string]string{"hostname": host, "nexthop": domain, "dot-nexthop": "." + domain}[m]
			if match[i] == "" {
				match[i] = m
			}
		}
		p.Match = match
	}
	switch p.ServerName {
	case "", "hostname":
		p.ServerName = host
	case "nexthop":
		p.ServerName = domain
	}
	return p
}

// key tells policies apart, once they are resolved.
func (p Policy) key() string {
	b := make([]byte, 0, 64) // it is asked for each attempt
	for _, v := range [...]int64{int64(p.Level), int64(p.Min), int64(p.Max)} {
		b = append(strconv.AppendInt(b, v, 10), ' ')
	}
	b = append(b, p.ServerName...)
	for _, m := range p.Match {
		b = append(append(b, 0), m...)
	}
	return string(b)
}

// config is the client's side of TLS. p is resolved.
func (p Policy) config(roots *x509.CertPool, own *tls.Certificate) *tls.Config {
	c := &tls.Config{ServerName: p.ServerName, MinVersion: tls.VersionTLS12, MaxVersion: p.Max, InsecureSkipVerify: true}
	if p.Level <= TLSMay {
		c.MinVersion = tls.VersionTLS10 // old TLS is better than none, RFC 7435 §3
	}
	if p.Min != 0 {
		c.MinVersion = p.Min
	}
	if own != nil {
		c.Certificates = []tls.Certificate{*own}
	}
	if p.Level >= TLSFingerprint {
		c.VerifyConnection = func(s tls.ConnectionState) error { return p.verify(s, roots) }
	}
	return c
}

// verify judges what the host showed.
func (p Policy) verify(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return &errCertificate{"it showed no certificate"}
	}
	leaf := s.PeerCertificates[0]
	if p.Level == TLSFingerprint {
		for _, raw := range [][]byte{leaf.Raw, leaf.RawSubjectPublicKeyInfo} {
			long, short := sha256.Sum256(raw), sha1.Sum(raw)
			if slices.Contains(p.Match, hex.EncodeToString(long[:])) || slices.Contains(p.Match, hex.EncodeToString(short[:])) {
				return nil
			}
		}
		return &errCertificate{"its certificate has none of the fingerprints that are right"}
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return &errCertificate{err.Error()}
	}
	for _, m := range p.Match {
		if matches(leaf, m) {
			return nil
		}
	}
	return &errCertificate{"its certificate is not for " + strings.Join(p.Match, ", ")}
}

// matches tells whether a certificate is for a name, or for a host below ".domain".
func matches(c *x509.Certificate, name string) bool {
	if !strings.HasPrefix(name, ".") {
		return c.VerifyHostname(name) == nil
	}
	return slices.ContainsFunc(c.DNSNames, func(n string) bool {
		n = strings.ToLower(n)
		return len(n) > len(name) && strings.HasSuffix(n, name)
	})
}
