package access

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/obs"
)

// subject is a name that a session has said or has; ok is false if there is none.
type subject func(*eval) (name string, about subjectOf, ok bool)

func clientName(e *eval) (string, subjectOf, bool) {
	name := e.session.conn.Client.Name
	return name, e.aboutClient(), name != ""
}

func reverseName(e *eval) (string, subjectOf, bool) {
	name := e.session.conn.Reverse
	return name, subjectOf{text: name, class: "Unverified Client host", reason: obs.ReasonClient}, name != ""
}

func heloName(e *eval) (string, subjectOf, bool) {
	name := e.session.conn.Client.Helo
	return name, subjectOf{text: name, class: Helo.class(), reason: obs.ReasonHelo}, name != ""
}

func senderDomain(e *eval) (string, subjectOf, bool) {
	if e.tx == nil || e.tx.Envelope.From.Domain == "" {
		return "", subjectOf{}, false
	}
	return e.tx.Envelope.From.Domain, subjectOf{addr: e.sender(), class: Sender.class(), reason: obs.ReasonSender}, true
}

func recipientDomain(e *eval) (string, subjectOf, bool) {
	if e.rcpt == nil || e.rcpt.To.Domain == "" {
		return "", subjectOf{}, false
	}
	return e.rcpt.To.Domain, subjectOf{addr: e.rcpt.To, class: Recipient.class(), reason: obs.ReasonRecipient}, true
}

// Bounds of what one name makes us ask.
const (
	maxServers   = 20
	maxAddresses = 50
)

// find names the servers of a domain.
type find func(ctx context.Context, r Resolver, domain string) ([]string, error)

func itself(_ context.Context, _ Resolver, domain string) ([]string, error) {
	return []string{domain}, nil
}

// exchangers are a domain's MX hosts, or itself where it has none (RFC 5321 §5.1).
func exchangers(ctx context.Context, r Resolver, domain string) (hosts []string, err error) {
	mxs, _, err := r.LookupMX(ctx, domain)
	if dns.IsNotFound(err) {
		return []string{domain}, nil
	}
	for _, mx := range mxs {
		if mx.Host != "" {
			hosts = append(hosts, mx.Host)
		}
	}
	return hosts, err
}

// nameServers are those of a domain, or of the nearest domain above that has some.
func nameServers(ctx context.Context, r Resolver, domain string) ([]string, error) {
	for {
		hosts, _, err := r.LookupNS(ctx, domain)
		if !dns.IsNotFound(err) {
			return hosts, err
		}
		_, above, ok := strings.Cut(domain, ".")
		if !ok || !strings.Contains(above, ".") {
			return nil, err
		}
		domain = above
	}
}

// servers makes check_*_{ns,mx,a}_access: tables are asked for the names and addresses of the servers of a name. A server is
// no reason to permit anything: whoever owns a domain can name anybody's.
func servers(who subject, which find) func(*eval, *rule) outcome {
	return func(e *eval, r *rule) outcome {
		name, about, ok := who(e)
		if !ok {
			return pass
		}
		o := e.servers(r, name, about, which)
		if o.verdict == permits {
			return e.misconfigured(r, errors.New("OK is no answer about a server of somebody's, who can name any; use DUNNO for exceptions"))
		}
		return o
	}
}

func (e *eval) servers(r *rule, name string, about subjectOf, which find) outcome {
	if ip, ok := address.LiteralIP(name); ok {
		return e.access(r, about, table.Client(ip))
	}
	hosts, err := which(e.ctx, e.policy.opt.Resolver, name)
	if err != nil {
		return e.unresolved(r, name, err)
	}
	left := maxAddresses
	for _, host := range hosts[:min(len(hosts), maxServers)] {
		value, found, err := e.server(r, host, &left)
		switch {
		case err != nil:
			return e.lookupFailed(r, about.name(), err)
		case found:
			if o := e.act(r, about, value); o.verdict != passes {
				return o
			}
		}
	}
	return pass
}

// server asks for one server, by its name and then by each of its addresses.
func (e *eval) server(r *rule, host string, left *int) (value string, found bool, err error) {
	k := &e.session.keys
	if value, _, found, err = r.tables.First(e.ctx, k.server.of(e.policy, host)); found || err != nil {
		return value, found, err
	}
	addrs, _, err := e.policy.opt.Resolver.LookupIP(e.ctx, host, dns.AnyIP)
	if err != nil {
		e.unresolved(r, host, err)
		return "", false, nil
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range addrs[:min(len(addrs), *left)] {
		*left--
		if k.address == nil || k.at != a {
			k.at, k.address = a, table.Client(a)
		}
		if value, _, found, err = r.tables.First(e.ctx, k.address); found || err != nil {
			return value, found, err
		}
	}
	return "", false, nil
}

// unresolved passes over a name that cannot be looked up, as Postfix does, and says so.
func (e *eval) unresolved(r *rule, name string, err error) outcome {
	if dns.IsTemporary(err) {
		e.policy.opt.Log.Info("access: a name cannot be looked up; the rule is passed over", "rule", r.text, "name", name,
			"session", e.session.conn.Session, "error", err)
	}
	return pass
}
