package mta

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/state/queue"
)

// one and two are the exchangers of example.com in most tests.
const (
	one = "192.0.2.1:25"
	two = "192.0.2.2:25"
)

func twoHosts() zone {
	return zone{
		mx: map[string][]dns.MX{"example.com": {{Preference: 10, Host: "one.example"}, {Preference: 20, Host: "two.example"}}},
		ip: map[string][]string{"one.example": {"192.0.2.1"}, "two.example": {"192.0.2.2"}},
	}
}

const (
	sentOne = "relayed 2.0.0 one.example[192.0.2.1]:25: 250 2.0.0 queued as 1"
	sentTwo = "relayed 2.0.0 two.example[192.0.2.2]:25: 250 2.0.0 queued as 1"
)

// TestStages has the first host fail at every stage. The second is well.
func TestStages(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  map[string]string
		want   string
		second bool // whether the second host was asked
	}{
		{"all well", nil, sentOne, false},
		{"no connection", map[string]string{"connect": "silent"}, sentTwo, true},
		{"closed at once", map[string]string{"greeting": "close"}, sentTwo, true},
		{"no greeting", map[string]string{"greeting": "silent"}, sentTwo, true},
		{"greeting 4xx", map[string]string{"greeting": "421 4.3.2 busy|close"}, sentTwo, true},
		{"greeting 5xx", map[string]string{"greeting": "554 5.7.1 go away"}, sentTwo, true},
		{"greeting 250", map[string]string{"greeting": "250 what"}, sentTwo, true},
		{"not SMTP", map[string]string{"greeting": "HTTP/1.1 400 Bad Request"}, sentTwo, true},
		{"EHLO 4xx", map[string]string{"EHLO": "450 4.3.2 later"}, sentTwo, true},
		{"EHLO and HELO 5xx", map[string]string{"EHLO": "550 no", "HELO": "550 no"}, sentTwo, true},
		{"EHLO unknown", map[string]string{"EHLO": "502 what"}, sentOne, false},
		{"closed at EHLO", map[string]string{"EHLO": "close"}, sentTwo, true},
		{"MAIL 4xx", map[string]string{"MAIL": "451 4.7.1 later"}, sentTwo, true},
		{"MAIL 421", map[string]string{"MAIL": "421 4.3.2 down|close"}, sentTwo, true},
		{"MAIL 5xx", map[string]string{"MAIL": "550 5.7.1 not you"}, "failed 5.7.1 one.example[192.0.2.1]:25: 550 5.7.1 not you", false},
		{"closed at MAIL", map[string]string{"MAIL": "close"}, sentTwo, true},
		{"silent at MAIL", map[string]string{"MAIL": "silent"}, sentTwo, true},
		{"RCPT 4xx", map[string]string{"RCPT": "450 4.2.0 greylisted"}, sentTwo, true},
		{"RCPT 5xx", map[string]string{"RCPT": "550-5.1.1 no such\n550 5.1.1 user"}, "failed 5.1.1 one.example[192.0.2.1]:25: 550 5.1.1 no such\nuser", false},
		{"RCPT 5xx, no enhanced code", map[string]string{"RCPT": "550 no"}, "failed 5.0.0 one.example[192.0.2.1]:25: 550 no", false},
		{"RCPT 552, too many", map[string]string{"RCPT": "552 5.5.3 too many"}, sentTwo, true},
		{"closed at RCPT", map[string]string{"RCPT": "close"}, sentTwo, true},
		{"DATA 4xx", map[string]string{"DATA": "451 no"}, sentTwo, true},
		{"DATA 5xx", map[string]string{"DATA": "554 5.6.0 no"}, "failed 5.6.0 one.example[192.0.2.1]:25: 554 5.6.0 no", false},
		{"closed at DATA", map[string]string{"DATA": "close"}, sentTwo, true},
		{"end 4xx", map[string]string{".": "452 4.3.1 disk full"}, sentTwo, true},
		{"end 5xx", map[string]string{".": "554 5.7.1 spam"}, "failed 5.7.1 one.example[192.0.2.1]:25: 554 5.7.1 spam", false},
		{"closed at the end", map[string]string{".": "close"}, "deferred 4.4.2 one.example[192.0.2.1]:25: the connection to one.example[192.0.2.1]:25 failed while waiting for the reply to the message: closed by the other side; the message may have been taken all the same, and may arrive twice", false},
		{"silent at the end", map[string]string{".": "silent"}, "deferred 4.4.2 one.example[192.0.2.1]:25: the connection to one.example[192.0.2.1]:25 failed while waiting for the reply to the message: timed out; the message may have been taken all the same, and may arrive twice", false},
		{"closed at QUIT", map[string]string{"QUIT": "close"}, sentOne, false},
		{"silent at QUIT", map[string]string{"QUIT": "silent"}, sentOne, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: {reply: c.first}, two: {}}}
				a := start(t, w, nil)
				if got := deliver(t, a, task("b@example.com"))[0]; got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if got := w.said("connect "+two) > 0; got != c.second {
					t.Errorf("second host asked: %v\n%s", got, strings.Join(w.log, "\n"))
				}
			})
		})
	}
}

// TestNobodyLeft has both hosts fail.
func TestNobodyLeft(t *testing.T) {
	refuse := func(s string) *script { return &script{reply: map[string]string{"greeting": s}} }
	for _, c := range []struct {
		name     string
		one, two *script
		want     string
	}{
		{name: "nobody there", want: "deferred 4.4.1 none: connection to two.example[192.0.2.2]:25: connection refused"},
		{name: "both for good", one: refuse("554 5.7.1 a"), two: refuse("521 5.3.2 b"), want: "failed 5.3.2 two.example[192.0.2.2]:25: 521 5.3.2 b"},
		{name: "the first for good", one: refuse("554 5.7.1 a"), want: "deferred 4.4.1 none: connection to two.example[192.0.2.2]:25: connection refused"},
		{name: "the second for good", two: refuse("554 5.7.1 b"), want: "deferred 4.4.1 none: connection to one.example[192.0.2.1]:25: connection refused"},
		{name: "greylisted, then nobody", one: &script{reply: map[string]string{"RCPT": "450 4.2.0 later"}}, want: "deferred 4.2.0 one.example[192.0.2.1]:25: 450 4.2.0 later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{}}
				if c.one != nil {
					w.servers[one] = c.one
				}
				if c.two != nil {
					w.servers[two] = c.two
				}
				if got := deliver(t, start(t, w, nil), task("b@example.com"))[0]; got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		})
	}
}

func TestRecipientsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{
			one: {ext: []string{"PIPELINING", "DSN"}, reply: map[string]string{"RCPT TO:<bad": "550 5.1.1 who?", "RCPT TO:<grey": "450 4.2.0 later"}},
			two: {}}}
		got := deliver(t, start(t, w, nil), task("b@example.com", "bad@example.com", "grey@example.com"))
		want := []string{sentOne, "failed 5.1.1 one.example[192.0.2.1]:25: 550 5.1.1 who?", sentTwo}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("recipient %d\ngot  %s\nwant %s", i, got[i], want[i])
			}
		}
		if len(w.mails) != 2 || w.mails[0] != "Subject: hi\r\n\r\n..dot\r\n" {
			t.Errorf("%q", w.mails)
		}
	})
}

func TestManyRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		a := start(t, w, func(s *Settings, _ *Options) { s.MaxRecipients = 2 })
		for i, got := range deliver(t, a, task("a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com")) {
			if got != sentOne {
				t.Errorf("%d: %s", i, got)
			}
		}
		if w.said("connect") != 1 || w.said("MAIL") != 3 || len(w.mails) != 3 {
			t.Errorf("%q", w.log)
		}
	})
}

// A host that takes one recipient at a time (RFC 5321 §4.5.3.1.10) gets them one at a time, on one connection.
func TestTooManyRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {reply: map[string]string{"RCPT TO:<late": "452 4.5.3 one at a time"}}}}
		a := start(t, w, nil)
		tk := task("a@example.com", "late@example.com")
		got := deliver(t, a, tk)
		if got[0] != sentOne || got[1] != "deferred 4.5.3 one.example[192.0.2.1]:25: 452 4.5.3 one at a time" || w.said("RCPT TO:<late") != 2 {
			t.Errorf("%q\n%q", got, w.log)
		}
	})
}

func TestLookups(t *testing.T) {
	own := func(s ...string) func(netip.AddrPort) bool {
		return func(ap netip.AddrPort) bool { return strings.Contains(strings.Join(s, " "), ap.String()) }
	}
	for _, c := range []struct {
		name string
		to   string // of example.com by default
		via  string
		zone zone
		ip   dns.IPVersions
		own  []string
		want string // result, and the addresses tried
	}{
		{name: "no MX", zone: zone{ip: map[string][]string{"example.com": {"192.0.2.9"}}}, want: "deferred 4.4.1 192.0.2.9:25"},
		{name: "no MX, no address", want: "failed 5.4.4"},
		{name: "no such domain", zone: zone{fail: map[string]dns.Kind{"example.com": dns.NXDomain}}, want: "failed 5.1.2"},
		{name: "DNS down", zone: zone{fail: map[string]dns.Kind{"example.com": dns.Temporary}}, want: "deferred 4.4.3"},
		{name: "not a name", zone: zone{fail: map[string]dns.Kind{"example.com": dns.Invalid}}, want: "failed 5.1.2"},
		{name: "null MX", zone: zone{mx: map[string][]dns.MX{"example.com": {{}}}, ip: map[string][]string{"example.com": {"192.0.2.9"}}}, want: "failed 5.1.10"},
		{name: "null MX beside a real one", zone: zone{mx: map[string][]dns.MX{"example.com": {{}, {Preference: 5, Host: "m"}}},
			ip: map[string][]string{"m": {"192.0.2.3"}}}, want: "deferred 4.4.1 192.0.2.3:25"},
		{name: "order", zone: zone{mx: map[string][]dns.MX{"example.com": {{Preference: 20, Host: "b"}, {Preference: 10, Host: "a"}}},
			ip: map[string][]string{"b": {"192.0.2.3"}, "a": {"2001:db8::1", "2001:db8::2", "192.0.2.4"}}},
			want: "deferred 4.4.1 [2001:db8::1]:25 192.0.2.4:25 [2001:db8::2]:25 192.0.2.3:25"},
		{name: "IPv4 only", ip: dns.IPv4, zone: zone{ip: map[string][]string{"example.com": {"2001:db8::1", "192.0.2.9"}}}, want: "deferred 4.4.1 192.0.2.9:25"},
		{name: "IPv4 only, IPv6 host", ip: dns.IPv4, zone: zone{ip: map[string][]string{"example.com": {"2001:db8::1"}}}, want: "failed 5.4.4"},
		{name: "one host without address", zone: zone{mx: map[string][]dns.MX{"example.com": {{Preference: 1, Host: "gone"}, {Preference: 2, Host: "m"}}},
			ip: map[string][]string{"m": {"192.0.2.3"}}}, want: "deferred 4.4.1 192.0.2.3:25"},
		{name: "no host with an address", zone: zone{mx: map[string][]dns.MX{"example.com": {{Host: "gone"}, {Host: "nx"}}},
			fail: map[string]dns.Kind{"nx": dns.NXDomain}}, want: "failed 5.1.2"},
		{name: "one host not known now", zone: zone{mx: map[string][]dns.MX{"example.com": {{Host: "gone"}, {Host: "slow"}}},
			fail: map[string]dns.Kind{"slow": dns.Temporary}}, want: "deferred 4.4.3"},
		{name: "unspecified address", zone: zone{ip: map[string][]string{"example.com": {"0.0.0.0", "::", "224.0.0.1"}}}, want: "failed 5.4.4"},
		{name: "mapped address is ours", zone: zone{ip: map[string][]string{"example.com": {"::ffff:192.0.2.9"}}}, own: []string{"192.0.2.9:25"}, want: "failed 5.4.6"},
		{name: "literal", to: "b@[192.0.2.7]", want: "deferred 4.4.1 192.0.2.7:25"},
		{name: "IPv6 literal", to: "b@[IPv6:2001:db8::7]", want: "deferred 4.4.1 [2001:db8::7]:25"},
		{name: "literal of ours", to: "b@[192.0.2.7]", own: []string{"192.0.2.7:25"}, want: "failed 5.4.6"},
		{name: "best is ours", zone: twoHosts(), own: []string{one}, want: "failed 5.4.6"},
		{name: "worse is ours", zone: twoHosts(), own: []string{two}, want: "deferred 4.4.1 192.0.2.1:25"},
		{name: "our address, another port", zone: twoHosts(), own: []string{"192.0.2.1:10025"}, want: "deferred 4.4.1 192.0.2.1:25 192.0.2.2:25"},
		{name: "equal is ours", zone: zone{mx: map[string][]dns.MX{"example.com": {{Host: "a"}, {Host: "b"}}},
			ip: map[string][]string{"a": {"192.0.2.3"}, "b": {"192.0.2.4"}}}, own: []string{"192.0.2.4:25"}, want: "failed 5.4.6"},
		{name: "loopback is allowed", zone: zone{ip: map[string][]string{"example.com": {"127.0.0.1"}}}, own: []string{"127.0.0.1:10025"}, want: "deferred 4.4.1 127.0.0.1:25"},
		{name: "next hop", via: "[m]:2525", zone: zone{mx: map[string][]dns.MX{"m": {{Host: "never"}}}, ip: map[string][]string{"m": {"192.0.2.3"}}}, want: "deferred 4.4.1 192.0.2.3:2525"},
		{name: "next hop by exchangers", via: "m:2525", zone: zone{mx: map[string][]dns.MX{"m": {{Host: "n"}}}, ip: map[string][]string{"n": {"192.0.2.3"}}}, want: "deferred 4.4.1 192.0.2.3:2525"},
		{name: "next hop by exchangers, null MX", via: "m", zone: zone{mx: map[string][]dns.MX{"m": {{Host: ""}}}}, want: "deferred 4.1.10"},
		{name: "next hop by exchangers, best is ours", via: "m", zone: zone{mx: map[string][]dns.MX{"m": {{Host: "n"}}}, ip: map[string][]string{"n": {"192.0.2.3"}}}, own: []string{"192.0.2.3:25"}, want: "deferred 4.4.6"},
		{name: "next hops", via: "[m]:2525, [n]", zone: zone{fail: map[string]dns.Kind{"m": dns.NXDomain}, ip: map[string][]string{"n": {"192.0.2.3"}}}, want: "deferred 4.4.1 192.0.2.3:25"},
		{name: "next hop without port", via: "m", zone: zone{ip: map[string][]string{"m": {"192.0.2.3"}}}, want: "deferred 4.4.1 192.0.2.3:25"},
		{name: "next hop by address", via: "[127.0.0.1]:26", want: "deferred 4.4.1 127.0.0.1:26"},
		{name: "next hop by IPv6 address", via: "[::1]", want: "deferred 4.4.1 [::1]:25"},
		{name: "next hop by tagged address", via: "[IPv6:::1]:26", want: "deferred 4.4.1 [::1]:26"},
		{name: "next hop unknown", via: "m", zone: zone{fail: map[string]dns.Kind{"m": dns.NXDomain}}, want: "deferred 4.1.2"},
		{name: "next hop is ours", via: "[127.0.0.1]", own: []string{"127.0.0.1:25"}, want: "deferred 4.4.6"},
		{name: "next hop malformed", via: "m:x", want: "deferred 4.3.5"},
		{name: "next hop malformed IPv6", via: "::1", want: "deferred 4.3.5"},
		{name: "next hop unclosed", via: "[::1", want: "deferred 4.3.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{zone: c.zone}
			a := start(t, w, func(s *Settings, o *Options) { s.IP, o.Own = c.ip, own(c.own...) })
			if c.to == "" {
				c.to = "b@example.com"
			}
			tk := task(c.to)
			if c.via != "" {
				via(tk, flow.SMTP, c.via)
			}
			o := a.Deliver(t.Context(), []*queue.Task{tk})[0][0]
			got := o.Result.String() + " " + o.Status.String()
			for _, s := range w.log {
				got += strings.TrimPrefix(s, "connect")
			}
			if got != c.want {
				t.Errorf("got  %s (%s)\nwant %s", got, o.Reply, c.want)
			}
			if o.Relay != "none" || o.RemoteMTA != "" {
				t.Errorf("relay %q %q", o.Relay, o.RemoteMTA)
			}
		})
	}
}

func TestEqualHostsAreShuffled(t *testing.T) {
	w := &world{zone: zone{mx: map[string][]dns.MX{"example.com": {{Preference: 5, Host: "a"}, {Preference: 5, Host: "b"}, {Preference: 1, Host: "c"}}},
		ip: map[string][]string{"a": {"192.0.2.1"}, "b": {"192.0.2.2"}, "c": {"192.0.2.3"}}}}
	reverse := func(n int, swap func(i, j int)) {
		for i := range n / 2 {
			swap(i, n-1-i)
		}
	}
	a := start(t, w, func(_ *Settings, o *Options) { o.Shuffle = reverse })
	deliver(t, a, task("b@example.com"))
	if got := strings.Join(w.log, " "); got != "connect 192.0.2.3:25 connect 192.0.2.2:25 connect 192.0.2.1:25" {
		t.Error(got)
	}
}

func TestManyDeadHosts(t *testing.T) {
	w := &world{zone: zone{mx: map[string][]dns.MX{}, ip: map[string][]string{}}}
	for i := range 60 {
		host := string(rune('a'+i%26)) + string(rune('a'+i/26))
		w.zone.mx["example.com"] = append(w.zone.mx["example.com"], dns.MX{Preference: uint16(i), Host: host})
		w.zone.ip[host] = []string{"192.0.2.1", "192.0.2.2"}
	}
	deliver(t, start(t, w, nil), task("b@example.com"))
	if n := w.said("connect"); n != maxAddresses {
		t.Errorf("%d connections", n)
	}
}

func TestBodyAndUTF8(t *testing.T) {
	index := func(flags mime.Flags) []byte { return (&mime.Message{Root: &mime.Part{}, Flags: flags}).Encode() }
	for _, c := range []struct {
		name   string
		ext    []string
		to     string
		change func(*flow.Job)
		bounce bool
		want   string
		mail   string // MAIL as said
	}{
		{name: "8-bit, as it is", change: func(j *flow.Job) { j.Body = envelope.Body8BitMIME }, want: sentOne, mail: "MAIL FROM:<a@example.org>"},
		{name: "8-bit, bounce", change: func(j *flow.Job) { j.Body = envelope.Body8BitMIME }, bounce: true,
			want: "failed 5.6.3 one.example[192.0.2.1]:25: Message has 8-bit text, which the next server does not take"},
		{name: "8-bit said, 7-bit meant", change: func(j *flow.Job) { j.Body, j.Index = envelope.Body8BitMIME, index(0) }, bounce: true, want: sentOne, mail: "MAIL FROM:<a@example.org>"},
		{name: "8-bit not said", ext: []string{"8BITMIME"}, change: func(j *flow.Job) { j.Index = index(mime.EightBitBody) }, want: sentOne, mail: "MAIL FROM:<a@example.org> BODY=8BITMIME"},
		{name: "UTF-8 recipient", to: "zoë@example.com", want: "failed 5.6.7 one.example[192.0.2.1]:25: Addresses or header need SMTPUTF8, which the next server does not take"},
		{name: "UTF-8 recipient, SMTPUTF8", to: "zoë@example.com", ext: []string{"8BITMIME", "SMTPUTF8"}, want: sentOne, mail: "MAIL FROM:<a@example.org> SMTPUTF8"},
		{name: "UTF-8 domain", to: "b@bücher.example", want: sentOne, mail: "MAIL FROM:<a@example.org>"},
		{name: "UTF-8 header", change: func(j *flow.Job) { j.UTF8, j.Index = true, index(mime.EightBitHeader) },
			want: "failed 5.6.7 one.example[192.0.2.1]:25: Addresses or header need SMTPUTF8, which the next server does not take"},
		{name: "SMTPUTF8 said, ASCII meant", change: func(j *flow.Job) { j.UTF8, j.Index = true, index(0) }, want: sentOne, mail: "MAIL FROM:<a@example.org>"},
		{name: "UTF-8 sender", change: func(j *flow.Job) { j.From.Local = "zoë" },
			want: "failed 5.6.7 one.example[192.0.2.1]:25: Addresses or header need SMTPUTF8, which the next server does not take"},
		{name: "too large", ext: []string{"SIZE 10"}, want: "failed 5.3.4 one.example[192.0.2.1]:25: Message is larger than the next server takes"},
		{name: "DSN", ext: []string{"DSN"}, change: func(j *flow.Job) { j.Ret, j.EnvID = envelope.RetHeaders, "Q1" }, want: sentOne, mail: "MAIL FROM:<a@example.org> RET=HDRS ENVID=Q1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: {ext: c.ext}}}
				w.zone.mx["xn--bcher-kva.example"] = w.zone.mx["example.com"]
				if c.to == "" {
					c.to = "b@example.com"
				}
				tk := task(c.to)
				if c.change != nil {
					c.change(tk.Job)
				}
				a := start(t, w, func(s *Settings, _ *Options) { s.Bounce8Bit = c.bounce })
				if got := deliver(t, a, tk)[0]; got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if c.mail != "" && w.said(c.mail) != 1 || c.mail == "" && w.said("MAIL") != 0 {
					t.Errorf("%q", w.log)
				}
			})
		})
	}
}

// One recipient needs SMTPUTF8; the other goes.
func TestUTF8RecipientAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		got := deliver(t, start(t, w, nil), task("zoë@example.com", "b@example.com"))
		if !strings.HasPrefix(got[0], "failed 5.6.7") || got[1] != sentOne {
			t.Errorf("%q", got)
		}
	})
}

func TestDSNPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {ext: []string{"DSN"}}}}
		tk := task("b@example.com")
		tk.Recipients[0].Notify, tk.Recipients[0].ORcpt = envelope.NotifySuccess, "rfc822;c@example.com"
		a := start(t, w, nil)
		if o := a.Deliver(t.Context(), []*queue.Task{tk})[0][0]; !o.DSNPassed || o.RemoteMTA != "one.example" {
			t.Errorf("%+v", o)
		}
		if w.said("RCPT TO:<b@example.com> NOTIFY=SUCCESS ORCPT=rfc822;c@example.com") != 1 {
			t.Errorf("%q", w.log)
		}
		w.servers[one].ext = nil
		a.Set(&Settings{Resolver: &w.zone, Hello: "me.example", Port: 25})
		if o := a.Deliver(t.Context(), []*queue.Task{tk})[0][0]; o.DSNPassed || o.Result != flow.Relayed {
			t.Errorf("%+v", o)
		}
	})
}

func TestLMTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{servers: map[string]*script{"127.0.0.1:24": {reply: map[string]string{".": "250 2.0.0 first\n452 4.2.2 second full"}}}}
		got := deliver(t, start(t, w, nil), via(task("a@example.com", "b@example.com"), flow.LMTP, "[127.0.0.1]"))
		if got[0] != "delivered 2.0.0 127.0.0.1[127.0.0.1]:24: 250 2.0.0 first" || got[1] != "deferred 4.2.2 127.0.0.1[127.0.0.1]:24: 452 4.2.2 second full" {
			t.Errorf("%q", got)
		}
		if w.said("LHLO me.example") != 1 || w.said("EHLO") != 0 {
			t.Errorf("%q", w.log)
		}
	})
}

func TestUnreadableMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}, two: {}}}
		a := start(t, w, func(_ *Settings, o *Options) { o.Source = &store{fail: errors.New("bad sector")} })
		got := deliver(t, a, task("b@example.com"))[0]
		if got != "deferred 4.3.0 one.example[192.0.2.1]:25: the message cannot be read from our storage at present" {
			t.Error(got)
		}
		if len(w.mails) != 0 || w.said("connect") != 1 {
			t.Errorf("%q", w.log)
		}
	})
}

// When ctx ends there is no outcome for what is not decided, and one for what is.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {reply: map[string]string{"RCPT TO:<b": "550 5.1.1 no", "DATA": "silent"}}, two: {}}}
		a := start(t, w, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		out := a.Deliver(ctx, []*queue.Task{task("b@example.com", "c@example.com"), task("d@example.com")})
		if len(out[0]) != 1 || out[0][0].Recipient != 0 || out[0][0].Result != flow.Failed || out[1] != nil || w.said("connect") != 1 {
			t.Errorf("%+v\n%q", out, w.log)
		}
	})
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {reply: map[string]string{"connect": "silent"}}, two: {}}}
		a := start(t, w, nil)
		o := a.Deliver(t.Context(), []*queue.Task{task("b@example.com")})[0][0]
		if o.Delays != [4]time.Duration{2 * time.Second, time.Second, 30 * time.Second, 0} {
			t.Errorf("%v", o.Delays)
		}
	})
}

// A recipient put off by two hosts is not put to a third.
func TestTwoHostsAreEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grey := &script{reply: map[string]string{"RCPT": "450 4.2.0 later"}}
		w := &world{zone: twoHosts(), servers: map[string]*script{one: grey, two: grey, "192.0.2.3:25": {}}}
		w.zone.mx["example.com"] = append(w.zone.mx["example.com"], dns.MX{Preference: 30, Host: "three.example"})
		w.zone.ip["three.example"] = []string{"192.0.2.3"}
		got := deliver(t, start(t, w, nil), task("b@example.com"))[0]
		if got != "deferred 4.2.0 two.example[192.0.2.2]:25: 450 4.2.0 later" || w.said("connect") != 2 {
			t.Errorf("%s\n%q", got, w.log)
		}
	})
}

// Where we are a worse exchanger, the better one's words count, not that we are one.
func TestBackupExchanger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {reply: map[string]string{"greeting": "554 5.7.1 go away"}}}}
		a := start(t, w, func(_ *Settings, o *Options) { o.Own = func(ap netip.AddrPort) bool { return ap.String() == two } })
		if got := deliver(t, a, task("b@example.com"))[0]; got != "failed 5.7.1 one.example[192.0.2.1]:25: 554 5.7.1 go away" {
			t.Error(got)
		}
	})
}
