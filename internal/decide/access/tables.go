package access

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// keys are what tables are asked for, made once for an evaluation.
type keys struct{ recipient []table.Key }

// sessionKeys are those that a session keeps from one evaluation to the next, with what they were made from.
type sessionKeys struct {
	name    string
	addr    netip.Addr
	label   string // name[address]
	client  []table.Key
	reverse hostKeys
	hello   hostKeys
	from    address.Address
	sender  []table.Key
	server  hostKeys // the one asked for last; mostly a domain has one
	at      netip.Addr
	address []table.Key // of an address of it
}

// hostKeys are the keys of a host's name.
type hostKeys struct {
	name string
	keys []table.Key
}

func (h *hostKeys) of(p *Policy, name string) []table.Key {
	if h.keys == nil || h.name != name {
		h.name, h.keys = name, p.host(name)
	}
	return h.keys
}

// ofClient brings the client's keys up to date.
func (s *session) ofClient() *sessionKeys {
	k, name, addr := &s.keys, s.name(), s.conn.Client.Addr.Addr().Unmap()
	if k.client == nil || k.name != name || k.addr != addr {
		k.name, k.addr, k.label = name, addr, name+"["+addr.String()+"]"
		k.client = append(s.policy.host(name), table.Client(addr)...)
	}
	return k
}

// access asks tables for keys, in order, and obeys.
func (e *eval) access(r *rule, about subjectOf, keys []table.Key) outcome {
	value, _, found, err := r.tables.First(e.ctx, keys)
	switch {
	case err != nil:
		text := printable(about.name() + ": " + about.class + " rejected: Server configuration error")
		return e.refuse(obs.ReasonLocal, status.Temp(451, 3, 5, text).With(r.text, err))
	case !found:
		return pass
	}
	return e.act(r, about, value)
}

func (p *Policy) host(name string) []table.Key {
	return table.Host(strings.ToLower(strings.TrimSuffix(name, ".")), true, p.dotted)
}

func (e *eval) aboutClient() subjectOf {
	return subjectOf{text: e.session.client(), class: Client.class(), reason: obs.ReasonClient}
}

// runClientAccess: name, its parents, address, its networks.
func runClientAccess(e *eval, r *rule) outcome {
	return e.access(r, e.aboutClient(), e.session.ofClient().client)
}

func runReverseAccess(e *eval, r *rule) outcome {
	name := e.session.conn.Reverse
	if name == "" {
		name = unknown
	}
	about := subjectOf{text: name, class: "Unverified Client host", reason: obs.ReasonClient}
	return e.access(r, about, e.session.keys.reverse.of(e.policy, name))
}

func runHeloAccess(e *eval, r *rule) outcome {
	name := e.session.conn.Client.Helo
	if name == "" {
		return pass
	}
	return e.access(r, subjectOf{text: name, class: Helo.class(), reason: obs.ReasonHelo}, e.session.keys.hello.of(e.policy, name))
}

func runSenderAccess(e *eval, r *rule) outcome {
	if e.tx == nil {
		return pass
	}
	k := &e.session.keys
	if k.sender == nil || k.from != e.tx.Envelope.From {
		k.from, k.sender = e.tx.Envelope.From, e.policy.address(e.tx.Envelope.From)
	}
	return e.access(r, subjectOf{addr: e.sender(), class: Sender.class(), reason: obs.ReasonSender}, k.sender)
}

func runRecipientAccess(e *eval, r *rule) outcome {
	if e.rcpt == nil {
		return pass
	}
	if e.keys.recipient == nil {
		e.keys.recipient = e.policy.address(e.rcpt.To)
	}
	return e.access(r, subjectOf{addr: e.rcpt.To, class: Recipient.class(), reason: obs.ReasonRecipient}, e.keys.recipient)
}

// address lists the keys of access(5): user@domain, domain, its parents, user@; each address without its extension too.
func (p *Policy) address(a address.Address) []table.Key {
	if a.IsZero() {
		return []table.Key{{Text: p.opt.Config.SmtpdNullAccessLookupKey}}
	}
	if a.Domain == "" {
		a.Domain = p.opt.Domain
	}
	return table.Address(a, table.WithoutExtension|table.Domain|table.Parents|table.UserAt, p.opt.Delimiters, p.dotted)
}

func runLoginAccess(e *eval, r *rule) outcome {
	login := e.session.conn.Client.Login
	if login == "" {
		return pass
	}
	return e.access(r, subjectOf{text: login, class: "SASL login name", reason: obs.ReasonSender}, []table.Key{{Text: login}})
}

// certificate is the client's, nil if it showed none.
func (e *eval) certificate() *x509.Certificate {
	if t := e.session.conn.TLS; t != nil && len(t.PeerCertificates) > 0 {
		return t.PeerCertificates[0]
	}
	return nil
}

// fingerprints are those of a certificate and of its key, as Postfix writes them: SHA-256, hexadecimal with colons.
func fingerprints(c *x509.Certificate) []table.Key {
	return []table.Key{{Text: colons(sha256.Sum256(c.Raw))}, {Text: colons(sha256.Sum256(c.RawSubjectPublicKeyInfo))}}
}

func colons(sum [sha256.Size]byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

func runCertAccess(e *eval, r *rule) outcome {
	c := e.certificate()
	if c == nil {
		return pass
	}
	keys := fingerprints(c)
	return e.access(r, subjectOf{text: keys[0].Text, class: "Client certificate", reason: obs.ReasonClient}, keys)
}

// runCertificate permits clients whose certificate relay_clientcerts has.
func runCertificate(e *eval, r *rule) outcome {
	c := e.certificate()
	if c == nil {
		return pass
	}
	_, _, found, err := e.policy.certs.First(e.ctx, fingerprints(c))
	switch {
	case err != nil:
		return e.lookupFailed(r, e.aboutClient().name(), err)
	case found:
		return permit
	}
	return pass
}

// runAnyCertificate permits clients whose certificate an authority of tls.client_ca has signed.
func runAnyCertificate(e *eval, _ *rule) outcome {
	if t := e.session.conn.TLS; t != nil && len(t.VerifiedChains) > 0 {
		return permit
	}
	return pass
}

func (e *eval) addr() netip.Addr { return e.session.conn.Client.Addr.Addr().Unmap() }
