package link

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

func v2(t testing.TB, from, to string) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	if err := h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("mx.example")}}); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// knock connects to a listener behind a proxy whose address is trusted or not, says text, and returns who was seen and what
// was read.
func knock(t *testing.T, trusted bool, text string) (from, to, said string, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	p := Proxied(l, func(a netip.Addr) bool { return trusted && a == netip.MustParseAddr("127.0.0.1") })
	go func() {
		_ = Accept(ctx, p, slog.New(slog.DiscardHandler), func(c net.Conn) {
			defer close(done)
			defer c.Close()
			from, to = c.RemoteAddr().String(), c.LocalAddr().String()
			b, rerr := io.ReadAll(c)
			said, err = string(b), rerr
		}, nil)
	}()
	c, derr := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if derr != nil {
		t.Fatal(derr)
	}
	defer c.Close()
	_, _ = io.WriteString(c, text)
	_ = c.(*net.TCPConn).CloseWrite()
	<-done
	return from, to, said, err
}

func TestProxied(t *testing.T) {
	const client, server = "198.51.100.7:4025", "192.0.2.25:25"
	const v1 = "PROXY TCP4 198.51.100.7 192.0.2.25 4025 25\r\n"
	for name, c := range map[string]struct {
		trusted    bool
		text, said string
		from, to   string // "": the connection's own
		broken     bool
	}{
		"version 1":        {true, v1 + "EHLO x\r\n", "EHLO x\r\n", client, server, false},
		"version 2":        {true, v2(t, client, server) + "\x16\x03\x01", "\x16\x03\x01", client, server, false},
		"IPv6":             {true, v2(t, "[2001:db8::7]:4025", "[2001:db8::1]:25") + "x", "x", "[2001:db8::7]:4025", "[2001:db8::1]:25", false},
		"health check":     {true, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00QUIT\r\n", "QUIT\r\n", "", "", false},
		"unknown":          {true, "PROXY UNKNOWN\r\nQUIT\r\n", "QUIT\r\n", "", "", false},
		"none":             {true, "EHLO x.example\r\n", "", "", "", true},
		"cut off":          {true, v1[:20], "", "", "", true},
		"nothing":          {true, "", "", "", "", true},
		"line without end": {true, "PROXY TCP4 " + strings.Repeat("1", 200), "", "", "", true},
		"rubbish":          {true, "PROXY TCP4 a b c d\r\nEHLO x\r\n", "", "", "", true},
		"a large one":      {true, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("x", 70_000), "", "", "", true},
		"from a stranger":  {false, v1 + "EHLO x\r\n", v1 + "EHLO x\r\n", "", "", false},
	} {
		from, to, said, err := knock(t, c.trusted, c.text)
		own := strings.HasPrefix(from, "127.0.0.1:") && strings.HasPrefix(to, "127.0.0.1:")
		if said != c.said || (err != nil) != c.broken || c.from == "" && !own || c.from != "" && (from != c.from || to != c.to) {
			t.Errorf("%s: from %s to %s, said %q, %v", name, from, to, said, err)
		}
	}
}

// The header is taken off, and nothing behind it.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 198.51.100.7 192.0.2.25 4025 25\r\nEHLO"))
	f.Add([]byte(v2(f, "198.51.100.7:4025", "192.0.2.25:25") + "EHLO"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		remote, local, err := readProxy(r)
		if err != nil {
			return
		}
		if (remote == nil) != (local == nil) {
			t.Fatalf("half of the addresses: %v, %v", remote, local)
		}
		taken := len(b) - r.Len()
		again := bytes.NewReader(b[:taken])
		if _, _, err := readProxy(again); err != nil || again.Len() != 0 || taken > proxyFixed+proxyRest {
			t.Fatalf("%d bytes taken, %d left of them, %v", taken, again.Len(), err)
		}
	})
}
