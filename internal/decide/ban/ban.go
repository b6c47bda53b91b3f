// Package ban knows the networks whose clients are not let in for a while, and answers for an address before its connection
// has cost anything.
//
// A Set is pure: the clock is the caller's, nothing blocks, nothing is stored (internal/state/bans does that). It is bounded:
// at MaxBans the automatic ban that ends first makes room for a new one; what an operator has put there is never displaced.
//
//	ban.go    Ban, Parse
//	set.go    Set
package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Origin is who wants a ban.
type Origin string

// The origins.
const (
	Operator  Origin = "operator"
	Automatic Origin = "automatic"
)

// Ban is a network that is kept out.
type Ban struct {
	Network netip.Prefix // masked; of an IPv4 address /32, never v4-in-v6
	Reason  string       // for operators and the log; clients do not read it
	Origin  Origin
	Since   time.Time
	Until   time.Time // zero: for good
}

// Over tells whether a ban has ended.
func (b *Ban) Over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// The widest networks: a slip of the finger shall not shut out the world.
const (
	widest4 = 8
	widest6 = 16
)

// maxText bounds what Parse looks at; the longest address with a length is shorter.
const maxText = 64

// Parse reads an address or a network as people write it, 192.0.2.7, 192.0.2.0/24, 2001:db8::/48. It does not guess: an address
// with a length that would cut it is an error that names the network.
func Parse(s string) (netip.Prefix, error) {
	if len(s) > maxText {
		return netip.Prefix{}, errors.New("that is too long for an address or a network")
	}
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address and no network such as 192.0.2.0/24 or 2001:db8::/48", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no network such as 192.0.2.0/24 or 2001:db8::/48", s)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q mixes IPv4 and IPv6; write the IPv4 network alone", s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its length; is %s meant, or %s?", s, m, p.Addr())
	}
	least := widest4
	if p.Addr().Is6() {
		least = widest6
	}
	if p.Bits() < least {
		return netip.Prefix{}, fmt.Errorf("%q is too wide: the widest networks are /%d in IPv4 and /%d in IPv6", s, widest4, widest6)
	}
	return p, nil
}
