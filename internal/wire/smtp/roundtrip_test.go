package smtp

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/test/dialogue"
	"pgregory.net/rapid"
)

// choppedConn reads and writes in pieces of random size.
type choppedConn struct {
	net.Conn
	sizes []int
	n     int
}

func (c *choppedConn) size(max int) int {
	c.n++
	return min(max, c.sizes[c.n%len(c.sizes)])
}

func (c *choppedConn) Read(p []byte) (int, error) {
	return c.Conn.Read(p[:c.size(len(p))])
}

// choppedReader gives a message in pieces of random size.
type choppedReader struct {
	text  []byte
	sizes []int
	n     int
}

func (c *choppedReader) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	c.n++
	n := copy(p, c.text[:min(len(c.text), c.sizes[c.n%len(c.sizes)])])
	c.text = c.text[n:]
	return n, nil
}

// Messages of awkward lines go from our client to our server by DATA and by BDAT, byte for byte, whatever the pieces.
func TestRoundTrip(t *testing.T) {
	line := rapid.SampledFrom([]string{"", ".", "..", ".\t", "x", "x.", "Subject: x", strings.Repeat("long ", 300), "\x80\xff", " .", "\t"})
	rapid.Check(t, func(rt *rapid.T) {
		messages := rapid.SliceOfN(rapid.SliceOfN(line, 0, 40), 1, 3).Draw(rt, "messages")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 100), 1, 8).Draw(rt, "sizes")
		opt := ClientOptions{Hello: "me.example", NoChunking: rapid.Bool().Draw(rt, "data"), NoPipelining: rapid.Bool().Draw(rt, "slow")}
		b := &backend{}
		s := NewServer(&Config{Hostname: "mx", Backend: b})
		client, server := dialogue.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ServeConn(context.Background(), &choppedConn{Conn: server, sizes: sizes}, TLSStart)
		}()
		c := NewClient(client, opt)
		if err := c.Hello(context.Background()); err != nil {
			rt.Fatal(err)
		}
		for _, lines := range messages {
			text := []byte(strings.Join(append(lines, ""), "\r\n"))
			got, err := c.Send(context.Background(), &Outgoing{Envelope: env("a@example.org", "b@example.test"), Body: &choppedReader{text: text, sizes: sizes}, Size: int64(len(text))})
			if err != nil || !got[0].Accepted() {
				rt.Fatal(got, err)
			}
			if have := b.got[len(b.got)-1].body; have != string(text) {
				rt.Fatalf("sent %q, arrived %q", text, have)
			}
		}
		if err := c.Quit(context.Background()); err != nil {
			rt.Fatal(err)
		}
		<-done
	})
}

// What dotWriter writes, whatever it is given, a strict server takes as one message with repaired line ends.
func TestDotWriterRepairs(t *testing.T) {
	piece := rapid.SampledFrom([]string{"\r", "\n", ".", "x", "\r\n", "\r\n.\r\n", "yz"})
	rapid.Check(t, func(rt *rapid.T) {
		pieces := rapid.SliceOfN(piece, 0, 30).Draw(rt, "pieces")
		text := strings.Join(pieces, "")
		var wire bytes.Buffer
		w := newDotWriter(&wire, make([]byte, 0, 16))
		for _, p := range pieces {
			if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
				rt.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		want := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n", "\r\n")
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		wire.WriteString("NOOP")
		got, rest, err := decodeAll(wire.Bytes(), 7, false)
		if err != nil || string(got) != want || string(rest) != "NOOP" {
			rt.Fatalf("%q on the wire %q: got %q want %q, rest %q, %v", text, wire.Bytes(), got, want, rest, err)
		}
	})
}

// decodeAll runs a dotSource (or laxSource) over wire, fed in pieces of n octets, to the end of data or of wire.
func decodeAll(wire []byte, n int, lax bool) (text, rest []byte, err error) {
	in := &input{buf: make([]byte, max(n, 3)+2)}
	feed := &choppedReader{text: wire, sizes: []int{n}}
	dots := dotSource{in: in, fill: func() error {
		err := in.fill(feed)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}}
	var src source = &dots
	if lax {
		src = &laxSource{dotSource: dots}
	}
	b := &body{source: src, max: 1 << 40}
	var out bytes.Buffer
	_, err = b.WriteTo(&out)
	violation, broken := b.drain(1 << 40)
	if broken != nil {
		return out.Bytes(), nil, broken
	}
	if violation != nil {
		err = violation
	}
	return out.Bytes(), append(append([]byte(nil), in.window()...), feed.text...), err
}

// Another implementation's client sends to our server.
func TestGoSMTPClient(t *testing.T) {
	b := &backend{}
	s := testServer(t, "submission", b, func(c *Config) { c.Limits.MessageSize = 1 << 20 })
	tlsConfig, clientTLS := dialogue.TLS(t)
	next := *s.config.Load()
	next.TLS = tlsConfig
	s.SetConfig(&next)
	client, server := dialogue.Pipe()
	go s.ServeConn(context.Background(), server, TLSStart)
	c, err := gosmtp.NewClientStartTLS(client, clientTLS)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(sasl.NewPlainClient("", "user", "pencil")); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("Subject: x\r\n\r\n.dot\r\n..\r\n", 1000)
	for range 2 {
		if err := c.Mail("a@example.org", &gosmtp.MailOptions{Size: int64(len(text)), EnvelopeID: "id+1", Return: gosmtp.DSNReturnHeaders}); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt("b@example.test", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyFailure}, OriginalRecipientType: gosmtp.DSNAddressTypeRFC822, OriginalRecipient: "x@example.net"}); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt("unknown@example.test", nil); err == nil || !strings.Contains(err.Error(), "No such user") {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Noop(); err != nil {
		t.Fatal(err)
	}
	_ = c.Quit() // complains that the server was first to close
	for _, m := range b.got {
		if m.body != text || m.env.EnvID != "id+1" || m.env.Ret != envelope.RetHeaders || m.env.Recipients[0].ORcpt != "rfc822;x@example.net" || m.peer.Identity.Account != 7 {
			t.Fatalf("%+v, %d octets", m.env, len(m.body))
		}
	}
}

// their is a go-smtp backend.
type their struct {
	got  []string
	from []string
	ids  []string
}

type theirSession struct {
	t  *their
	to []string
}

func (t *their) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &theirSession{t: t}, nil }
func (s *theirSession) Reset()                                   { s.to = nil }
func (s *theirSession) Logout() error                            { return nil }
func (s *theirSession) Mail(from string, o *gosmtp.MailOptions) error {
	s.t.from = append(s.t.from, from)
	s.t.ids = append(s.t.ids, o.EnvelopeID)
	return nil
}
func (s *theirSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "unknown") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
	}
	s.to = append(s.to, to)
	return nil
}
func (s *theirSession) Data(r io.Reader) error {
	all, err := io.ReadAll(r)
	s.t.got = append(s.t.got, string(all))
	return err
}
func (s *theirSession) LMTPData(r io.Reader, status gosmtp.StatusCollector) error {
	err := s.Data(r)
	for _, to := range s.to {
		if strings.HasPrefix(to, "late") {
			status.SetStatus(to, &gosmtp.SMTPError{Code: 452, EnhancedCode: gosmtp.EnhancedCode{4, 2, 2}, Message: "full"})
		} else {
			status.SetStatus(to, err)
		}
	}
	return nil
}

// Our client sends to another implementation's server: DATA, BDAT, LMTP.
func TestGoSMTPServer(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  ClientOptions
	}{{"data", ClientOptions{NoChunking: true}}, {"bdat", ClientOptions{}}, {"lmtp", ClientOptions{LMTP: true}}, {"slow", ClientOptions{NoPipelining: true}}} {
		t.Run(c.name, func(t *testing.T) {
			b := &their{}
			s := gosmtp.NewServer(b)
			s.Domain, s.LMTP, s.EnableDSN = "mx", c.opt.LMTP, true
			l := dialogue.Listen()
			go s.Serve(l)
			defer s.Close()
			conn, err := l.Dial()
			if err != nil {
				t.Fatal(err)
			}
			c.opt.Hello = "me.example"
			c.opt.Timeouts = ClientTimeouts{Command: 10 * time.Second}
			cl := NewClient(conn, c.opt)
			if err := cl.Hello(t.Context()); err != nil {
				t.Fatal(err)
			}
			text := strings.Repeat("x\r\n.dot\r\n..\r\n", 20000)
			for range 2 {
				e := env("a@example.org", "b@example.test", "unknown@example.test", "late@example.test")
				e.EnvID = "id+1"
				got, err := cl.Send(t.Context(), &Outgoing{Envelope: e, Body: strings.NewReader(text), Size: int64(len(text))})
				if err != nil || !got[0].Accepted() || got[1].Phase != PhaseRcpt || got[1].Reply.Code != 550 || got[2].Accepted() == c.opt.LMTP {
					t.Fatal(show(got, err))
				}
			}
			if err := cl.Quit(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range b.got {
				if b.got[i] != text || b.from[i] != "a@example.org" || b.ids[i] != "id+1" {
					t.Fatalf("%d octets from %s, %s", len(b.got[i]), b.from[i], b.ids[i])
				}
			}
			if len(b.got) != 2 {
				t.Fatal(len(b.got))
			}
		})
	}
}
