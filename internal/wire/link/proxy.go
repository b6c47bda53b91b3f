package link

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyTimeout is how long the header of the PROXY protocol may take: the proxy knows it when it connects.
const proxyTimeout = 10 * time.Second

// Sizes of the header: version 1 is a line, version 2 has 16 bytes and what they announce.
const (
	proxyLine   = 107     // with CRLF
	proxyFixed  = 16      //
	proxyRest   = 4 << 10 // addresses and options; 65,535 could be announced
	proxyPrefix = 12      // read before it is known which version it is
)

var errNoProxyHeader = errors.New("the PROXY protocol's header is missing, though the connection comes from a proxy (edges.proxy_networks)")

// Proxied makes a listener whose connections from trusted addresses begin with the header of HAProxy's PROXY protocol,
// version 1 or 2, and are those of the client that it names. A connection of theirs without it breaks at the first read. All
// others are what they are: from them such a header is the protocol violation that it always was.
//
// The header is read when somebody first asks for the address or reads, in the goroutine that serves the connection.
func Proxied(l net.Listener, trusted func(netip.Addr) bool) net.Listener {
	return &proxied{l, trusted}
}

type proxied struct {
	net.Listener
	trusted func(netip.Addr) bool
}

// Accept does not wait for the header.
func (p *proxied) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil || !p.trusted(AddrPort(c.RemoteAddr()).Addr()) {
		return c, err
	}
	return &proxyConn{Conn: c}, nil
}

// proxyConn is a connection that a proxy has made.
type proxyConn struct {
	net.Conn
	once          sync.Once
	remote, local net.Addr // nil: those of the connection
	err           error
}

// header reads the header, once.
func (c *proxyConn) header() error {
	c.once.Do(func() {
		_ = c.Conn.SetReadDeadline(time.Now().Add(proxyTimeout))
		c.remote, c.local, c.err = readProxy(c.Conn)
		_ = c.Conn.SetReadDeadline(time.Time{})
		if c.err != nil {
			c.err = fmt.Errorf("proxy %s: %w", c.Conn.RemoteAddr(), c.err)
			_ = c.Conn.Close()
		}
	})
	return c.err
}

// Read begins behind the header.
func (c *proxyConn) Read(p []byte) (int, error) {
	if err := c.header(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// RemoteAddr is the client's.
func (c *proxyConn) RemoteAddr() net.Addr {
	if c.header() != nil || c.remote == nil {
		return c.Conn.RemoteAddr()
	}
	return c.remote
}

// LocalAddr is where the client has connected to.
func (c *proxyConn) LocalAddr() net.Addr {
	if c.header() != nil || c.local == nil {
		return c.Conn.LocalAddr()
	}
	return c.local
}

// CloseWrite is that of a TCP connection.
func (c *proxyConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn lets see whether more has come, once the header has been read.
func (c *proxyConn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok || c.header() != nil {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}

// readProxy takes the header off r, and not a byte more. Nil addresses mean that the proxy speaks for itself.
func readProxy(r io.Reader) (remote, local net.Addr, err error) {
	raw := make([]byte, proxyPrefix, proxyLine)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNoProxyHeader, err)
	}
	switch {
	case bytes.Equal(raw, proxyproto.SIGV2):
		raw = raw[:proxyFixed]
		if _, err := io.ReadFull(r, raw[proxyPrefix:]); err != nil {
			return nil, nil, err
		}
		rest := int(raw[14])<<8 | int(raw[15])
		if rest > proxyRest {
			return nil, nil, fmt.Errorf("a PROXY header of %d bytes: more than %d", rest, proxyRest)
		}
		raw = append(raw, make([]byte, rest)...)
		if _, err := io.ReadFull(r, raw[proxyFixed:]); err != nil {
			return nil, nil, err
		}
	case bytes.HasPrefix(raw, proxyproto.SIGV1):
		for raw[len(raw)-1] != '\n' {
			if len(raw) == proxyLine {
				return nil, nil, errors.New("a PROXY line without end")
			}
			raw = raw[:len(raw)+1]
			if _, err := io.ReadFull(r, raw[len(raw)-1:]); err != nil {
				return nil, nil, err
			}
		}
	default:
		return nil, nil, errNoProxyHeader
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, nil, err
	}
	source, dest, ok := h.TCPAddrs()
	if h.Command.IsLocal() || !ok { // a health check, or no TCP: the connection's own addresses hold
		return nil, nil, nil
	}
	return source, dest, nil
}
