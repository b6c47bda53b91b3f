package certs

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"time"
)

// alpnChallenge is the protocol of tls-alpn-01, RFC 8737 §6.2.
const alpnChallenge = "acme-tls/1"

var errNothing = errors.New("there is no certificate to show")

// getWebCertificate also answers the authority, which offers only acme-tls/1 (RFC 8737 §3).
func (m *Manager) getWebCertificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(h.SupportedProtos) == 1 && h.SupportedProtos[0] == alpnChallenge {
		a := m.acme.Load()
		if a == nil {
			return nil, errors.New("no challenge is under way: ACME is not enabled")
		}
		return a.config().GetCertificate(h)
	}
	return m.getCertificate(h)
}

// getCertificate is the choice described at the top of the package.
func (m *Manager) getCertificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	l := m.current.Load()
	if l == nil {
		return nil, errNothing
	}
	name := strings.ToLower(strings.TrimSuffix(h.ServerName, "."))
	list := l.named(name)
	if len(list) == 0 {
		list = m.obtained(name)
	}
	if len(list) == 0 {
		list = m.defaults(l)
	}
	if len(list) == 0 {
		return nil, errNothing
	}
	return best(list, h, m.opt.Now()), nil
}

// named are the files' certificates for a name: those that say it before those with a wildcard.
func (l *Loaded) named(name string) (list []*tls.Certificate) {
	pairs := l.byName[name]
	if len(pairs) == 0 {
		pairs = l.byName[wildcard(name)]
	}
	for _, p := range pairs {
		list = append(list, p.cert)
	}
	return list
}

// obtained are ACME's certificates for a name.
func (m *Manager) obtained(name string) []*tls.Certificate {
	if a := m.acme.Load(); a != nil && name != "" {
		return a.certificates(name)
	}
	return nil
}

// defaults are for clients that name no host that we know.
func (m *Manager) defaults(l *Loaded) []*tls.Certificate {
	if l.settings.Default.Cert == "" {
		if a := m.acme.Load(); a != nil && len(a.names) > 0 {
			if list := a.certificates(a.names[0]); len(list) > 0 {
				return list
			}
		}
	}
	switch {
	case len(l.pairs) > 0 && len(l.pairs[0].names) > 0:
		return l.named(l.pairs[0].names[0]) // it, and those of another kind of key for the same host
	case len(l.pairs) > 0:
		return []*tls.Certificate{l.pairs[0].cert}
	case l.fallback != nil:
		return []*tls.Certificate{l.fallback.cert}
	}
	return nil
}

// best picks one of several: one that the client can verify before one that it cannot, a valid one before an expired one,
// a cheap signature before RSA's, the newer before the older, else the first.
func best(list []*tls.Certificate, h *tls.ClientHelloInfo, now time.Time) *tls.Certificate {
	if len(list) == 1 {
		return list[0]
	}
	anyName := *h // which name it is has been settled
	anyName.ServerName = ""
	rank := func(c *tls.Certificate) (n int) {
		if anyName.SupportsCertificate(c) == nil {
			n += 4
		}
		if !now.After(c.Leaf.NotAfter) && !now.Before(c.Leaf.NotBefore) {
			n += 2
		}
		if !isRSA(c) {
			n++
		}
		return n
	}
	return slices.MaxFunc(list, func(a, b *tls.Certificate) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return a.Leaf.NotBefore.Compare(b.Leaf.NotBefore)
	})
}
