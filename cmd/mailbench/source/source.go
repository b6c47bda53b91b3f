//go:build linux

// Package source chooses the address that a connection comes from. Servers bound how many connections one address may
// have, and one address has some 28,000 ports; all of 127.0.0.0/8 is ours on loopback (RFC 1122 §3.2.1.3), so a crowd
// against a server on the same machine can come from many addresses.
//
// It never connects by itself. Failure contract: there are no errors of its own; an address that this machine does not
// have is told by the connection that is tried from it.
package source

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Most is how many addresses Address tells apart.
const Most = 250 * 250 * 4

// Address returns the address of connection i if n addresses are used in turn: 127.1.0.1 and so on. With n < 1 it is
// nil, which leaves the choice to the system.
func Address(i, n int) net.IP {
	if n < 1 {
		return nil
	}
	i %= min(n, Most)
	return net.IPv4(127, byte(1+i/(250*250)), byte(i/250%250), byte(1+i%250))
}

// Dialer connects from local, or from wherever the system says if that is nil.
func Dialer(local net.IP, timeout time.Duration) *net.Dialer {
	d := &net.Dialer{Timeout: timeout}
	if local == nil {
		return d
	}
	d.LocalAddr = &net.TCPAddr{IP: local}
	d.Control = func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// The port is chosen with the destination known, so that one address has its ports once for each. A kernel
			// without this option chooses at once, which only means fewer ports: no error.
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		})
	}
	return d
}
