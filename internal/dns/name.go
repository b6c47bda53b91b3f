package dns

import (
	"net/netip"
	"strconv"
	"strings"
)

// canonical lower-cases a name and removes a final dot. It refuses what no host or mail domain can be called, so that
// no byte of a name needs an escape anywhere (RFC 1035 §2.3.4: labels of 63, names of 253 characters).
func canonical(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return "", false
	}
	lower := false
	start := 0
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			if i == start || i-start > 63 {
				return "", false
			}
			start = i + 1
			continue
		}
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			lower = true
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
	}
	if lower {
		name = strings.ToLower(name)
	}
	return name, true
}

// isLocalhost tells the names that stand for this host without asking, RFC 6761 §6.3.
func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// reverse returns the name that holds the PTR records of an address: RFC 1035 §3.5, RFC 3596 §2.5.
func reverse(addr netip.Addr) string {
	addr = addr.Unmap()
	b := addr.AsSlice()
	var s strings.Builder
	for i := len(b) - 1; i >= 0; i-- {
		if addr.Is4() {
			s.WriteString(strconv.Itoa(int(b[i])) + ".")
			continue
		}
		const hex = "0123456789abcdef"
		s.Write([]byte{hex[b[i]&15], '.', hex[b[i]>>4], '.'})
	}
	if addr.Is4() {
		return s.String() + "in-addr.arpa"
	}
	return s.String() + "ip6.arpa"
}

// unescape turns one string of a TXT record from the presentation form in which the message library holds it (RFC 1035
// §5.1: \X and \DDD) into its bytes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 10, 8); err == nil {
				b = append(b, byte(n))
				i += 3
				continue
			}
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}
