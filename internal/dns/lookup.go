package dns

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// Meta is what holds for all records of an answer.
type Meta struct {
	Canonical string        // the name at the end of the aliases; the name asked if there are none
	Authentic bool          // the resolver vouches by DNSSEC (AD); trust it as far as the path to the resolver
	TTL       time.Duration // how long the answer may be kept; 0: do not
}

// MX is a mail exchanger.
type MX struct {
	Preference uint16 // lower is tried first
	Host       string // canonical; empty is the null MX, "." (RFC 7505 §3): the domain takes no mail
}

// IPVersions says which addresses are wanted.
type IPVersions int

// The choices of LookupIP.
const (
	AnyIP IPVersions = iota
	IPv4
	IPv6
)

// LookupMX returns the mail exchangers of a domain by rising preference, in the server's order among equals. Hosts that
// cannot be names are left out; if none remains, the error is Invalid and not NoData, since a domain with MX records
// must not be tried at its own address (RFC 5321 §5.1).
func (r *Resolver) LookupMX(ctx context.Context, domain string) ([]MX, Meta, error) {
	if name, ok := canonical(domain); ok && isLocalhost(name) {
		return nil, Meta{}, &Error{Kind: NoData, Name: domain, Type: "MX"}
	}
	res, err := r.resolve(ctx, domain, wire.TypeMX)
	if err != nil {
		return nil, Meta{}, err
	}
	mxs := make([]MX, 0, len(res.records))
	for _, rr := range res.records {
		mx, ok := rr.(*wire.MX)
		if !ok {
			continue
		}
		host, ok := canonical(mx.Mx)
		if ok || mx.Mx == "." {
			mxs = append(mxs, MX{Preference: mx.Preference, Host: host})
		}
	}
	if len(mxs) == 0 {
		return nil, Meta{}, &Error{Kind: Invalid, Name: domain, Type: "MX"}
	}
	slices.SortStableFunc(mxs, func(a, b MX) int { return int(a.Preference) - int(b.Preference) })
	return mxs, res.meta(), nil
}

// LookupIP returns the addresses of a host, IPv6 before IPv4. With AnyIP both are asked for; if one kind is there, the
// other's failure does not count; if neither is, a temporary failure of one is the answer, since it might be there.
func (r *Resolver) LookupIP(ctx context.Context, host string, want IPVersions) ([]netip.Addr, Meta, error) {
	name, ok := canonical(host)
	if ok && isLocalhost(name) {
		return localhost(name, want)
	}
	switch want {
	case IPv4:
		return r.addresses(ctx, host, wire.TypeA)
	case IPv6:
		return r.addresses(ctx, host, wire.TypeAAAA)
	}
	type answer struct {
		addrs []netip.Addr
		meta  Meta
		err   error
	}
	var v4 answer
	var four chan answer
	if _, known := r.cache.get(question{name, wire.TypeA}, r.now()); known { // nothing to wait for
		v4.addrs, v4.meta, v4.err = r.addresses(ctx, host, wire.TypeA)
	} else {
		four = make(chan answer, 1)
		go func(four chan<- answer) {
			addrs, meta, err := r.addresses(ctx, host, wire.TypeA)
			four <- answer{addrs, meta, err}
		}(four)
	}
	addrs, meta, err := r.addresses(ctx, host, wire.TypeAAAA)
	if four != nil {
		v4 = <-four
	}
	switch {
	case err != nil && v4.err != nil:
		return nil, Meta{}, worse(err, v4.err)
	case err != nil:
		return v4.addrs, v4.meta, nil
	case v4.err != nil:
		return addrs, meta, nil
	}
	meta.Authentic = meta.Authentic && v4.meta.Authentic
	meta.TTL = min(meta.TTL, v4.meta.TTL)
	return append(addrs, v4.addrs...), meta, nil
}

// worse returns the error that leaves more open.
func worse(a, b error) error {
	if IsTemporary(b) || KindOf(a) == NoData && KindOf(b) == NXDomain {
		return b
	}
	return a
}

func (r *Resolver) addresses(ctx context.Context, host string, qtype uint16) ([]netip.Addr, Meta, error) {
	res, err := r.resolve(ctx, host, qtype)
	if err != nil {
		return nil, Meta{}, err
	}
	addrs := make([]netip.Addr, 0, len(res.records))
	for _, rr := range res.records {
		var raw []byte
		switch rr := rr.(type) {
		case *wire.A:
			raw = rr.A.To4()
		case *wire.AAAA:
			raw = rr.AAAA.To16()
		}
		if addr, ok := netip.AddrFromSlice(raw); ok {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, Meta{}, &Error{Kind: NoData, Name: host, Type: wire.TypeToString[qtype]}
	}
	return addrs, res.meta(), nil
}

// localhost answers for this host itself, RFC 6761 §6.3.
func localhost(name string, want IPVersions) ([]netip.Addr, Meta, error) {
	var addrs []netip.Addr
	if want != IPv4 {
		addrs = append(addrs, netip.IPv6Loopback())
	}
	if want != IPv6 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return addrs, Meta{Canonical: name, TTL: time.Hour}, nil
}

// LookupNS returns the name servers of a domain, canonical. Names that are none are left out.
func (r *Resolver) LookupNS(ctx context.Context, domain string) ([]string, Meta, error) {
	res, err := r.resolve(ctx, domain, wire.TypeNS)
	if err != nil {
		return nil, Meta{}, err
	}
	var hosts []string
	for _, rr := range res.records {
		if ns, ok := rr.(*wire.NS); ok {
			if host, ok := canonical(ns.Ns); ok {
				hosts = append(hosts, host)
			}
		}
	}
	if len(hosts) == 0 {
		return nil, Meta{}, &Error{Kind: NoData, Name: domain, Type: "NS"}
	}
	return hosts, res.meta(), nil
}

// LookupTXT returns the TXT records of a name, the strings of each joined (RFC 7208 §3.3). They may hold any bytes.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, Meta, error) {
	res, err := r.resolve(ctx, name, wire.TypeTXT)
	if err != nil {
		return nil, Meta{}, err
	}
	var texts []string
	for _, rr := range res.records {
		txt, ok := rr.(*wire.TXT)
		if !ok {
			continue
		}
		var b strings.Builder
		for _, s := range txt.Txt {
			b.WriteString(unescape(s))
		}
		texts = append(texts, b.String())
	}
	if len(texts) == 0 {
		return nil, Meta{}, &Error{Kind: NoData, Name: name, Type: "TXT"}
	}
	return texts, res.meta(), nil
}

// LookupPTR returns the names of an address, canonical. Whoever owns the address chooses them: believe a name only after
// LookupIP of it gave the address back. Names that are none are left out.
func (r *Resolver) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, Meta, error) {
	if !addr.IsValid() {
		return nil, Meta{}, &Error{Kind: Invalid, Name: addr.String(), Type: "PTR"}
	}
	name := reverse(addr)
	res, err := r.resolve(ctx, name, wire.TypePTR)
	if err != nil {
		return nil, Meta{}, err
	}
	var names []string
	for _, rr := range res.records {
		if ptr, ok := rr.(*wire.PTR); ok {
			if host, ok := canonical(ptr.Ptr); ok {
				names = append(names, host)
			}
		}
	}
	if len(names) == 0 {
		return nil, Meta{}, &Error{Kind: NoData, Name: name, Type: "PTR"}
	}
	return names, res.meta(), nil
}

func (res result) meta() Meta {
	return Meta{Canonical: res.canonical, Authentic: res.authentic, TTL: max(0, res.ttl)}
}
