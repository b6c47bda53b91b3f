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
	set  *Settings
	lmtp bool
	// smart: to the smart host, its TLS and AUTH.
	smart bool
	// configured: somebody named the next hop, so that what is wrong with it can be mended, and nothing fails for good.
	configured bool
	next       []flow.NextHop // hosts, or domains whose mail exchangers are meant, in the order in which they are tried
}

// routeOf decides the way of a recipient. A job holds the next hop that was chosen when it was accepted, if one was; one that
// is the smart host of today has today's password.
func routeOf(s *Settings, r *flow.Recipient) (*route, *failure) {
	rt := &route{set: s, lmtp: r.Transport == flow.LMTP, configured: true}
	h, named := &s.SmartHost, r.NextHop
	switch {
	case named != "":
	case rt.lmtp:
		return nil, ours(status.Temp(451, 3, 5, "LMTP needs a next hop"), nil)
	case h.Host != "":
		rt.next, rt.smart = []flow.NextHop{{Host: h.Host, Port: h.Port}}, true
		return rt, nil
	case s.Relayhost != "":
		named = s.Relayhost
	default:
		rt.next, rt.configured = []flow.NextHop{{Host: r.To.Domain, MX: true, Port: s.Port}}, false
		return rt, nil
	}
	var err error
	if rt.next, err = flow.ParseNextHop(r.Transport, named); err != nil {
		return nil, ours(status.Temp(451, 3, 5, err.Error()), err)
	}
	for i := range rt.next {
		if rt.next[i].Port == 0 {
			rt.next[i].Port = s.Port
			if rt.lmtp {
				rt.next[i].Port = portLMTP
			}
		}
	}
	one := rt.next[0]
	rt.smart = len(rt.next) == 1 && !rt.lmtp && !one.MX && strings.EqualFold(one.Host, h.Host) && one.Port == h.Port
	return rt, nil
}

// level is the TLS that the route wants.
func (rt *route) level() TLS {
	switch {
	case rt.smart:
		return rt.set.SmartHost.TLS
	case rt.next[0].Unix != "":
		return TLSNone // it never leaves this host
	}
	return rt.set.TLS
}

// implicit tells whether TLS comes before the first byte of SMTP, RFC 8314 §3.3.
func (rt *route) implicit() bool { return rt.smart && rt.next[0].Port == portSubmissions }

// hop is one address of a next hop.
type hop struct {
	name string // of the host; its address, where it was named so
	addr netip.AddrPort
	unix string // path of a socket; then addr is zero
}

// String is the form of flow.Outcome.Relay: host[address]:port.
func (h hop) String() string {
	if h.unix != "" {
		return h.name + "[" + h.unix + "]"
	}
	return h.name + "[" + h.addr.Addr().String() + "]:" + strconv.Itoa(int(h.addr.Port()))
}
