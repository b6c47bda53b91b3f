package mta

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// route is the way of one task.
type route struct {
	set    *Settings
	lmtp   bool
	smart  bool   // to the smart host: its TLS and AUTH
	domain string // whose mail exchangers are asked, when host is empty
	host   string // name or address of the next hop, without MX
	port   uint16
}

// routeOf decides the way of a recipient. A job holds the next hop that was chosen when it was accepted; one that is the
// smart host of today has today's password.
func routeOf(s *Settings, r *flow.Recipient) (*route, *failure) {
	rt := &route{set: s, lmtp: r.Transport == flow.LMTP, port: s.Port}
	if rt.lmtp {
		rt.port = portLMTP
	}
	h := &s.SmartHost
	switch {
	case r.NextHop != "":
		host, port, ok := parseNextHop(r.NextHop, rt.port)
		if !ok {
			return nil, ours(status.Temp(451, 3, 5, "the next hop \""+r.NextHop+"\" is not host[:port]"), nil)
		}
		rt.host, rt.port = host, port
		rt.smart = !rt.lmtp && strings.EqualFold(host, h.Host) && port == h.Port
	case rt.lmtp:
		return nil, ours(status.Temp(451, 3, 5, "LMTP needs a next hop"), nil)
	case h.Host != "":
		rt.host, rt.port, rt.smart = h.Host, h.Port, true
	default:
		rt.domain = r.To.Domain
	}
	return rt, nil
}

// level is the TLS that the route wants.
func (rt *route) level() TLS {
	if rt.smart {
		return rt.set.SmartHost.TLS
	}
	return rt.set.TLS
}

// implicit tells whether TLS comes before the first byte of SMTP, RFC 8314 §3.3.
func (rt *route) implicit() bool { return rt.smart && rt.port == portSubmissions }

// parseNextHop reads host, host:port, [address], [address]:port; a name may stand in brackets too, and IPv6 addresses
// with or without their tag of RFC 5321 §4.1.3.
func parseNextHop(s string, port uint16) (string, uint16, bool) {
	host, rest := s, ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if host, rest, ok = strings.Cut(inner, "]"); !ok {
			return "", 0, false
		}
		if len(host) > 5 && strings.EqualFold(host[:5], "IPv6:") {
			host = host[5:]
		}
		if rest != "" {
			if rest, ok = strings.CutPrefix(rest, ":"); !ok || rest == "" {
				return "", 0, false
			}
		}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if host, rest = s[:i], s[i+1:]; rest == "" || strings.Contains(host, ":") {
			return "", 0, false
		}
	}
	if rest != "" {
		n, err := strconv.ParseUint(rest, 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		port = uint16(n)
	}
	return host, port, host != ""
}

// hop is one address of a next hop.
type hop struct {
	name string // of the host; its address, where it was named so
	addr netip.AddrPort
}

// String is the form of flow.Outcome.Relay: host[address]:port.
func (h hop) String() string {
	return h.name + "[" + h.addr.Addr().String() + "]:" + strconv.Itoa(int(h.addr.Port()))
}
