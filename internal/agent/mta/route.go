package mta

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
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
	next       []destination // in the order in which they are tried
	from       address.Address
	requireTLS bool // REQUIRETLS, and the way leaves this host
	turn       uint64
	back       bool // it was seen that this host is one of those that the way leads to
}

// destination is a host, or a domain whose mail exchangers are meant, with the words that tables know it by.
type destination struct {
	flow.NextHop
	written string // as it was said: the port only where one was
}

// sender sets who sends, and what for: the terms of the connection depend on it.
func (rt *route) sender(j *flow.Job, r *flow.Recipient, turn uint64) {
	rt.from, rt.requireTLS, rt.turn = j.Sender(r), j.RequireTLS && !rt.lmtp, turn
}

// destinations completes next hops. LMTP's need no brackets.
func destinations(hops []flow.NextHop, port uint16) []destination {
	out := make([]destination, len(hops))
	for i, h := range hops {
		out[i] = destination{h, h.String()}
		if h.Port == 0 {
			out[i].Port = port
		}
	}
	return out
}

// routeOf decides the way of a recipient. A job holds the next hop that was chosen when it was accepted, if one was; one that
// is the smart host of today has today's password.
func routeOf(s *Settings, r *flow.Recipient) (*route, *failure) {
	rt := &route{set: s, lmtp: r.Transport == flow.LMTP, configured: true}
	h, named := &s.SmartHost, r.NextHop
	switch {
	case named != "":
	case rt.lmtp:
		return nil, ours(status.Temp(451, 3, 5, "LMTP needs a next hop"), nil).ownTrouble()
	case h.Host != "":
		rt.next, rt.smart = destinations([]flow.NextHop{{Host: h.Host, Port: h.Port}}, h.Port), true
		return rt, nil
	case s.Relayhost != "":
		named = s.Relayhost
	default:
		rt.next, rt.configured = destinations([]flow.NextHop{{Host: r.To.Domain, MX: true}}, s.Port), false
		return rt, nil
	}
	next, err := flow.ParseNextHop(r.Transport, named)
	if err != nil {
		return nil, ours(status.Temp(451, 3, 5, err.Error()), err).ownTrouble()
	}
	port := s.Port
	if rt.lmtp {
		port = portLMTP
	}
	rt.next = destinations(next, port)
	one := rt.next[0]
	rt.smart = len(rt.next) == 1 && !rt.lmtp && !one.MX && strings.EqualFold(one.Host, h.Host) && one.Port == h.Port
	return rt, nil
}

// fallback is the route over the fall-back relays, nil if there are none or they are not for this.
func (rt *route) fallback() *route {
	if len(rt.set.Fallback) == 0 || rt.lmtp {
		return nil
	}
	to := *rt
	to.next, to.configured, to.smart = destinations(rt.set.Fallback, rt.set.Port), true, false
	return &to
}

// implicit tells whether TLS comes before the first byte of SMTP, RFC 8314 §3.3.
func (rt *route) implicit(h hop) bool {
	return rt.configured && !rt.lmtp && h.unix == "" && h.addr.Port() == portSubmissions
}

// hop is one address of a next hop.
type hop struct {
	name string // of the host; its address, where it was named so
	addr netip.AddrPort
	unix string // path of a socket; then addr is zero
	// other is an address of the same host in the other family, to be tried beside addr (RFC 8305); invalid: there is none.
	other netip.AddrPort
	to    destination
	site  string // of the exchangers; empty: the destination is its own
	// apart: the host is none of the site's, though the domain counts for it: a backup elsewhere, or one that its owner would like
	// the site to be blamed for. What it says is not the site's.
	apart bool
	// vouched: the name is the one that was written, or DNSSEC led to it.
	vouched bool
}

// without is the hop with the address that is left when one was used; not valid if none is.
func (h hop) without(used netip.AddrPort) (rest hop, valid bool) {
	if !used.IsValid() || !h.other.IsValid() {
		return h, false
	}
	if used == h.addr {
		h.addr = h.other
	}
	h.other = netip.AddrPort{}
	return h, true
}

// String is the form of flow.Outcome.Relay: host[address]:port.
func (h hop) String() string {
	if h.unix != "" {
		return h.name + "[" + h.unix + "]"
	}
	return h.name + "[" + h.addr.Addr().String() + "]:" + strconv.Itoa(int(h.addr.Port()))
}
