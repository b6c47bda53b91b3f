package mta

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/wire/smtp"
	"github.com/postrider/postrider/test/dialogue"
)

// patience is all that a host in these tests gets: they take real time, since the sockets are real.
const patience = 400 * time.Millisecond

// peer is a host that does as it likes, on a real socket.
type peer func(c *talk)

// talk is one connection of a peer. Its methods tell whether the other side is still there.
type talk struct {
	net.Conn
	in *bufio.Reader
}

func (c *talk) say(s string) bool {
	_, err := c.Write([]byte(strings.ReplaceAll(s, "\n", "\r\n") + "\r\n"))
	return err == nil
}

// hear reads until a line that begins with a prefix.
func (c *talk) hear(prefix string) bool {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
}

// hang reads on until the other side has gone.
func (c *talk) hang() {
	for {
		if _, err := c.in.ReadByte(); err != nil {
			return
		}
	}
}

// until greets, and takes all commands up to one, which it hears.
func (c *talk) until(command string, extensions ...string) bool {
	if !c.say("220 mx") {
		return false
	}
	lines := append([]string{"mx"}, extensions...)
	for i := range lines {
		lines[i] = "250-" + lines[i]
	}
	hello := strings.Join(lines, "\n") + "\n250 8BITMIME"
	for _, step := range []struct{ command, reply string }{{"EHLO", hello}, {"MAIL", "250 ok"}, {"RCPT", "250 ok"}, {"DATA", "354 go"}, {".\r\n", ""}} {
		if !c.hear(step.command) {
			return false
		}
		if step.command == command {
			return true
		}
		if !c.say(step.reply) {
			return false
		}
	}
	return true
}

// lines is a reply of many lines.
func lines(code string, n int) string {
	return strings.Repeat(code+"-line\n", n-1) + code + " end"
}

// well takes the message.
func well(c *talk) {
	if c.until(".\r\n") && c.say("250 2.0.0 queued") {
		c.hang()
	}
}

// peers listens for two hosts on the loopback, and dials what the zone calls one.example and two.example.
func peers(t *testing.T, one, two peer) func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
	t.Helper()
	at := map[string]string{}
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // once the listeners below are closed
	for addr, p := range map[string]peer{"192.0.2.1:25": one, "192.0.2.2:25": two} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at[addr] = l.Addr().String()
		running.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() {
					defer c.Close()
					p(&talk{c, bufio.NewReader(c)})
				})
			}
		})
		t.Cleanup(func() { _ = l.Close() })
	}
	return func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
		return dial(ctx, from, netip.MustParseAddrPort(at[to.String()]))
	}
}

// TestTrouble has the first host of a domain misbehave in every way; the second is well. What counts: the mail goes to the
// second host, or waits where its fate is open, and is never taken for sent or failed because a host is broken.
func TestTrouble(t *testing.T) {
	good, client := dialogue.TLS(t, "one.example")
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	const (
		second  = "relayed two.example"
		open    = "deferred one.example"
		taken   = "relayed one.example"
		refusal = "failed one.example"
	)
	secure := func(after func(c *talk)) peer {
		return func(c *talk) {
			if c.say("220 mx") && c.hear("EHLO") && c.say("250-mx\n250 STARTTLS") && c.hear("STARTTLS") {
				after(c)
			}
		}
	}
	type trouble struct {
		name  string
		level TLS
		large bool
		host  peer
		want  string
	}
	cases := []trouble{
		{name: "hangs before the greeting", host: func(c *talk) { c.hang() }, want: second},
		{name: "hangs in the greeting", host: func(c *talk) { _, _ = c.Write([]byte("220-mx\r\n220-")); c.hang() }, want: second},
		{name: "hangs at EHLO", host: func(c *talk) { c.say("220 mx"); c.hang() }, want: second},
		{name: "hangs at MAIL", host: func(c *talk) { c.until("MAIL"); c.hang() }, want: second},
		{name: "hangs at RCPT", host: func(c *talk) { c.until("RCPT"); c.hang() }, want: second},
		{name: "hangs at DATA", host: func(c *talk) { c.until("DATA"); c.hang() }, want: second},
		{name: "takes nothing of a large message", large: true, host: func(c *talk) { c.until("DATA"); c.say("354 go"); time.Sleep(3 * patience) }, want: second},
		{name: "hangs behind the final dot", host: func(c *talk) { c.until(".\r\n"); c.hang() }, want: open},
		{name: "hangs in the reply to the message", host: func(c *talk) { c.until(".\r\n"); _, _ = c.Write([]byte("250-")); c.hang() }, want: open},

		{name: "closes at once", host: func(*talk) {}, want: second},
		{name: "closes at MAIL", host: func(c *talk) { c.until("MAIL") }, want: second},
		{name: "closes at DATA", host: func(c *talk) { c.until("DATA") }, want: second},
		{name: "closes in the midst of a large message", large: true, host: func(c *talk) { c.until("DATA"); c.say("354 go"); c.hear("line") }, want: second},
		{name: "421 in the midst of a large message", large: true, host: func(c *talk) {
			c.until("DATA")
			c.say("354 go")
			c.hear("line")
			c.say("421 4.3.2 shutting down")
		}, want: second},
		{name: "closes behind the final dot", host: func(c *talk) { c.until(".\r\n") }, want: open},
		{name: "421 behind the final dot", host: func(c *talk) { c.until(".\r\n"); c.say("421 4.3.2 shutting down") }, want: second},
		{name: "takes the message and closes", host: func(c *talk) { c.until(".\r\n"); c.say("250 2.0.0 queued") }, want: taken},

		{name: "garbage for a greeting", host: func(c *talk) { c.say("\x00\x01\xff\xfe\n\n"); c.hang() }, want: second},
		{name: "speaks HTTP", host: func(c *talk) { c.say("HTTP/1.1 400 Bad Request\n\n<html>"); c.hang() }, want: second},
		{name: "garbage for EHLO", host: func(c *talk) { c.say("220 mx"); c.hear("EHLO"); c.say("2\x80\x00-\n250"); c.hang() }, want: second},
		{name: "garbage for RCPT", host: func(c *talk) { c.until("RCPT"); c.say("ok, fine"); c.hang() }, want: second},
		{name: "codes that differ", host: func(c *talk) { c.until("RCPT"); c.say("250-ok\n550 no"); c.hang() }, want: second},
		{name: "a code that there is not", host: func(c *talk) { c.until("RCPT"); c.say("650 what"); c.hang() }, want: second},
		{name: "garbage behind the final dot", host: func(c *talk) { c.until(".\r\n"); c.say("thanks"); c.hang() }, want: open},
		{name: "354 for the message", host: func(c *talk) { c.until(".\r\n"); c.say("354 more"); c.hang() }, want: second},
		{name: "a line without end", host: func(c *talk) { _, _ = c.Write([]byte("220 " + strings.Repeat("x", 100_000))); c.hang() }, want: second},
		{name: "a greeting without end", host: func(c *talk) {
			for c.say(strings.TrimSuffix(strings.Repeat("220-more\n", 1000), "\n")) {
			}
		}, want: second},

		{name: "10,000 lines for EHLO", host: func(c *talk) { c.say("220 mx"); c.hear("EHLO"); c.say(lines("250", 10_000)); c.hear("DATA"); c.hang() }, want: second},
		{name: "10,000 lines that refuse", host: func(c *talk) { c.until("RCPT"); c.say(lines("550", 10_000)); c.hang() }, want: refusal},
		{name: "10,000 lines that take it", host: func(c *talk) { c.until(".\r\n"); c.say(lines("250", 10_000)); c.hang() }, want: taken},

		{name: "hangs at STARTTLS", level: TLSEncrypt, host: secure(func(c *talk) { c.hang() }), want: second},
		{name: "hangs in the handshake", level: TLSEncrypt, host: secure(func(c *talk) { c.say("220 go"); c.hang() }), want: second},
		{name: "garbage for a handshake", level: TLSEncrypt, host: secure(func(c *talk) { c.say("220 go"); c.say("what?"); c.hang() }), want: second},
		{name: "closes in the handshake", level: TLSEncrypt, host: secure(func(c *talk) { c.say("220 go") }), want: second},
		{name: "says more behind 220", level: TLSEncrypt, host: secure(func(c *talk) { c.say("220 go\n250 injected"); c.hang() }), want: second},
		{name: "old TLS only", level: TLSEncrypt, host: secure(func(c *talk) { c.say("220 go"); _ = tls.Server(c.Conn, old).Handshake() }), want: second},
		{name: "another certificate", level: TLSVerify, host: secure(func(c *talk) { c.say("220 go"); _ = tls.Server(c.Conn, stranger(t)).Handshake() }), want: second},
		{name: "hangs behind the handshake", level: TLSEncrypt, host: secure(func(c *talk) {
			c.say("220 go")
			up := tls.Server(c.Conn, good)
			if up.Handshake() == nil {
				(&talk{up, bufio.NewReader(up)}).hang()
			}
		}), want: second},
		{name: "takes it back in the clear", level: TLSMay, host: func(c *talk) {
			if c.say("220 mx") && c.hear("EHLO") && c.say("250-mx\n250 STARTTLS") {
				line, _ := c.in.ReadString('\n')
				if strings.HasPrefix(line, "STARTTLS") {
					c.say("220 go")
					return
				}
				if c.say("250 ok") && c.hear("RCPT") && c.say("250 ok") && c.hear("DATA") && c.say("354 go") && c.hear(".\r\n") {
					c.say("250 2.0.0 queued")
				}
			}
		}, want: taken},
	}
	outcomes := make([]flow.Outcome, len(cases))
	var all sync.WaitGroup // together, since all they do is wait
	for i, c := range cases {
		zone := twoHosts()
		text := message
		if c.large {
			text = strings.Repeat(strings.Repeat("line of a large message ", 40)+"\r\n", 8<<10)
		}
		wait := smtp.ClientTimeouts{Greeting: patience, Command: patience, TLS: patience, DataInit: patience, Block: patience, DataEnd: 2 * patience}
		dial := peers(t, c.host, func(k *talk) {
			if c.level >= TLSEncrypt {
				wellTLS(k, good)
				return
			}
			well(k)
		})
		level := at(c.level)
		if c.level == TLSVerify { // the second host has the first one's certificate
			level.Match = []string{"one.example"}
		}
		a := New(Options{Source: &store{body: text}, Dial: dial, Shuffle: func(int, func(i, j int)) {}},
			&Settings{Resolver: &zone, Hello: "me.example", Port: 25, TLS: level, RootCAs: client.RootCAs, Timeouts: wait})
		t.Cleanup(a.Close)
		tk := task("b@example.com")
		tk.Job.Message = recipe.Whole(recipe.BlobRef{Pack: 1, Length: int64(len(text))})
		all.Go(func() { outcomes[i] = a.Deliver(t.Context(), []*queue.Task{tk})[0][0] })
	}
	all.Wait()
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := outcomes[i]
			if got := o.Result.String() + " " + strings.SplitN(o.Relay, "[", 2)[0]; got != c.want {
				t.Errorf("got %s, want %s: %s %.300s", got, c.want, o.Status, o.Reply)
			}
			if len(o.Reply) > 20_000 || o.Result != flow.Relayed && o.Class == flow.ClassNone {
				t.Errorf("class %s, %d octets", o.Class, len(o.Reply))
			}
		})
	}
}

// stranger is a certificate that nobody trusts.
func stranger(t *testing.T) *tls.Config {
	server, _ := dialogue.TLS(t, "one.example")
	return server
}

// wellTLS takes the message under TLS.
func wellTLS(c *talk, config *tls.Config) {
	if !c.say("220 mx") || !c.hear("EHLO") || !c.say("250-mx\n250 STARTTLS") || !c.hear("STARTTLS") || !c.say("220 go") {
		return
	}
	up := tls.Server(c.Conn, config)
	if up.Handshake() != nil {
		return
	}
	in := &talk{up, bufio.NewReader(up)}
	for _, step := range []struct{ command, reply string }{{"EHLO", "250 mx"}, {"MAIL", "250 ok"}, {"RCPT", "250 ok"}, {"DATA", "354 go"}, {".\r\n", "250 2.0.0 queued"}} {
		if !in.hear(step.command) || !in.say(step.reply) {
			return
		}
	}
	in.hang()
}

// A host that goes on asking for more of a login gets no end of it, and no password in the clear.
func TestTroubleWithLogins(t *testing.T) {
	good, client := dialogue.TLS(t, "one.example")
	for name, host := range map[string]func(c *talk){
		"challenges without end": func(c *talk) {
			for c.hear("") && c.say("334 bW9yZQ==") {
			}
		},
		"garbage for a challenge": func(c *talk) { c.hear("AUTH"); c.say("334 ***"); c.hang() },
		"hangs":                   func(c *talk) { c.hear("AUTH"); c.hang() },
		"closes":                  func(c *talk) { c.hear("AUTH") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := twoHosts()
			p := func(c *talk) {
				if !c.say("220 mx") || !c.hear("EHLO") || !c.say("250-mx\n250 STARTTLS") || !c.hear("STARTTLS") || !c.say("220 go") {
					return
				}
				up := tls.Server(c.Conn, good)
				if up.Handshake() != nil {
					return
				}
				in := &talk{up, bufio.NewReader(up)}
				if in.hear("EHLO") && in.say("250-mx\n250 AUTH PLAIN LOGIN") {
					host(in)
				}
			}
			wait := smtp.ClientTimeouts{Greeting: patience, Command: patience, TLS: patience}
			a := New(Options{Source: &store{body: message}, Dial: peers(t, p, p)},
				&Settings{Resolver: &zone, Hello: "me.example", Port: 25, TLS: at(TLSEncrypt), RootCAs: client.RootCAs, Timeouts: wait, PasswordMaps: inline(t, "{one.example=u:p, two.example=u:p}")})
			t.Cleanup(a.Close)
			o := a.Deliver(t.Context(), []*queue.Task{task("b@example.com")})[0][0]
			if o.Result != flow.Deferred || o.Class != flow.ClassAuth && o.Class != flow.ClassNetwork {
				t.Errorf("%+v", o)
			}
		})
	}
}

// The DNS fails in every way: the mail waits, and the site is not blamed.
func TestTroubleWithNames(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{"silent": dnstest.Silent, "SERVFAIL": dnstest.ServFail, "refused": dnstest.Refused,
		"cut off": dnstest.CutOff, "garbage": dnstest.Garbage, "another id": dnstest.WrongID, "lame": dnstest.Lame} {
		for _, at := range []string{"example.com", "mx.example.com"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				t.Parallel()
				server := dnstest.New(t, "example.com. 60 IN MX 10 mx.example.com.\nmx.example.com. 60 IN A 192.0.2.1\nmx.example.com. 60 IN AAAA 2001:db8::1\n")
				server.SetFault(at, fault)
				o := named(t, server, "b@example.com")
				if o.Result != flow.Deferred || o.Status.String() != "4.4.3" || o.Class != flow.ClassDNS || o.Signal != flow.Silent {
					t.Errorf("%+v", o)
				}
			})
		}
	}
	t.Run("aliases in a circle", func(t *testing.T) {
		server := dnstest.New(t, "a.example. 60 IN CNAME b.example.\nb.example. 60 IN CNAME a.example.\n")
		if o := named(t, server, "b@a.example"); o.Result != flow.Deferred || o.Class != flow.ClassDNS {
			t.Errorf("%+v", o)
		}
	})
}

// named delivers to a domain that a DNS server knows, or not.
func named(t *testing.T, server *dnstest.Server, to string) flow.Outcome {
	resolver := dns.New(dns.Options{Servers: []string{server.Listen(t)}, Timeout: patience / 8, Attempts: 2})
	a := New(Options{Source: &store{body: message}}, &Settings{Resolver: resolver, Hello: "me.example", Port: 25, TLS: at(TLSMay)})
	t.Cleanup(a.Close)
	return a.Deliver(t.Context(), []*queue.Task{task(to)})[0][0]
}
