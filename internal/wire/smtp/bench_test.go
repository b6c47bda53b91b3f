package smtp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/test/dialogue"
)

// sink is the cheapest Backend.
type sink struct{ n int64 }

func (s *sink) Connect(context.Context, *Peer) (Session, error) { return s, nil }
func (s *sink) Hello(context.Context) error                     { return nil }
func (s *sink) Mail(context.Context, *envelope.Envelope) error  { return nil }
func (s *sink) Reset(context.Context)                           {}
func (s *sink) Close(Stats)                                     {}

// Ready lets pass.
func (s *sink) Ready(context.Context, *envelope.Envelope) error { return nil }

func (s *sink) Rcpt(context.Context, *envelope.Envelope, *envelope.Recipient) error { return nil }
func (s *sink) Data(_ context.Context, _ *envelope.Envelope, body io.Reader) (string, error) {
	n, err := io.Copy(io.Discard, body)
	s.n += n
	return "Ok", err
}

// sample is n octets of lines of 76.
func sample(n int) []byte {
	line := strings.Repeat("Lorem ips.", 8)[:76] + "\r\n"
	return bytes.Repeat([]byte(line), n/len(line)+1)[:n/len(line)*len(line)]
}

// BenchmarkDotSource decodes DATA, 1 MiB at a time.
func BenchmarkDotSource(b *testing.B) {
	wire := append(sample(1<<20), ".\r\n"...)
	in := &input{buf: make([]byte, largeInput)}
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	feed := bytes.NewReader(wire)
	fill := func() error { return in.fill(feed) }
	for b.Loop() {
		feed.Reset(wire)
		d := dotSource{in: in, fill: fill}
		for {
			if _, err := d.next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDotWriter encodes DATA.
func BenchmarkDotWriter(b *testing.B) {
	text, buf := sample(1<<20), make([]byte, 0, dotBuffer)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		w := newDotWriter(io.Discard, buf)
		if _, err := w.Write(text); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTransaction is one message of 10 KiB through a server, pipelined, without a network.
func BenchmarkTransaction(b *testing.B) {
	s := NewServer(&Config{Hostname: "mx", Backend: &sink{}, Limits: Limits{Messages: 1 << 40, Commands: 1 << 40}})
	one := append([]byte("MAIL FROM:<a@example.org> SIZE=10240\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"), sample(10<<10)...)
	one = append(one, ".\r\n"...)
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	conn := &loopConn{one: one, left: b.N}
	b.ResetTimer()
	s.ServeConn(context.Background(), conn, TLSStart)
}

// loopConn says EHLO and then the same transaction again and again.
type loopConn struct {
	cannedConn
	one  []byte
	at   int
	left int
	said bool
}

func (c *loopConn) Write(p []byte) (int, error) { return len(p), nil }
func (c *loopConn) Read(p []byte) (int, error) {
	if !c.said {
		c.said = true
		return copy(p, "EHLO c\r\n"), nil
	}
	if c.at == len(c.one) {
		if c.left--; c.left <= 0 {
			return 0, io.EOF
		}
		c.at = 0
	}
	n := copy(p, c.one[c.at:])
	c.at += n
	return n, nil
}

// BenchmarkClientToServer is one message of 10 KiB from our client to our server over a pipe.
func BenchmarkClientToServer(b *testing.B) {
	for _, opt := range []ClientOptions{{NoChunking: true}, {}} {
		b.Run(map[bool]string{true: "DATA", false: "BDAT"}[opt.NoChunking], func(b *testing.B) {
			s := NewServer(&Config{Hostname: "mx", Backend: &sink{}, Limits: Limits{Messages: 1 << 40, Commands: 1 << 40}})
			client, server := dialogue.Pipe()
			go s.ServeConn(context.Background(), server, TLSStart)
			opt.Hello = "me.example"
			c := NewClient(client, opt)
			if err := c.Hello(context.Background()); err != nil {
				b.Fatal(err)
			}
			text, e := sample(10<<10), env("a@example.org", "b@example.test")
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if got, err := c.Send(context.Background(), &Outgoing{Envelope: e, Body: bytes.NewReader(text), Size: int64(len(text))}); err != nil || !got[0].Accepted() {
					b.Fatal(got, err)
				}
			}
			c.Close()
		})
	}
}

// TestIdleConnectionIsSmall: what a connection costs that waits between two messages, with its goroutine; the pipe's own
// buffers are taken off.
func TestIdleConnectionIsSmall(t *testing.T) {
	const n = 200
	measure := func(serve bool) uint64 {
		s := NewServer(&Config{Hostname: "mx", Backend: &sink{}, Limits: Limits{PerAddress: n}})
		before := heap()
		var conns []net.Conn
		for range n {
			client, server := dialogue.Pipe()
			conns = append(conns, client, server)
			if !serve {
				fmt.Fprint(client, "x")
				fmt.Fprint(server, "x")
				continue
			}
			go s.ServeConn(context.Background(), server, TLSStart)
			c := NewClient(client, ClientOptions{Hello: "me.example"})
			if err := c.Hello(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Send(context.Background(), &Outgoing{Envelope: env("a@example.org", "b@example.test"), Body: strings.NewReader("x\r\n"), Size: 3}); err != nil {
				t.Fatal(err)
			}
		}
		after := heap()
		for _, c := range conns {
			c.Close()
		}
		return after - before
	}
	bare := measure(false)
	per := (measure(true) - bare) / n
	t.Logf("%d octets a connection", per)
	if per > 20<<10 {
		t.Errorf("an idle connection costs %d octets", per)
	}
}

// heap is what lives on the heap and on stacks after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// TestLargeMessageNeedsNoMemory: 50 MiB go through with the buffers of a small one.
func TestLargeMessageNeedsNoMemory(t *testing.T) {
	text := append([]byte("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"), sample(50<<20-100)...)
	text = append(text, ".\r\n"...)
	b := &sink{}
	s := NewServer(&Config{Hostname: "mx", Backend: b})
	var before, after runtime.MemStats
	conn := &loopConn{one: text, left: 1}
	runtime.ReadMemStats(&before)
	s.ServeConn(context.Background(), conn, TLSStart)
	runtime.ReadMemStats(&after)
	if d := after.TotalAlloc - before.TotalAlloc; d > 256<<10 || b.n < 49<<20 {
		t.Errorf("%d octets allocated for a message of %d", d, b.n)
	}
}
