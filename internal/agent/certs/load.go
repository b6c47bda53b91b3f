package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/dns"
)

// Problem is something that an operator should hear of.
type Problem struct {
	Key  string // of the configuration
	Text string // with the file's name and the mend
}

// Loaded is all that Settings name, read and checked. It does not change.
type Loaded struct {
	settings Settings
	pairs    []*pair // tls.cert first, if there is one
	fallback *pair   // nil: none is named
	byName   map[string][]*pair
	clients  *x509.CertPool // nil: no client certificates
	clientCA []byte         // its text
	acme     *acmeSettings  // nil: not enabled
	configs  [kinds]*tls.Config
	problems []Problem // warnings
}

// Load reads all files that settings name. Nothing is in force until Use. The error joins one *LoadError for each key.
func (m *Manager) Load(ctx context.Context, s Settings) (*Loaded, error) {
	l := &Loaded{settings: s}
	var errs []error
	fail := func(key string, err error) {
		if err != nil {
			errs = append(errs, &LoadError{key, err})
		}
	}
	if s.Default.Cert != "" {
		fail("tls.cert", m.loadPair(ctx, l, "tls.cert", s.Default))
	}
	for _, source := range s.More {
		fail("tls.certificates", m.loadPair(ctx, l, "tls.certificates", source))
	}
	if s.Fallback.Cert != "" {
		t, err := m.read(ctx, s.Fallback)
		if err == nil {
			l.fallback, err = parse(s.Fallback, t)
		}
		if fail("data_dir", err); err == nil && len(l.pairs) == 0 {
			l.checkFallback(m.opt.Now())
		}
	}
	if s.ClientCA != "" {
		fail("tls.client_ca", m.loadClients(ctx, l))
	}
	if s.ACME != nil {
		fail("tls.acme", m.loadACME(ctx, l))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(l.pairs) > 0 && s.ACME == nil && !slices.ContainsFunc(l.pairs, func(p *pair) bool { return p.covers(s.Hostname) }) {
		l.problems = append(l.problems, Problem{"tls.cert", fmt.Sprintf("no certificate is for the host's name %s; %s is for %s: "+
			"clients that connect to %s will refuse it", s.Hostname, l.pairs[0].source.Cert, strings.Join(l.pairs[0].names, ", "), s.Hostname)})
	}
	l.finish(m)
	return l, nil
}

// checkFallback warns of a self-signed certificate that was made under another name of the host, or long ago.
func (l *Loaded) checkFallback(now time.Time) {
	p, text := l.fallback, ""
	switch {
	case now.After(p.cert.Leaf.NotAfter):
		text = "expired at " + p.cert.Leaf.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(p.cert.Leaf.NotBefore):
		l.problems = append(l.problems, Problem{"data_dir", fmt.Sprintf("the self-signed certificate in %s is not valid before %s, and clients with "+
			"this host's time refuse it: is the clock right?", p.source.Cert, p.cert.Leaf.NotBefore.UTC().Format(time.RFC3339))})
		return
	case !p.covers(l.settings.Hostname):
		text = fmt.Sprintf("is for %s, not for the host's name %s", strings.Join(p.names, ", "), l.settings.Hostname)
	default:
		return
	}
	l.problems = append(l.problems, Problem{"data_dir", fmt.Sprintf("the self-signed certificate in %s %s, and clients that know its authority "+
		"refuse it: remove the file and reload, and a new one is made, with a new authority", p.source.Cert, text)})
}

// LoadError is what is wrong with the value of one key.
type LoadError struct {
	Key string
	Err error
}

func (e *LoadError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LoadError) Unwrap() error { return e.Err }

// Problems are the warnings of what was loaded.
func (l *Loaded) Problems() []Problem { return l.problems }

func (m *Manager) loadPair(ctx context.Context, l *Loaded, key string, s Source) error {
	t, err := m.read(ctx, s)
	if err != nil {
		return err
	}
	p, err := parse(s, t)
	if err != nil {
		return err
	}
	l.pairs = append(l.pairs, p)
	for _, w := range p.warnings(m.opt.Now()) {
		l.problems = append(l.problems, Problem{key, w})
	}
	return nil
}

func (m *Manager) loadClients(ctx context.Context, l *Loaded) (err error) {
	if l.clientCA, err = m.readOne(ctx, l.settings.ClientCA); err != nil {
		return err
	}
	l.clients, err = pool(l.settings.ClientCA, l.clientCA)
	return err
}

func pool(name string, text []byte) (*x509.CertPool, error) {
	if err := checkBlocks(name, text, "CERTIFICATE", "a certificate"); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate that can be understood", name)
	}
	return roots, nil
}

// finish makes what is derived: the index and the configurations.
func (l *Loaded) finish(m *Manager) {
	l.byName = map[string][]*pair{}
	for _, p := range l.pairs {
		for _, name := range p.names {
			l.byName[name] = append(l.byName[name], p)
		}
	}
	for k := range kinds {
		c := m.base(k, max(l.settings.MinVersion, tls.VersionTLS12))
		if k == Login && l.clients != nil {
			c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, l.clients
		}
		l.configs[k] = c
	}
}

// acmeSettings are those of ACME with what its files hold.
type acmeSettings struct {
	settings ACME
	names    []string // those that no file is for
	roots    *x509.CertPool
	updater  *dns.Updater // of dns-01, else nil
}

func (m *Manager) loadACME(ctx context.Context, l *Loaded) error {
	s := *l.settings.ACME
	a := &acmeSettings{settings: s}
	if m.opt.Storage == nil {
		return errors.New("there is no place to keep certificates")
	}
	for _, name := range s.Names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if !slices.ContainsFunc(l.pairs, func(p *pair) bool { return p.covers(name) }) {
			a.names = append(a.names, name)
		}
	}
	if s.CA != "" {
		text, err := m.readOne(ctx, s.CA)
		if err != nil {
			return err
		}
		if a.roots, err = pool(s.CA, text); err != nil {
			return err
		}
	}
	if slices.Contains(s.Challenges, challengeDNS) {
		u := &dns.Updater{Server: s.DNS.Server, Zone: s.DNS.Zone, Now: m.opt.Now, Dial: new(net.Dialer).DialContext}
		if s.DNS.KeyName != "" {
			text, err := m.readOne(ctx, s.DNS.KeySecretFile)
			if err != nil {
				return err
			}
			secret := strings.TrimSpace(string(text))
			if raw, err := base64.StdEncoding.DecodeString(secret); err != nil || len(raw) == 0 {
				return fmt.Errorf("%s does not hold a secret in base64: write there what stands behind \"secret\" in the name server's key file, and nothing else", s.DNS.KeySecretFile)
			}
			u.Key = dns.TSIGKey{Name: s.DNS.KeyName, Algorithm: s.DNS.KeyAlgorithm, Secret: secret}
		}
		a.updater = u
	}
	l.acme = a
	return nil
}
