// Package proxy tells who the client of an HTTP request is when reverse proxies stand in between.
//
// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, which all proxies know, and Forwarded (RFC 7239) are words of
// whoever sent them. They are believed only when the connection comes from a trusted proxy, and then from the right: each
// proxy appends the address that it saw, so the rightmost one that is no trusted proxy is the client, and all to the left
// of it is what that client claims. A request is never refused here: what makes no sense leaves the client unknown, an
// address that is in no network.
//
// A proxy that knows only one of X-Forwarded-For and Forwarded lets the other through as the client wrote it. Where both
// are there and name different clients, the client is unknown; scheme and host are then the older fields'. A proxy that
// does not say for whom it asks leaves the client unknown too: its own address is nobody's who may be trusted.
//
//	proxy.go      the client of a request
//	forwarded.go  the forms of the fields
package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// Client is who asks.
type Client struct {
	Addr   netip.Addr // invalid: unknown
	HTTPS  bool       // between the client and the outermost proxy that we trust
	Host   string     // the host that the client asked for; may have a port
	Direct bool       // no proxy in between, as far as the request says
	// Stranger says that the request bears fields of a proxy and comes from an address that is not trusted: a proxy that
	// is missing in the configuration, or a client that plays one. The address is then the connection's.
	Stranger bool
}

// maxHops bounds the proxies in a row that are looked at.
const maxHops = 32

// Of returns the client of a request; trusted tells whether an address is a proxy of ours.
func Of(r *http.Request, trusted func(netip.Addr) bool) Client {
	c := Client{HTTPS: r.TLS != nil, Host: r.Host, Direct: !bears(r.Header)}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Addr = peer.Addr().Unmap().WithZone("")
	}
	if c.Direct {
		return c
	}
	if !c.Addr.IsValid() || !trusted(c.Addr) {
		c.Stranger = true
		return c
	}
	peer, list := c.Addr, forwarded(r.Header.Values("Forwarded"))
	c.Addr = clientOf(peer, r.Header, list, trusted)
	if len(list) == 0 || len(r.Header.Values("X-Forwarded-For")) > 0 {
		c.proto(last(r.Header.Values("X-Forwarded-Proto")))
		c.host(last(r.Header.Values("X-Forwarded-Host")))
		return c
	}
	c.proto(list[len(list)-1].proto)
	c.host(list[len(list)-1].host)
	return c
}

// clientOf is the address that the fields of a trusted peer name; list is what Forwarded says.
func clientOf(peer netip.Addr, h http.Header, list []element, trusted func(netip.Addr) bool) netip.Addr {
	var old, rfc netip.Addr
	values := h.Values("X-Forwarded-For")
	if len(values) > 0 {
		old = client(peer, hops(values), trusted)
	}
	if len(list) > 0 {
		addrs := make([]netip.Addr, len(list))
		for i, e := range list {
			addrs[i] = e.node
		}
		rfc = client(peer, addrs, trusted)
	}
	switch {
	case len(h.Values("Forwarded")) == 0:
		return old
	case len(values) == 0:
		return rfc
	case old != rfc:
		return netip.Addr{}
	}
	return old
}

// bears tells whether a proxy, or somebody who plays one, wrote into the header.
func bears(h http.Header) bool {
	for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-Ip", "Via"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// client goes through the hops from the right.
func client(peer netip.Addr, hops []netip.Addr, trusted func(netip.Addr) bool) netip.Addr {
	for i := len(hops) - 1; i >= 0; i-- {
		if len(hops)-i > maxHops || !hops[i].IsValid() {
			return netip.Addr{} // a proxy of ours saw somebody whom it cannot or will not name
		}
		peer = hops[i]
		if !trusted(peer) {
			break
		}
	}
	return peer
}

func (c *Client) proto(s string) {
	switch strings.ToLower(s) {
	case "https":
		c.HTTPS = true
	case "http":
		c.HTTPS = false
	}
}

func (c *Client) host(s string) {
	if isHost(s) {
		c.Host = s
	}
}

type key struct{}

// Handler finds out the client of each request for the handlers behind it, which ask From.
func Handler(trusted func(netip.Addr) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, Of(r, trusted))))
	})
}

// From returns the client that Handler found; without Handler, an unknown one.
func From(ctx context.Context) Client {
	c, _ := ctx.Value(key{}).(Client)
	return c
}
