package proxy

import (
	"net/netip"
	"strings"
)

// element is what one proxy said in a Forwarded field.
type element struct {
	node        netip.Addr // invalid: "unknown", an obfuscated name, or rubbish
	proto, host string
}

// hops reads the values of X-Forwarded-For: addresses with commas in between, some with a port. What is no address is an
// invalid one.
func hops(values []string) []netip.Addr {
	var list []netip.Addr
	for _, v := range values {
		for s := range strings.SplitSeq(v, ",") {
			list = append(list, node(strings.TrimSpace(s)))
		}
	}
	return list
}

// last returns the last item of a list with commas: the word of the proxy next to us.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

// forwarded reads the values of Forwarded: RFC 7239 §4. Nil: they break its grammar.
func forwarded(values []string) []element {
	var list []element
	for _, v := range values {
		s, e, more := v, element{}, true
		for more {
			var name, value string
			var ok bool
			if name, value, s, ok = pair(s); !ok {
				return nil
			}
			switch strings.ToLower(name) { // RFC 7239 §4: parameter names are case-insensitive
			case "for":
				e.node = node(value)
			case "proto":
				e.proto = value
			case "host":
				e.host = value
			}
			s = strings.TrimLeft(s, " \t")
			switch {
			case s == "":
				list, more = append(list, e), false
			case s[0] == ';':
				s = s[1:]
			case s[0] == ',':
				list, e, s = append(list, e), element{}, s[1:]
			default:
				return nil
			}
		}
	}
	return list
}

// pair reads `token "=" (token / quoted-string)`.
func pair(s string) (name, value, rest string, ok bool) {
	name, rest, ok = strings.Cut(strings.TrimLeft(s, " \t"), "=")
	if !ok || name == "" || strings.TrimLeft(name, tokenChars) != "" {
		return "", "", "", false
	}
	if !strings.HasPrefix(rest, `"`) {
		value = rest[:len(rest)-len(strings.TrimLeft(rest, tokenChars))]
		return name, value, rest[len(value):], value != ""
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			return name, b.String(), rest[i+1:], true
		case '\\':
			if i++; i == len(rest) {
				return "", "", "", false
			}
		}
		b.WriteByte(rest[i])
	}
	return "", "", "", false
}

// tokenChars are RFC 9110 §5.6.2's, and ":" "[" "]", which several proxies leave without quotes.
const tokenChars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:[]"

// node reads an address with or without a port: RFC 7239 §6. Invalid: it is none.
func node(s string) netip.Addr {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return a.Unmap().WithZone("")
	}
	host, port, ok := cutPort(s)
	if !ok || port == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// cutPort takes the port, which may be an obfuscated one (RFC 7239 §6.3), from an address.
func cutPort(s string) (host, port string, ok bool) {
	if inner, is6 := strings.CutPrefix(s, "["); is6 {
		if host, port, ok = strings.Cut(inner, "]"); !ok || strings.TrimLeft(host, "0123456789abcdefABCDEF:.") != "" {
			return "", "", false
		}
		port, ok = strings.CutPrefix(port, ":")
		return host, port, ok
	}
	host, port, ok = strings.Cut(s, ":")
	return host, port, ok && !strings.Contains(port, ":")
}

const maxHost = 260 // a name and a port

// isHost takes what may stand in a Host field: a name or address, with or without a port.
func isHost(s string) bool {
	return s != "" && len(s) <= maxHost && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_:[]") == "" &&
		strings.Trim(s, ".-_:[]") != ""
}
