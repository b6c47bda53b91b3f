package link

import (
	"net"
	"net/netip"
	"time"
)

// Guarded makes a listener that closes connections of some addresses at once, before anything is made for them: no goroutine,
// no handshake. farewell tells whom, and what they are told in the clear; nothing where they would not understand that.
func Guarded(l net.Listener, farewell func(netip.Addr) (words string, refused bool)) net.Listener {
	return &guarded{l, farewell}
}

type guarded struct {
	net.Listener
	farewell func(netip.Addr) (string, bool)
}

// Accept returns the next connection that is not refused.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return c, err
		}
		words, refused := g.farewell(AddrPort(c.RemoteAddr()).Addr())
		if !refused {
			return c, nil
		}
		if words != "" {
			// It fits into the empty buffer of a new connection, so this does not wait; the deadline is for the unthinkable.
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = c.Write([]byte(words))
		}
		_ = c.Close()
	}
}
