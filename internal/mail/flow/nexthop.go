package flow

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// NextHop is one of the hosts that Recipient.NextHop names for SMTP and LMTP.
type NextHop struct {
	Unix string // path of a socket; then the rest is empty
	Host string // name without brackets, or an IP address
	MX   bool   // Host's mail exchangers are meant, not itself
	Port uint16 // 0: the transport's
}

// MaxNextHops bounds the hosts of one next hop.
const MaxNextHops = 10

// ports are the services that may be named.
var ports = [...]struct {
	name string
	port uint16
}{{"smtp", 25}, {"submission", 587}, {"submissions", 465}, {"smtps", 465}, {"lmtp", 24}}

// ParseNextHop reads a next hop in Postfix's words, one or more separated by commas or blanks: domain, domain:port (its mail
// exchangers), [host], [host]:port, [address]:port (itself); for LMTP also unix:/path and inet:host:port, and a host without
// brackets is itself. An IPv4 address needs no brackets. A port may be one of the common services' names.
func ParseNextHop(t Transport, s string) ([]NextHop, error) {
	var out []NextHop
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if len(out) == MaxNextHops {
			return nil, fmt.Errorf("next hop %.100q names more than %d hosts", s, MaxNextHops)
		}
		h, err := parseNextHop(t, word)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the next hop is empty")
	}
	return out, nil
}

func parseNextHop(t Transport, s string) (NextHop, error) {
	wrong := func(why string) (NextHop, error) {
		return NextHop{}, fmt.Errorf("next hop %.100q: %s; expected is host, host:port, [host] or [host]:port", s, why)
	}
	if path, ok := strings.CutPrefix(s, "unix:"); ok && t == LMTP {
		control := strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f })
		if len(path) < 2 || path[0] != '/' || len(path) > 100 || control { // sun_path
			return NextHop{}, fmt.Errorf("next hop %.100q: a socket's path begins with /, has at most 100 bytes, and no control characters", s)
		}
		return NextHop{Unix: path}, nil
	}
	rest, inet := s, false
	if t == LMTP {
		rest, inet = strings.CutPrefix(s, "inet:")
	}
	var h NextHop
	port := ""
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		if h.Host, rest, ok = strings.Cut(inner, "]"); !ok {
			return wrong("the bracket is not closed")
		}
		if rest != "" {
			if port, ok = strings.CutPrefix(rest, ":"); !ok || port == "" {
				return wrong("after the bracket")
			}
		}
	} else {
		h.Host, h.MX = rest, t == SMTP && !inet
		if i := strings.LastIndexByte(rest, ':'); i >= 0 {
			if h.Host, port = rest[:i], rest[i+1:]; port == "" {
				return wrong("the port is missing")
			}
		}
	}
	if len(h.Host) > 5 && strings.EqualFold(h.Host[:5], "ipv6:") { // RFC 5321 §4.1.3
		h.Host = h.Host[5:]
	}
	h.Host = strings.TrimSuffix(h.Host, ".")
	if ip, err := netip.ParseAddr(h.Host); err == nil {
		h.Host, h.MX = ip.Unmap().String(), false
	} else if h.Host == "" || len(h.Host) > 253 || strings.HasSuffix(h.Host, ".") || strings.ContainsAny(h.Host, ":/@[]\\\"<>%!|") {
		return wrong("that is no host name")
	}
	for i := range len(h.Host) {
		if h.Host[i] <= ' ' || h.Host[i] == 0x7f {
			return wrong("control character")
		}
	}
	if port == "" {
		return h, nil
	}
	for _, p := range ports {
		if p.name == port {
			h.Port = p.port
			return h, nil
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return wrong("that is no port")
	}
	h.Port = uint16(n)
	return h, nil
}

// String writes the next hop as ParseNextHop reads it.
func (h NextHop) String() string {
	if h.Unix != "" {
		return "unix:" + h.Unix
	}
	s := h.Host
	if !h.MX {
		s = "[" + s + "]"
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(int(h.Port))
	}
	return s
}
