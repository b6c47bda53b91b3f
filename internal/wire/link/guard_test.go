package link

import (
	"io"
	"net"
	"net/netip"
	"testing"
)

// TestGuarded: who is refused reads the farewell and the end; the next one is served.
func TestGuarded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := netip.MustParseAddr("127.0.0.66")
	g := Guarded(l, func(a netip.Addr) (string, bool) { return "go away\r\n", a == refused })
	defer g.Close()
	served := make(chan string, 1)
	go func() {
		c, err := g.Accept()
		if err != nil {
			served <- err.Error()
			return
		}
		served <- AddrPort(c.RemoteAddr()).Addr().String()
		_ = c.Close()
	}()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: refused.AsSlice()}}
	away, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	if got, err := io.ReadAll(away); err != nil || string(got) != "go away\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := <-served; got != "127.0.0.1" {
		t.Error(got)
	}
}
