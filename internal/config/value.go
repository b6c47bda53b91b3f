package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span, written as "5d", "90s", "1h30m": numbers with the units ms, s, m, h, d (24 h), w (7 d).
type Duration time.Duration

// durationUnits is ordered from the largest, which is how a Duration is written.
var durationUnits = [...]struct {
	name string
	span time.Duration
}{{"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// D returns the span as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// UnmarshalText reads the form that String writes.
func (d *Duration) UnmarshalText(text []byte) error {
	rest, total := string(text), time.Duration(0)
	if rest == "" {
		return fmt.Errorf("%q is not a duration such as \"90s\", \"1h30m\" or \"5d\"", text)
	}
	for rest != "" {
		digits := leading(rest, isDigit)
		unit := leading(rest[len(digits):], isLetter)
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as \"90s\", \"1h30m\" or \"5d\"", text)
		}
		span, ok := unitSpan(unit)
		if !ok {
			return fmt.Errorf("%q: a duration's units are ms, s, m, h, d, w", text)
		}
		if n > int64(math.MaxInt64-total)/int64(span) {
			return fmt.Errorf("%q is too long", text)
		}
		total += time.Duration(n) * span
		rest = rest[len(digits)+len(unit):]
	}
	*d = Duration(total)
	return nil
}

// String writes the span in the largest units that divide it: "1d12h", "90m" is "1h30m". Weeks are written as days.
func (d Duration) String() string {
	rest := time.Duration(d)
	if rest == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range durationUnits[1:] {
		if n := rest / u.span; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest -= n * u.span
		}
	}
	return b.String()
}

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func unitSpan(name string) (time.Duration, bool) {
	for _, u := range durationUnits {
		if u.name == name {
			return u.span, true
		}
	}
	return 0, false
}

// Size is a number of bytes, written as "50MiB": units B, KiB, MiB, GiB, TiB. A bare number is bytes.
type Size int64

var sizeUnits = [...]struct {
	name string
	n    int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads the form that String writes, and a bare number.
func (s *Size) UnmarshalText(text []byte) error {
	digits := leading(string(text), isDigit)
	unit := string(text[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not a size such as \"50MiB\"", text)
	}
	if unit == "" {
		unit = "B"
	}
	for _, u := range sizeUnits {
		if u.name == unit {
			if n > math.MaxInt64/u.n {
				return fmt.Errorf("%q is too large", text)
			}
			*s = Size(n * u.n)
			return nil
		}
	}
	return fmt.Errorf("%q: a size's units are B, KiB, MiB, GiB, TiB", text)
}

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.n == 0 {
			return strconv.FormatInt(int64(s)/u.n, 10) + u.name
		}
	}
	return "0B"
}

// MarshalText writes String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Network is an address range in CIDR form; a lone address is the range of itself.
type Network struct{ netip.Prefix }

// UnmarshalText reads "192.0.2.0/24", "2001:db8::/32", "192.0.2.7".
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		n.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not a network such as \"192.0.2.0/24\" or \"2001:db8::/32\"", text)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits set after its length; write %q", text, p.Masked().String())
	}
	n.Prefix = p
	return nil
}

// MarshalText writes CIDR form.
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// Wide tells a network that holds a large part of the internet, so that whoever is trusted for being in it may be anybody.
func (n Network) Wide() bool {
	bits, least := n.Bits(), 8
	switch a := n.Addr(); {
	case a.Is4In6():
		bits -= 96
	case a.Is6():
		// But nobody in the internet has an address of RFC 4193 or RFC 4291 §2.5.6.
		for _, own := range []netip.Prefix{netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10")} {
			if own.Bits() <= bits && own.Contains(a) {
				return false
			}
		}
		least = 16
	}
	return bits < least
}

// Networks is a list of address ranges.
type Networks []Network

// Contains tells whether addr is in one of the ranges. An IPv4 address in IPv6 form counts as IPv4.
func (ns Networks) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, n := range ns {
		if n.Prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func leading(s string, is func(byte) bool) string {
	i := 0
	for i < len(s) && is(s[i]) {
		i++
	}
	return s[:i]
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
