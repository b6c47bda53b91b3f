package route

import (
	"context"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// maxRoutes bounds the ways that one address may name: user%a%b%c@here.
const maxRoutes = 20

// form brings an address to its standard form. A way that is named in the local part is followed only where the domain is
// of the local class, as Postfix does; of other domains the local part is theirs. (Source routes, RFC 5321 appendix C, are
// dropped by the parser, as are final dots; domains are A-labels.)
func (r *Router) form(ctx context.Context, a address.Address) (address.Address, error) {
	for range maxRoutes {
		a = r.plain(a)
		if a.IsZero() || !strings.ContainsAny(a.Local, "@%!") {
			return a, nil
		}
		local, err := r.local(ctx, a.Domain)
		if err != nil || !local {
			return a, err
		}
		next, ok := r.reroute(a.Local)
		if !ok {
			return a, nil
		}
		a = next
	}
	return a, nil
}

// plain is the form in which tables are asked for an address: ways in the local part are followed behind them.
func (r *Router) plain(a address.Address) address.Address {
	if r.Rules.ResolveNumericDomain {
		if ip, err := netip.ParseAddr(a.Domain); err == nil {
			a.Domain = address.Literal(ip)
		}
	}
	if a.IsPostmaster() && r.Rules.HostDomain != "" {
		a.Domain = r.Rules.HostDomain
	}
	return a
}

// reroute reads the way that a local part names, if one is followed here.
func (r *Router) reroute(local string) (address.Address, bool) {
	user, host, ok := "", "", false
	if i := strings.LastIndexByte(local, '@'); i >= 0 && r.Rules.ResolveDequoted {
		user, host, ok = local[:i], local[i+1:], true
	} else if site, rest, found := strings.Cut(local, "!"); found && r.Rules.SwapBangPath {
		user, host, ok = rest, site, true
	} else if i := strings.LastIndexByte(local, '%'); i >= 0 && r.Rules.AllowPercentHack {
		user, host, ok = local[:i], local[i+1:], true
	}
	if !ok || user == "" {
		return address.Address{}, false
	}
	domain, err := r.domain(host)
	if err != nil {
		return address.Address{}, false
	}
	return address.Address{Local: user, Domain: domain}, true
}

// domain brings a domain that somebody wrote to its standard form.
func (r *Router) domain(s string) (string, error) {
	d, err := address.CanonicalDomain(s)
	if err == nil && r.Rules.AppendDotMyDomain && r.Rules.MyDomain != "" && !strings.ContainsAny(d, ".[") {
		d, err = address.CanonicalDomain(d + "." + r.Rules.MyDomain)
	}
	return d, err
}

// parse reads an address as tables and settings have it: one without a domain is of this host.
func (r *Router) parse(text string) (address.Address, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "<"); ok {
		text = strings.TrimSuffix(inner, ">")
	}
	if strings.HasPrefix(text, "@") { // a source route, RFC 5321 appendix C
		if _, rest, ok := strings.Cut(text, ":"); ok {
			text = rest
		}
	}
	if !strings.HasSuffix(text, `"`) && strings.Contains(text, "@") {
		a, err := address.Parse(text, true)
		if err == nil {
			a.Domain, err = r.domain(a.Domain)
		}
		return a, err
	}
	if a, ok := r.reroute(text); ok {
		return a, nil
	}
	origin := r.Rules.MyOrigin
	if !r.Rules.AppendAtMyOrigin || origin == "" {
		origin = r.Rules.HostDomain
	}
	return address.Parse(text+"@"+origin, true)
}
