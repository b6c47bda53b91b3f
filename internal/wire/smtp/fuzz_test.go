package smtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
)

// cannedConn is a client that has said everything already.
type cannedConn struct {
	in  choppedReader
	out bytes.Buffer
}

func (c *cannedConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *cannedConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (*cannedConn) Close() error                       { return nil }
func (*cannedConn) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (*cannedConn) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }
func (*cannedConn) SetDeadline(time.Time) error        { return nil }
func (*cannedConn) SetReadDeadline(time.Time) error    { return nil }
func (*cannedConn) SetWriteDeadline(t time.Time) error { return nil }

// panics is an Observer that remembers panics.
type panics struct{ seen bool }

func (p *panics) Event(e Event, _ *Peer) { p.seen = p.seen || e == EventPanic }

// FuzzSession says anything to a server: every reply is well formed, every message that it took obeys the rules, every
// session is closed.
func FuzzSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, said []byte, piece uint8, lmtp bool) {
		if bytes.Contains(bytes.ToLower(said), []byte("panic")) {
			return // the test backend's own
		}
		b, seen := &backend{}, &panics{}
		s := NewServer(&Config{Hostname: "mx", Backend: b, LMTP: lmtp, Observer: seen, Limits: Limits{MessageSize: 200, Recipients: 3}})
		conn := &cannedConn{in: choppedReader{text: said, sizes: []int{int(piece) + 1}}}
		s.ServeConn(context.Background(), conn, TLSStart)
		if seen.seen || len(b.stats) != 1 || b.stats[0].Reason == "" {
			t.Fatalf("panic %v, %+v", seen.seen, b.stats)
		}
		replies := bufio.NewReaderSize(&conn.out, maxReplyLine)
		n := 0
		for {
			r, err := readReply(replies)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil || r.Truncated {
				t.Fatalf("reply %d: %v", n, err)
			}
			n++
		}
		if n == 0 {
			t.Fatal("no greeting")
		}
		for _, m := range b.got {
			if violates([]byte(m.body)) || len(m.body) > 200 || len(m.env.Recipients) == 0 || len(m.env.Recipients) > 3 {
				t.Fatalf("took %+v %q", m.env, m.body)
			}
		}
	})
}

// violates is the rule for text, said in the simplest way.
func violates(b []byte) bool {
	rest := bytes.ReplaceAll(b, crlf, nil)
	// What ReplaceAll has joined is not looked at again: "\r\r\n\n" leaves "\r\n".
	return bytes.ContainsAny(rest, "\r\n\x00")
}

// FuzzLine: what line makes of the input in pieces is what splitting the whole at CRLF makes of it.
func FuzzLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, said []byte, piece uint8) {
		in := &input{buf: make([]byte, 4096)}
		feed := choppedReader{text: said, sizes: []int{int(piece) + 1}}
		var got []string
		for {
			line, err := in.line(100, false)
			switch {
			case err != nil && errors.As(err, new(*status.Error)):
				got = append(got, "bad")
				continue
			case err != nil:
				t.Fatal(err)
			case line != nil:
				if name, args := splitCommand(string(line)); name != strings.ToUpper(name) || strings.HasPrefix(args, " ") {
					t.Fatalf("%q %q", name, args)
				}
				got = append(got, string(line))
				continue
			}
			if err := in.fill(&feed); err != nil {
				break
			}
		}
		var want []string
		parts := strings.Split(string(said), "\r\n")
		for _, p := range parts[:len(parts)-1] {
			max := 98
			if len(p) >= 5 && strings.EqualFold(p[:5], "AUTH ") {
				max = 12286
			}
			if len(p) > max || strings.ContainsAny(p, "\r\n\x00") {
				p = "bad"
			}
			want = append(want, p)
		}
		if len(got) == len(want)+1 && got[len(want)] == "bad" { // complained of before its end came
			got = got[:len(want)]
		}
		if strings.Join(got, "\x01") != strings.Join(want, "\x01") {
			t.Fatalf("%q: got %q, want %q", said, got, want)
		}
	})
}

// FuzzParams: what MAIL and RCPT say survives being said again by our client.
func FuzzParams(f *testing.F) {
	f.Fuzz(func(t *testing.T, args string) {
		again := &transfer{Client: &Client{ext: map[string]string{"SIZE": "", "8BITMIME": "", "DSN": "", "SMTPUTF8": ""}}, m: &Outgoing{Size: -1}}
		if path, from, params, err := parsePath(args, "FROM", true); err == nil {
			e := &envelope.Envelope{From: from}
			if mailParams(e, params, 1<<40) == nil && (e.UTF8 || needASCII(path, true) == nil) {
				again.m.Envelope, again.m.Size = e, e.Size
				line := again.mailLine()
				_, from, params, err := parsePath(strings.TrimPrefix(line, "MAIL "), "FROM", true)
				back := &envelope.Envelope{From: from}
				if err != nil || mailParams(back, params, 1<<40) != nil || back.From != e.From || *show2(back) != *show2(e) || !isLine(line) {
					t.Fatalf("%q said again as %q: %+v, %+v, %v", args, line, e, back, err)
				}
			}
		}
		if path, to, params, err := parsePath(args, "TO", false); err == nil && !to.IsZero() {
			r := envelope.Recipient{To: to}
			if rcptParams(&r, params) == nil {
				e := &envelope.Envelope{Recipients: []envelope.Recipient{r}, UTF8: needASCII(path, false) != nil}
				again.m.Envelope = e
				line := again.rcptLine(0)
				_, to, params, err := parsePath(strings.TrimPrefix(line, "RCPT "), "TO", false)
				back := envelope.Recipient{To: to}
				if err != nil || len(line) < 900 && (rcptParams(&back, params) != nil || back != r) || !isLine(line) {
					t.Fatalf("%q said again as %q: %+v, %+v, %v", args, line, r, back, err)
				}
			}
		}
	})
}

func isLine(s string) bool { return !strings.ContainsAny(s, "\r\n\x00") && utf8.ValidString(s) }

// mailFacts is an Envelope without its recipients, comparable.
type mailFacts struct {
	from  address.Address
	body  envelope.Body
	utf8  bool
	size  int64
	ret   envelope.Ret
	envID string
}

func show2(e *envelope.Envelope) *mailFacts {
	return &mailFacts{e.From, e.Body, e.UTF8, e.Size, e.Ret, e.EnvID}
}

// slowDecode is dotSource's specification.
func slowDecode(wire []byte, lax bool) (text, rest []byte, bad, complete bool) {
	for {
		end, size := bytes.Index(wire, crlf), 2
		if lax {
			end, size = bytes.IndexByte(wire, '\n'), 1
			if end > 0 && wire[end-1] == '\r' {
				end, size = end-1, 2
			}
		}
		if end < 0 {
			return text, nil, bad, false
		}
		line := wire[:end]
		wire = wire[end+size:]
		if string(line) == "." {
			return text, wire, bad, true
		}
		bad = bad || bytes.ContainsAny(line, "\r\n\x00")
		text = append(append(text, bytes.TrimPrefix(line, []byte("."))...), crlf...)
	}
}

// FuzzData compares the fast decoders with the slow one.
func FuzzData(f *testing.F) {
	f.Fuzz(func(t *testing.T, wire []byte, piece uint8, lax bool) {
		want, wantRest, bad, complete := slowDecode(wire, lax)
		got, rest, err := decodeAll(wire, int(piece)+1, lax)
		switch {
		case !complete:
			if err == nil || errors.As(err, new(*status.Error)) {
				t.Fatalf("%q ended: %q, %v", wire, got, err)
			}
		case !bytes.Equal(rest, wantRest):
			t.Fatalf("%q: rest %q, want %q", wire, rest, wantRest)
		case bad != (err != nil):
			t.Fatalf("%q: error %v, want %v", wire, err, bad)
		case !bad && !bytes.Equal(got, want):
			t.Fatalf("%q: got %q, want %q", wire, got, want)
		}
		if bytes.IndexByte(got, 0) >= 0 || violates(bytes.TrimSuffix(got, []byte("\r"))) {
			t.Fatalf("%q: handed out %q", wire, got)
		}
	})
}

// FuzzReply: a reply is clean, bounded, and means the same when said again.
func FuzzReply(f *testing.F) {
	f.Fuzz(func(t *testing.T, said []byte) {
		r, err := readReply(bufio.NewReaderSize(bytes.NewReader(said), maxReplyLine))
		if err != nil {
			if r.Code != 0 {
				t.Fatalf("%v with %v", r, err)
			}
			return
		}
		if r.Code < 200 || r.Code > 599 || len(r.Lines) > keptReplyLines || len(r.Text()) > 3*keptReplyBytes+keptReplyLines || !utf8.ValidString(r.Text()) || strings.ContainsAny(r.Text(), "\r\x00\x1b") {
			t.Fatalf("%q gives %+v", said, r)
		}
		if e := r.Status(); (e == nil) != (r.Code < 400) || e != nil && (e.Code != r.Code || int(e.Class) != r.Code/100 || e.Enhanced.Class != e.Class) {
			t.Fatalf("%+v gives %+v", r, e)
		}
		s := &session{}
		s.reply(r.Code, r.Enhanced.String(), r.Text())
		again, err := readReply(bufio.NewReaderSize(bytes.NewReader(s.out), 1<<20))
		if err != nil || again.Code != r.Code || !r.Enhanced.IsZero() && (again.Enhanced != r.Enhanced || again.Text() != r.Text()) {
			t.Fatalf("%+v said again: %+v %v", r, again, err)
		}
	})
}
