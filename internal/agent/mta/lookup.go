package mta

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// maxHosts bounds the mail exchangers of a domain whose addresses are looked up.
const maxHosts = 20

// hops gives the addresses of a route in the order in which they are to be tried; in the place of a host that has none, or
// whose addresses cannot be known now, the failure. It asks the DNS only as far as the caller goes.
func (a *Agent) hops(ctx context.Context, rt *route) iter.Seq2[hop, *failure] {
	return func(yield func(hop, *failure) bool) {
		for _, next := range rt.next {
			more := true
			a.hopsOf(ctx, rt, next, func(h hop, f *failure) bool {
				if f != nil && rt.configured {
					f = f.temporary()
				}
				more = yield(h, f)
				return more
			})
			if !more {
				return
			}
		}
	}
}

func (a *Agent) hopsOf(ctx context.Context, rt *route, next destination, yield func(hop, *failure) bool) {
	if next.Unix != "" {
		yield(hop{name: "localhost", unix: next.Unix, to: next, vouched: true}, nil)
		return
	}
	if !next.MX {
		a.direct(ctx, rt, next, yield)
		return
	}
	if ip, ok := address.LiteralIP(next.Host); ok { // RFC 5321 §4.1.3
		to := hop{name: ip.String(), addr: netip.AddrPortFrom(ip.Unmap(), next.Port), to: next, vouched: true}
		if a.opt.Own(to.addr) || !reachable(ip) {
			yield(hop{}, rt.loops(next.Host))
			return
		}
		yield(to, nil)
		return
	}
	mxs, f := a.exchangers(ctx, rt.set, next.Host)
	if f != nil {
		yield(hop{}, f)
		return
	}
	a.walk(ctx, rt, next, mxs, yield)
}

// direct gives the addresses of a host that is meant itself.
func (a *Agent) direct(ctx context.Context, rt *route, next destination, yield func(hop, *failure) bool) {
	addrs := []netip.Addr{}
	if ip, err := netip.ParseAddr(next.Host); err == nil {
		addrs = append(addrs, ip.Unmap())
	} else {
		var f *failure
		if addrs, f = a.addresses(ctx, rt.set, next.Host); f != nil {
			yield(hop{}, f)
			return
		}
	}
	for _, to := range pairs(hop{name: next.Host, to: next, vouched: true}, addrs) {
		if a.ours(to) {
			yield(hop{}, rt.loops(next.Host))
			return
		}
		if !yield(to, nil) {
			return
		}
	}
}

// ours tells whether an address of a hop is one where we take mail ourselves.
func (a *Agent) ours(h hop) bool { return a.opt.Own(h.addr) || h.other.IsValid() && a.opt.Own(h.other) }

// pairs makes hops of a host's addresses, which take turns between the families: two of different ones are one hop.
func pairs(h hop, addrs []netip.Addr) (hops []hop) {
	for i := 0; i < len(addrs); i++ {
		one := h
		one.addr = netip.AddrPortFrom(addrs[i], h.to.Port)
		if i+1 < len(addrs) && addrs[i].Is4() != addrs[i+1].Is4() {
			i++
			one.other = netip.AddrPortFrom(addrs[i], h.to.Port)
		}
		hops = append(hops, one)
	}
	return hops
}

// exchangers are the mail exchangers of a domain.
type exchangers struct {
	list    []dns.MX
	vouched bool // by DNSSEC, or the domain itself is meant
	ttl     time.Duration
}

// exchangers are the mail exchangers of a domain: by preference, equals in random order.
func (a *Agent) exchangers(ctx context.Context, set *Settings, domain string) (exchangers, *failure) {
	mxs, meta, err := set.Resolver.LookupMX(ctx, domain)
	switch {
	case err == nil:
	case dns.KindOf(err) == dns.NoData: // RFC 5321 §5.1: the domain itself is its exchanger
		return exchangers{[]dns.MX{{Host: domain}}, true, meta.TTL}, nil
	default:
		return exchangers{}, lookupFailed(domain, err)
	}
	mxs = slices.DeleteFunc(slices.Clone(mxs), func(m dns.MX) bool { return m.Host == "" })
	if len(mxs) == 0 { // RFC 7505 §3
		return exchangers{}, ours(status.Perm(556, 1, 10, "domain "+domain+" says that it takes no mail (null MX)"), nil)
	}
	a.opt.Shuffle(len(mxs), func(i, j int) { mxs[i], mxs[j] = mxs[j], mxs[i] })
	slices.SortStableFunc(mxs, func(a, b dns.MX) int { return int(a.Preference) - int(b.Preference) })
	return exchangers{mxs[:min(len(mxs), maxHosts)], meta.Authentic, meta.TTL}, nil
}

// walk gives the addresses of exchangers, those of one preference at a time, since we may be among them: RFC 5321 §5.1
// forbids to send to exchangers of our own preference or worse.
func (a *Agent) walk(ctx context.Context, rt *route, next destination, found exchangers, yield func(hop, *failure) bool) {
	mxs, site := found.list, a.siteOf(found.list)
	named := site != "" && a.siteOf(mxs[:1]) == site // after what its hosts have in common, not after one of them
	for at := 0; at < len(mxs); {
		end := at
		var hops []hop
		var failures []*failure
		for ; end < len(mxs) && mxs[end].Preference == mxs[at].Preference; end++ {
			addrs, f := a.addresses(ctx, rt.set, mxs[end].Host)
			if f != nil {
				failures = append(failures, f)
			}
			apart := named && a.siteOf(mxs[end:end+1]) != site
			hops = append(hops, pairs(hop{name: mxs[end].Host, to: next, vouched: found.vouched, site: site, apart: apart}, addrs)...)
		}
		if slices.ContainsFunc(hops, a.ours) {
			f := rt.loops(next.Host)
			if at == 0 { // nobody is better than we, and we do not know the domain
				yield(hop{}, f)
			}
			return
		}
		a.waitingFirst(hops)
		for _, h := range hops {
			if !yield(h, nil) {
				return
			}
		}
		for _, f := range failures {
			if !yield(hop{}, f) {
				return
			}
		}
		at = end
	}
}

// waitingFirst puts those of equal hosts first to which a connection waits, whoever's domain it was made for.
func (a *Agent) waitingFirst(hops []hop) {
	if len(hops) < 2 {
		return
	}
	waiting := a.pool.addresses()
	if len(waiting) == 0 {
		return
	}
	rank := func(h hop) int {
		if waiting[h.addr] || h.other.IsValid() && waiting[h.other] {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(hops, func(x, y hop) int { return rank(x) - rank(y) })
}

// addresses are those of one host, IPv6 and IPv4 in turn, so that a broken family does not use up all attempts.
func (a *Agent) addresses(ctx context.Context, s *Settings, host string) ([]netip.Addr, *failure) {
	found, _, err := s.Resolver.LookupIP(ctx, host, s.IP)
	if err != nil {
		return nil, lookupFailed(host, err)
	}
	var six, four []netip.Addr
	for _, ip := range found {
		switch ip = ip.Unmap(); {
		case !reachable(ip):
		case ip.Is4():
			four = append(four, ip)
		default:
			six = append(six, ip)
		}
	}
	var addrs []netip.Addr
	for i := range max(len(six), len(four)) {
		addrs = append(addrs, six[min(i, len(six)):min(i+1, len(six))]...)
		addrs = append(addrs, four[min(i, len(four)):min(i+1, len(four))]...)
	}
	if len(addrs) == 0 {
		return nil, ours(status.Perm(550, 4, 4, "host "+host+" has no address that mail could be sent to"), nil)
	}
	return addrs, nil
}

// reachable tells whether an address can be a mail host's. To connect to the unspecified address is to connect to
// ourselves.
func reachable(ip netip.Addr) bool { return !ip.IsUnspecified() && !ip.IsMulticast() }

// loops notes that the way leads to this host.
func (rt *route) loops(name string) *failure {
	rt.back = true
	return ours(status.Perm(554, 4, 6, "mail for "+name+" comes back to this host, which does not take it"), nil)
}

// comesBack tells whether this host is one of those that a way leads to, be it the last: whoever else gets the mail would
// give it to us again as soon as the better ones are gone. What the DNS does not tell does not count.
func (a *Agent) comesBack(ctx context.Context, rt *route) bool {
	for range a.hops(ctx, rt) {
		if rt.back {
			break
		}
	}
	return rt.back
}

func lookupFailed(name string, err error) *failure {
	switch dns.KindOf(err) {
	case dns.NXDomain:
		return ours(status.Perm(550, 1, 2, "domain name "+name+" does not exist"), err)
	case dns.NoData:
		return ours(status.Perm(550, 4, 4, "host "+name+" has no address"), err)
	case dns.Invalid:
		return ours(status.Perm(550, 1, 2, fmt.Sprintf("%q is not, or leads to no valid, domain name", name)), err)
	}
	return ours(status.Temp(451, 4, 3, "the DNS gives no answer for "+name+" at present"), err)
}
