package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

func addr(s string) address.Address {
	a, _, err := address.ParsePath("<"+s+">", true)
	if err != nil {
		panic(err)
	}
	return a
}

func env(from string, to ...string) *envelope.Envelope {
	e := &envelope.Envelope{From: addr(from)}
	for _, t := range to {
		e.Recipients = append(e.Recipients, envelope.Recipient{To: addr(t)})
	}
	return e
}

func show(results []Outcome, err error) string {
	var b strings.Builder
	for _, o := range results {
		fmt.Fprintf(&b, "%s %s; ", o.Phase, o.Reply)
	}
	if err != nil {
		fmt.Fprintf(&b, "error %v", err)
	}
	return strings.TrimSpace(b.String())
}

// TestClientDialogues turns the dialogue round: "C:" lines are said by us as the server, "S:" lines are what the client
// under test must say.
func TestClientDialogues(t *testing.T) {
	const greet = "C: 220 mx\nS: EHLO me.example\n"
	const all = greet + "C> 250-mx\\r\\n250-PIPELINING\\r\\n250-SIZE 1000000\\r\\n250-8BITMIME\\r\\n250-DSN\\r\\n250 SMTPUTF8\\r\\n\n"
	full := env("a@example.org", "b@example.test")
	full.Body, full.Ret, full.EnvID = envelope.Body8BitMIME, envelope.RetHeaders, "Q=1 +"
	full.Recipients[0].Notify, full.Recipients[0].ORcpt = envelope.NotifySuccess|envelope.NotifyDelay, "rfc822;b+c@example.com"
	utf8 := env("zoë@example.org", "b@example.test")
	utf8.UTF8 = true
	utf8.Recipients[0].ORcpt = "utf-8;ζ +@example.com"
	body := "x\r\n.y\r\n"
	for _, c := range []struct {
		name, script string
		opt          ClientOptions
		env          *envelope.Envelope
		body         io.Reader
		size         int64
		want         string
	}{
		{name: "plain server, HELO", script: "C: 220-mx\nC: 220 ready\nS: EHLO me.example\nC: 502 what\nS: HELO me.example\nC: 250 mx\nS: MAIL FROM:<a@example.org>\nC: 250 ok\nS: RCPT TO:<b@example.test>\nC: 250 ok\nS: DATA\nC: 354 go\nS> x\\r\\n..y\\r\\n.\\r\\n\nC: 250 2.0.0 Ok: queued as 1\nS: QUIT\nC: 221 bye\nS-close",
			env: full, want: "end 250 2.0.0 Ok: queued as 1;"},
		{name: "everything in one group", script: all + "S: MAIL FROM:<a@example.org> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=Q+3D1+20+2B\nS: RCPT TO:<b@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@example.com\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n354 go\\r\\n\nS> x\\r\\n..y\\r\\n.\\r\\n\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: full, size: 7, want: "end 250 ok;"},
		{name: "SMTPUTF8", script: all + "S: MAIL FROM:<zoë@example.org> SMTPUTF8\nS: RCPT TO:<b@example.test> ORCPT=utf-8;ζ\\x{20}\\x{2B}@example.com\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n354 go\\r\\n\nS> x\\r\\n..y\\r\\n.\\r\\n\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: utf8, want: "end 250 ok;"},
		{name: "SMTPUTF8 not there", script: greet + "C: 250 mx\nS: QUIT\nC: 221 bye\nS-close",
			env: utf8, want: "; error 550 5.6.7 Addresses or header need SMTPUTF8, which the next server does not take"},
		{name: "8-bit is sent as it is", script: greet + "C: 250 mx\nS: MAIL FROM:<a@example.org>\nC: 250 ok\nS: RCPT TO:<b@example.test>\nC: 250 ok\nS: DATA\nC: 354 go\nS: ü\nS: .\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: full, body: strings.NewReader("ü\r\n"), want: "end 250 ok;"},
		{name: "8-bit, strict", script: greet + "C: 250 mx\nS: QUIT\nC: 221 bye\nS-close", opt: ClientOptions{Strict8Bit: true},
			env: full, want: "; error 554 5.6.3 Message has 8-bit text, which the next server does not take"},
		{name: "too large", script: greet + "C> 250-mx\\r\\n250 SIZE 100\\r\\n\nS: QUIT\nC: 221 bye\nS-close",
			env: full, size: 101, want: "; error 552 5.3.4 Message is larger than the next server takes"},
		{name: "one of two", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: RCPT TO:<c@example.test>\nS: DATA\nC> 250 ok\\r\\n550-5.1.1 no\\r\\n550 5.1.1 such user\\r\\n250 ok\\r\\n354 go\\r\\n\nS> x\\r\\n..y\\r\\n.\\r\\n\nC: 451 4.7.1 later\nS: QUIT\nC: 221 bye\nS-close",
			env: env("", "b@example.test", "c@example.test"), want: "rcpt 550 5.1.1 no\nsuch user; end 451 4.7.1 later;"},
		{name: "nobody, but 354", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 250 ok\\r\\n550 no\\r\\n354 go\\r\\n\nS: .\nC: 554 nobody\nS: RSET\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: env("", "b@example.test"), want: "rcpt 550 no;"},
		{name: "sender refused", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 550 5.7.1 not you\\r\\n503 no\\r\\n503 no\\r\\n\nS: RSET\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: env("", "b@example.test"), want: "mail 550 5.7.1 not you;"},
		{name: "DATA refused", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n451 no\\r\\n\nS: RSET\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: env("", "b@example.test"), want: "data 451 no;"},
		{name: "421 at RCPT", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: RCPT TO:<c@example.test>\nS: DATA\nC> 250 ok\\r\\n421 4.3.2 going down\\r\\n\nS-close",
			env: env("", "b@example.test", "c@example.test"), want: "rcpt 421 4.3.2 going down;  0 ; error smtp: rcpt: smtp: the server closed with 421"},
		{name: "lost before the end", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n\nC-close",
			env: env("", "b@example.test"), want: "0 ; error smtp: data: unexpected EOF"},
		{name: "lost after the dot", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n354 go\\r\\n\nS> x\\r\\n..y\\r\\n.\\r\\n\nC-close",
			env: env("", "b@example.test"), want: "0 ; error smtp: end: unexpected EOF"},
		{name: "silence after the dot", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n354 go\\r\\n\nS> x\\r\\n..y\\r\\n.\\r\\n\nsleep 9m\nS-silent\nsleep 2m\nS-close",
			env: env("", "b@example.test"), want: "0 ; error smtp: end: i/o timeout"},
		{name: "the message breaks", script: all + "S: MAIL FROM:<>\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n354 go\\r\\n\nS-close",
			env: env("", "b@example.test"), body: iotest.ErrReader(errors.New("disk")), want: "0 ; error smtp: data: disk"},
		{name: "the message is short", script: all + "S: MAIL FROM:<> SIZE=9\nS: RCPT TO:<b@example.test>\nS: DATA\nC> 250 ok\\r\\n250 ok\\r\\n354 go\\r\\n\nS-close",
			env: env("", "b@example.test"), size: 9, want: "0 ; error smtp: data: smtp: message gave another number of octets than announced"},
		{name: "chunking", script: greet + "C> 250-mx\\r\\n250 CHUNKING\\r\\n\nS: MAIL FROM:<>\nC: 250 ok\nS: RCPT TO:<b@example.test>\nC: 250 ok\nS> BDAT 7 LAST\\r\\nx\\r\\n.y\\r\\n\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: env("", "b@example.test"), size: 7, want: "end 250 ok;"},
		{name: "chunking, the message is long", script: greet + "C> 250-mx\\r\\n250 CHUNKING\\r\\n\nS: MAIL FROM:<>\nC: 250 ok\nS: RCPT TO:<b@example.test>\nC: 250 ok\nS-close",
			env: env("", "b@example.test"), size: 6, want: "0 ; error smtp: data: smtp: message gave another number of octets than announced"},
		{name: "chunking, nobody", script: greet + "C> 250-mx\\r\\n250 CHUNKING\\r\\n\nS: MAIL FROM:<>\nC: 250 ok\nS: RCPT TO:<b@example.test>\nC: 550 no\nS: RSET\nC: 250 ok\nS: QUIT\nC: 221 bye\nS-close",
			env: env("", "b@example.test"), size: 7, want: "rcpt 550 no;"},
		{name: "LMTP", opt: ClientOptions{LMTP: true}, script: "C: 220 mx\nS: LHLO me.example\nC: 250 mx\nS: MAIL FROM:<>\nC: 250 ok\nS: RCPT TO:<b@example.test>\nC: 250 ok\nS: RCPT TO:<c@example.test>\nC: 550 no\nS: RCPT TO:<d@example.test>\nC: 250 ok\nS: DATA\nC: 354 go\nS> x\\r\\n..y\\r\\n.\\r\\n\nC: 250 first\nC: 452 4.2.2 full\nS: QUIT\nC: 221 bye\nS-close",
			env: env("", "b@example.test", "c@example.test", "d@example.test"), want: "end 250 first; rcpt 550 no; end 452 4.2.2 full;"},
		{name: "greeting refused", script: "C: 554 5.7.1 go\nS: QUIT\nC: 221 bye\nS-close", env: full, want: "error smtp: greeting: 554 5.7.1 go"},
		{name: "not SMTP", script: "C: HTTP/1.0 400 Bad\nS-close", env: full, want: "error smtp: greeting: smtp: malformed reply: \"HTTP/1.0 400 Bad\\r\\n\""},
		{name: "mixed codes", script: "C> 220-mx\\r\\n250 mx\\r\\n\nS-close", env: full, want: "error smtp: greeting: smtp: malformed reply: \"250 mx\\r\\n\""},
		{name: "endless reply", script: "C*20001> 220-x\\r\\n\nS-close", env: full, want: "error smtp: greeting: smtp: malformed reply: too long"},
		{name: "endless line", script: "C*1000> 220-x\nS-close", env: full, want: "error smtp: greeting: smtp: malformed reply: too long"},
		{name: "no greeting", script: "S-silent\nsleep 5m1s\nS-close", env: full, want: "error smtp: greeting: i/o timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got := ""
				dialogue.Play(t, dialogue.Script{Name: c.name, Text: c.script, Serve: func(conn net.Conn) {
					c.opt.Hello = "me.example"
					cl := NewClient(conn, c.opt)
					defer cl.Quit(context.Background())
					if err := cl.Hello(context.Background()); err != nil {
						got = show(nil, err)
						return
					}
					if c.body == nil {
						c.body = strings.NewReader(body)
					}
					if c.size == 0 {
						c.size = -1
					}
					got = show(cl.Send(context.Background(), &Outgoing{Envelope: c.env, Body: c.body, Size: c.size}))
				}})
				if strings.HasPrefix(c.want, "; ") {
					got = got[strings.Index(got, "; "):]
				}
				if got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		})
	}
}

func TestClientSTARTTLSInjection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dialogue.Play(t, dialogue.Script{Name: "injection", Text: "C: 220 mx\nS: EHLO me.example\nC: 250 mx\nS: STARTTLS\nC> 220 go\\r\\n250 evil\\r\\n\nS-close", Serve: func(conn net.Conn) {
			cl := NewClient(conn, ClientOptions{Hello: "me.example"})
			defer cl.Close()
			if err := cl.Hello(t.Context()); err != nil {
				t.Error(err)
			}
			if err := cl.StartTLS(t.Context(), &tls.Config{ServerName: "mx"}); err == nil || cl.Usable() || cl.TLS() != nil {
				t.Errorf("%v", err)
			}
		}})
	})
}

func TestClientRefusesAuthInTheClear(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dialogue.Play(t, dialogue.Script{Name: "clear", Text: "C: 220 mx\nS: EHLO me.example\nC> 250-mx\\r\\n250 AUTH PLAIN\\r\\n\nS: QUIT\nC: 221 bye\nS-close", Serve: func(conn net.Conn) {
			cl := NewClient(conn, ClientOptions{Hello: "me.example"})
			if err := cl.Hello(t.Context()); err != nil {
				t.Error(err)
			}
			if err := cl.Auth(t.Context(), sasl.Credentials{Name: "user", Password: "pencil"}); err == nil {
				t.Error("a password went out in the clear")
			}
			cl.Quit(t.Context())
		}})
	})
}

func TestClientContextBreaksTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client, server := dialogue.Pipe()
		defer server.Close()
		cl := NewClient(client, ClientOptions{Hello: "me.example"})
		defer cl.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := cl.Hello(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// dialServer connects a Client to a Server, with TLS and AUTH if asked, and says Hello.
func dialServer(t testing.TB, s *Server, opt ClientOptions) *Client {
	client, server := dialogue.Pipe()
	go s.ServeConn(context.Background(), server, TLSStart)
	opt.Hello = "me.example"
	cl := NewClient(client, opt)
	if err := cl.Hello(context.Background()); err != nil {
		t.Fatal(err)
	}
	return cl
}

func TestClientAgainstServerWithTLSAndAuth(t *testing.T) {
	for _, mechs := range [][]string{nil, {sasl.Plain}, {sasl.Login}} {
		b := &backend{}
		s := testServer(t, "submission", b, func(c *Config) { c.Auth = sasl.NewServer(b, sasl.Options{Mechanisms: mechs}) })
		cl := dialServer(t, s, ClientOptions{})
		if err := cl.StartTLS(context.Background(), &tls.Config{InsecureSkipVerify: true}); err != nil {
			t.Fatal(err)
		}
		err := cl.Auth(context.Background(), sasl.Credentials{Name: "user", Password: "wrong"})
		if !status.IsPermanent(err) || status.Of(err).Code != 535 {
			t.Fatalf("%v: %v", mechs, err)
		}
		if err := cl.Auth(context.Background(), sasl.Credentials{Name: "user", Password: "pencil"}); err != nil {
			t.Fatalf("%v: %v", mechs, err)
		}
		if cl.Limit("RCPTMAX") != 3 || cl.Limit("MAILMAX") != 5 || cl.Limit("RCPTDOMAINMAX") != 0 || cl.MaxSize() != 1000 {
			t.Fatal(cl.Greeting)
		}
		for range 3 { // several messages
			if err := cl.Noop(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := show(cl.Send(context.Background(), &Outgoing{Envelope: env("a@example.org", "b@example.test", "unknown@example.test"), Body: strings.NewReader("hi\r\n"), Size: 4}))
			if want := "end 250 2.0.0 Ok: ESMTPSA <a@example.org> -> <b@example.test> \"hi\\r\\n\"; rcpt 550 5.1.1 No such user;"; got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
		}
		if err := cl.Reset(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := cl.Quit(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}
