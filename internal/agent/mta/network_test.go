package mta

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/test/dialogue"
)

// zone is a resolver that knows what a test tells it.
type zone struct {
	mx map[string][]dns.MX
	ip map[string][]string
	// fail has the kind of failure of a name, for every type.
	fail map[string]dns.Kind
	// authentic: DNSSEC vouches for all of it.
	authentic bool
}

func (z *zone) LookupMX(_ context.Context, domain string) ([]dns.MX, dns.Meta, error) {
	if k, ok := z.fail[domain]; ok {
		return nil, dns.Meta{}, &dns.Error{Kind: k, Name: domain, Type: "MX"}
	}
	if m := z.mx[domain]; len(m) > 0 {
		return m, dns.Meta{Authentic: z.authentic}, nil
	}
	return nil, dns.Meta{}, &dns.Error{Kind: dns.NoData, Name: domain, Type: "MX"}
}

func (z *zone) LookupIP(_ context.Context, host string, want dns.IPVersions) ([]netip.Addr, dns.Meta, error) {
	if k, ok := z.fail[host]; ok {
		return nil, dns.Meta{}, &dns.Error{Kind: k, Name: host, Type: "A"}
	}
	var out []netip.Addr
	for _, s := range z.ip[host] {
		ip := netip.MustParseAddr(s)
		if want == dns.AnyIP || ip.Is4() == (want == dns.IPv4) {
			out = append(out, ip)
		}
	}
	if len(out) == 0 {
		return nil, dns.Meta{}, &dns.Error{Kind: dns.NoData, Name: host, Type: "A"}
	}
	return out, dns.Meta{}, nil
}

// script is what a server does. A reply is what it says to a command whose beginning is the key ("MAIL", "RCPT TO:<bad",
// "." for the end of the message, "greeting"); the longest key counts. "close" closes without a word, "silent" waits for
// the other side to go, "reply|close" closes after the reply. What has no reply of its own is answered as usual.
type script struct {
	ext   []string
	reply map[string]string
	tls   *tls.Config
	now   bool              // TLS from the first byte
	after map[string]string // reply once TLS is up
}

// world is a network with scripted servers, by address:port.
type world struct {
	t       *testing.T
	zone    zone
	servers map[string]*script

	mu    sync.Mutex
	log   []string // "connect addr", and all commands with messages
	mails []string // messages taken, as sent
	wait  sync.WaitGroup
}

func (w *world) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, s)
}

// said tells how many notes begin with a prefix.
func (w *world) said(prefix string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.log {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

func (w *world) dial(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
	w.note("connect " + to.String())
	s := w.servers[to.String()]
	if s == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	if s.reply["connect"] == "silent" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client, server := dialogue.Pipe()
	w.wait.Add(1)
	go func() {
		defer w.wait.Done()
		defer server.Close()
		w.serve(server, s)
	}()
	return client, nil
}

func (w *world) serve(c net.Conn, s *script) {
	if s.now {
		c = tls.Server(c, s.tls)
	}
	in := bufio.NewReader(c)
	secure := s.now
	say := func(command, usual string) bool {
		reply, best := usual, ""
		replies := s.reply
		if secure && s.after != nil {
			replies = s.after
		}
		for k, v := range replies {
			if strings.HasPrefix(command, k) && len(k) > len(best) {
				best, reply = k, v
			}
		}
		reply, end := strings.CutSuffix(reply, "|close")
		switch reply {
		case "close":
			return false
		case "silent":
			_, _ = in.ReadString(0)
			return false
		}
		_, err := fmt.Fprintf(c, "%s\r\n", strings.ReplaceAll(reply, "\n", "\r\n"))
		return err == nil && !end
	}
	if !say("greeting", "220 mx") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		w.note(line)
		verb, _, _ := strings.Cut(line, " ")
		usual := "250 ok"
		switch verb {
		case "EHLO", "LHLO":
			lines := append([]string{"mx"}, s.ext...)
			if s.tls != nil && !secure {
				lines = append(lines, "STARTTLS")
			}
			for i := range lines {
				lines[i] = "250-" + lines[i]
			}
			lines[len(lines)-1] = strings.Replace(lines[len(lines)-1], "-", " ", 1)
			usual = strings.Join(lines, "\n")
		case "DATA":
			usual = "354 go"
		case "STARTTLS":
			usual = "220 go"
		case "AUTH":
			usual = "235 welcome"
		case "QUIT":
			usual = "221 bye|close"
		}
		if !say(line, usual) {
			return
		}
		switch {
		case verb == "STARTTLS" && s.tls != nil && s.reply["STARTTLS"] == "":
			up := tls.Server(c, s.tls)
			if up.Handshake() != nil {
				return
			}
			c, secure = up, true
			in.Reset(c)
		case verb == "DATA" && s.reply["DATA"] == "":
			var mail strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				mail.WriteString(line)
			}
			w.mu.Lock()
			w.mails = append(w.mails, mail.String())
			w.mu.Unlock()
			if !say(".", "250 2.0.0 queued as 1") {
				return
			}
		}
	}
}

// store is the bodies' source; fail makes reading fail.
type store struct {
	body string
	fail error
}

func (s *store) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	if s.fail != nil {
		return s.fail
	}
	copy(p, s.body[off:])
	return nil
}

const message = "Subject: hi\r\n\r\n.dot\r\n"

// start makes a network and an agent in it. Hosts of equal preference keep their order. Call it inside the bubble.
func start(t *testing.T, w *world, change func(*Settings, *Options)) *Agent {
	w.t = t
	if w.servers == nil {
		w.servers = map[string]*script{}
	}
	s := &Settings{Resolver: &w.zone, Hello: "me.example", Port: 25, TLS: Policy{Level: TLSMay}, Connect: 30 * time.Second}
	o := Options{Source: &store{body: message}, Dial: w.dial, Shuffle: func(int, func(i, j int)) {}}
	if change != nil {
		change(s, &o)
	}
	a := New(o, s)
	t.Cleanup(func() {
		a.Close()
		w.wait.Wait()
	})
	return a
}

// task has a message for the addresses.
func task(to ...string) *queue.Task {
	ref := recipe.BlobRef{Pack: 1, Length: int64(len(message))}
	now := time.Now()
	job := &flow.Job{ID: queueid.New(now.UnixMicro(), 1), Received: now.Add(-3 * time.Second), From: parse("a@example.org"),
		Message: recipe.Whole(ref)}
	for i, s := range to {
		a := parse(s)
		job.Recipients = append(job.Recipients, flow.Recipient{No: i, To: a, Original: a, Transport: flow.SMTP})
	}
	return &queue.Task{Job: job, Recipients: slices.Clone(job.Recipients), Due: now.Add(-time.Second)}
}

func parse(s string) address.Address {
	a, _, err := address.ParsePath("<"+s+">", true)
	if err != nil {
		panic(err)
	}
	return a
}

// via sets the next hop of all recipients.
func via(t *queue.Task, transport flow.Transport, hop string) *queue.Task {
	for i := range t.Recipients {
		t.Recipients[i].Transport, t.Recipients[i].NextHop = transport, hop
	}
	return t
}

// deliver runs one task and shows its outcomes by recipient number: "result status relay: reply".
func deliver(t *testing.T, a *Agent, task *queue.Task) []string {
	t.Helper()
	out := a.Deliver(t.Context(), []*queue.Task{task})[0]
	shown := make([]string, len(task.Recipients))
	for _, o := range out {
		if shown[o.Recipient] != "" {
			t.Errorf("two outcomes for recipient %d", o.Recipient)
		}
		if o.At.IsZero() || o.Delays[0] != 2*time.Second {
			t.Errorf("times of %+v", o)
		}
		shown[o.Recipient] = fmt.Sprintf("%s %s %s: %s", o.Result, o.Status, o.Relay, o.Reply)
	}
	return shown
}
