package mta

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/status"
)

// terms are what a connection to a host must be like.
type terms struct {
	policy         Policy // resolved
	user, password string // empty: no AUTH
	pool           *Pool
	turn           uint64
}

// termsFor asks the tables what a connection to a hop must be like. A table that cannot be asked, or whose value makes no
// sense, defers the mail: it must not go with less than what was meant.
func (a *Agent) termsFor(ctx context.Context, rt *route, h hop) (terms, *failure) {
	t := terms{pool: rt.set.pool(rt.from), turn: rt.turn}
	p, err := rt.policy(ctx, h)
	if err != nil {
		return t, ours(status.Temp(451, 7, 5, "TLS policy for "+h.to.written+": "+err.Error()), err).ownTrouble()
	}
	if rt.requireTLS && !h.addr.Addr().IsLoopback() {
		p = p.required(h.vouched)
	}
	t.policy = p.resolve(h.name, h.to.Host)
	t.user, t.password, err = rt.login(ctx, h)
	if err != nil {
		return t, ours(status.Temp(451, 3, 0, "the table of passwords cannot be asked at present"), err).ownTrouble()
	}
	return t, nil
}

// required is the policy with what REQUIRETLS demands, RFC 8689 §4.2.1: a certificate for the host's name proves something
// only where DNSSEC or we ourselves named the host; else it must be the domain's, or one that the policy names.
func (p Policy) required(vouched bool) Policy {
	if p.Level < TLSFingerprint {
		p = Policy{Level: TLSVerify, Match: []string{"hostname"}, Min: p.Min, Max: p.Max, ServerName: p.ServerName}
	}
	if p.Level == TLSVerify && !vouched {
		p.Match = slices.DeleteFunc(slices.Clone(p.Match), func(m string) bool { return m == "hostname" })
		if len(p.Match) == 0 {
			p.Match = []string{"nexthop", "dot-nexthop"}
		}
	}
	return p
}

// policy is the TLS that a destination wants.
func (rt *route) policy(ctx context.Context, h hop) (Policy, error) {
	if h.unix != "" {
		return Policy{}, nil // it never leaves this host
	}
	value, found, err := lookUp(ctx, rt.set.PolicyMaps, policyKeys(rt.lmtp, h.to))
	switch {
	case err != nil:
		return Policy{}, err
	case found:
		return ParsePolicy(value)
	case rt.smart:
		return rt.set.SmartHost.TLS, nil
	}
	return rt.set.TLS, nil
}

// policyKeys are the destination as it was said, and for a domain those above it, as ".parent".
func policyKeys(lmtp bool, to destination) []table.Key {
	plain := strings.NewReplacer("[", "", "]", "").Replace(to.written)
	switch {
	case to.MX && to.written == to.Host && !strings.HasPrefix(to.Host, "["):
		return table.Host(to.Host, true, true)
	case lmtp && plain != to.written: // LMTP's hosts need no brackets
		return []table.Key{{Text: to.written}, {Text: plain}}
	}
	return []table.Key{{Text: to.written}}
}

// login finds name and password: by the sender, by the host, by the destination as it was said; the smart host has its own
// where no table does.
func (rt *route) login(ctx context.Context, h hop) (user, password string, err error) {
	if len(rt.set.PasswordMaps) > 0 && h.unix == "" {
		var keys []table.Key
		if rt.set.SenderAuth && !rt.lmtp && !rt.from.IsZero() && rt.configured { // an exchanger of the recipient's knows nobody of ours
			keys = table.Address(rt.from, table.WithoutExtension|table.AtDomain, rt.set.Delimiter, true)
		}
		keys = append(keys, table.Key{Text: h.name}, table.Key{Text: h.to.written})
		value, found, err := lookUp(ctx, rt.set.PasswordMaps, keys)
		if err != nil {
			return "", "", err
		}
		if found {
			user, password, _ = strings.Cut(value, ":")
			return user, password, nil
		}
	}
	if rt.smart {
		return rt.set.SmartHost.User, rt.set.SmartHost.Password, nil
	}
	return "", "", nil
}

func lookUp(ctx context.Context, l table.List, keys []table.Key) (string, bool, error) {
	if len(l) == 0 {
		return "", false, nil
	}
	value, _, found, err := l.First(ctx, keys)
	return value, found, err
}

// key says which tasks may use a connection. New settings never meet a connection that was made under old ones.
type key struct {
	set            *Settings
	name           string
	addr           netip.AddrPort
	unix           string
	lmtp           bool
	policy         string
	user, password string
	from           Source
}

// key of a connection to one address of a hop; ok is false where it cannot be made from an address of ours.
func (t *terms) key(rt *route, h hop) (k key, ok bool) {
	from := Source{Hello: rt.set.Hello}
	if h.unix == "" {
		if from, ok = rt.set.source(t.pool, h.addr.Addr(), t.turn); !ok {
			return key{}, false
		}
	}
	return key{set: rt.set, name: h.name, addr: h.addr, unix: h.unix, lmtp: rt.lmtp, policy: t.policy.key(),
		user: t.user, password: t.password, from: from}, true
}
