// Package link is what the protocol engines share below their protocols: accepting, counting connections in and out,
// ending them, and the connection itself with its deadlines.
//
// It knows no protocol and writes nothing to a client: an engine says farewell in its own words.
//
//	link.go       accepting; addresses and TLS in words
//	conns.go      Conns: who is connected, and the limits
//	transport.go  Transport: deadlines for each read and write, and waking
//
// Failures of a connection are *Error, whatever they wrap, so that engines can tell them from a backend's.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// TLSTimeout is how long a handshake may take.
const TLSTimeout = 30 * time.Second

// KickGrace is how long a connection that is busy may take to notice that it was kicked.
const KickGrace = 5 * time.Second

// Accept accepts connections until ctx ends or the listener is closed; then it closes the listener and returns nil. It
// returns an error only if accepting failed for another reason. Each connection gets a goroutine of its own.
func Accept(ctx context.Context, l net.Listener, log *slog.Logger, serve func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			if te, ok := err.(interface{ Temporary() bool }); !ok || !te.Temporary() {
				return err
			}
			// Out of descriptors, most likely: those who hold them must get the time to end.
			log.Warn("accept", "address", l.Addr().String(), "err", err)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		go serve(nc)
	}
}

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

// TLSText is "TLSv1.3 TLS_AES_128_GCM_SHA256" or the like.
func TLSText(s *tls.ConnectionState) string {
	version := map[uint16]string{tls.VersionTLS10: "TLSv1.0", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}
	return version[s.Version] + " " + tls.CipherSuiteName(s.CipherSuite)
}
