package table

import (
	"fmt"
	"net/netip"
	"strings"
)

// CIDR parses a table of networks, cidr_table(5): "192.0.2.0/24 value", "2001:db8::/32 value", addresses alone, !network,
// and if network … endif. A network with bits set behind its length is refused, as Postfix does.
func CIDR(text string) (*Patterns, []Problem) {
	p, bad := parse(text, networks{})
	p.nets = indexNetworks(p.rules)
	return p, bad
}

type networks struct{}

type network netip.Prefix

func (n network) find(key string) ([]int, bool) {
	a, err := netip.ParseAddr(key)
	if err != nil || a.Is4() != netip.Prefix(n).Addr().Is4() {
		return nil, false
	}
	if netip.Prefix(n).Contains(a) {
		return []int{0, len(key)}, true
	}
	return nil, true
}

func (networks) pattern(s string) (matcher, int, string, string) {
	first, rest := word(s)
	p, problem := Network(first)
	return network(p), -1, rest, problem
}

// Network parses "192.0.2.0/24", "[2001:db8::]/32" or one address; problem is "" if it is one.
func Network(s string) (p netip.Prefix, problem string) {
	plain := strings.NewReplacer("[", "", "]", "").Replace(s)
	if !strings.Contains(plain, "/") {
		a, err := netip.ParseAddr(plain)
		if err != nil || a.Zone() != "" {
			return p, fmt.Sprintf("%q is no address and no network", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), ""
	}
	p, err := netip.ParsePrefix(plain)
	switch {
	case err != nil:
		return p, fmt.Sprintf("%q is no address and no network", s)
	case p != p.Masked():
		return p, fmt.Sprintf("%q has bits set behind its length; %q is the network", s, p.Masked())
	}
	return p, ""
}
