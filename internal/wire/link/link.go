// Package link is what the protocol engines share below their protocols: accepting, counting connections in and out,
// ending them, and the connection itself with its deadlines.
//
// It knows no protocol: an engine says farewell in its own words.
//
//	link.go       addresses and TLS in words
//	accept.go     accepting, also when descriptors are short
//	guard.go      Guarded: who is refused before anything is made for him
//	conns.go      Conns: who is connected, and the limits
//	shared.go     what all services of a process have in common; farewells to those for whom there is no room
//	transport.go  Transport: deadlines for each read and write, and waking
//
// Failures of a connection are *Error, whatever they wrap, so that engines can tell them from a backend's.
package link

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// TLSTimeout is how long a handshake may take.
const TLSTimeout = 30 * time.Second

// KickGrace is how long a connection that is busy may take to notice that it was kicked.
const KickGrace = 5 * time.Second

// AddrPort is a's address and port, zero for what is not IP.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Site is what limits for an address count by: an IPv4 address, an IPv6 /64; the zero Prefix for the zero Addr.
func Site(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}

// Network is what one customer of a provider often has, and an attacker seldom more of: an IPv4 /24, an IPv6 /48; the zero
// Prefix for the zero Addr and for private networks, which are our own.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return netip.Prefix{}
	}
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits)
	return p
}

// TLSText is "TLSv1.3 TLS_AES_128_GCM_SHA256" or the like.
func TLSText(s *tls.ConnectionState) string {
	version := map[uint16]string{tls.VersionTLS10: "TLSv1.0", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}
	return version[s.Version] + " " + tls.CipherSuiteName(s.CipherSuite)
}
