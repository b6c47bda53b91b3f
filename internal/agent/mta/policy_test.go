package mta

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

func TestParsePolicy(t *testing.T) {
	print256 := strings.Repeat("ab:", 31) + "AB"
	for _, c := range []struct{ text, want string }{
		{"none", "0 []"},
		{"may", "1 []"},
		{"ENCRYPT", "2 []"},
		{"encrypt protocols=>=TLSv1.3", "2 [] 0304-0304"},
		{"encrypt protocols=TLSv1.2:TLSv1.3, ciphers=high", "2 [] 0303-0304"},
		{"encrypt protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", "2 [] 0303-0304"},
		{"may protocols=<=TLSv1.2", "1 [] 0301-0303"},
		{"verify", "4 [hostname]"},
		{"verify match=hostname:nexthop:.Example.org", "4 [hostname nexthop .example.org]"},
		{"secure", "4 [nexthop dot-nexthop]"},
		{"secure match=mx.example.org match=other.example", "4 [mx.example.org other.example]"},
		{"secure servername=hostname", "4 [nexthop dot-nexthop] hostname"},
		{"fingerprint match=" + print256, "3 [" + strings.Repeat("ab", 32) + "]"},
		{"fingerprint match=" + print256 + "|" + strings.Repeat("01", 20), "3 [" + strings.Repeat("ab", 32) + " " + strings.Repeat("01", 20) + "]"},
		{"fingerprint", "! the TLS level fingerprint needs match="},
		{"fingerprint match=" + strings.Repeat("01", 16), "! match="},
		{"dane", "! the TLS level dane is not there yet"},
		{"dane-only", "! the TLS level dane-only is not there yet"},
		{"half-dane", "! the TLS level half-dane is not there yet"},
		{"always", "! \"always\" is no TLS level"},
		{"", "! a TLS policy begins with its level"},
		{"encrypt match=a.example", "! match= belongs to"},
		{"secure match=", "! \"match=\" in a TLS policy is not name=value"},
		{"secure match=a::b", "! match= of a TLS policy has an empty name"},
		{"encrypt protocols=TLSv1:TLSv1.2", "! protocols=TLSv1:TLSv1.2 leaves a gap"},
		{"encrypt protocols=!TLSv1:!TLSv1.1:!TLSv1.2:!TLSv1.3", "! protocols="},
		{"encrypt protocols=SSLv3", "! protocols=SSLv3"},
		{"encrypt tafile=/x", "! the attribute \"tafile\""},
		{"encrypt yes", "! \"yes\" in a TLS policy"},
	} {
		p, err := ParsePolicy(c.text)
		got := fmt.Sprint(p.Level, " ", p.Match)
		if p.Min != 0 {
			got += fmt.Sprintf(" %04x-%04x", p.Min, p.Max)
		}
		if p.ServerName != "" {
			got += " " + p.ServerName
		}
		if err != nil {
			got = "! " + err.Error()
		}
		if want, prefix := strings.CutPrefix(c.want, "!"); got != c.want && !(prefix && strings.HasPrefix(got, "!"+want)) {
			t.Errorf("%q\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

// FuzzParsePolicy: whatever a table says, a policy that is taken makes sense, and demands no less than its level.
func FuzzParsePolicy(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePolicy(s)
		if err != nil {
			return
		}
		if p.Level > TLSVerify || (p.Level >= TLSFingerprint) != (len(p.Match) > 0) || p.Min > p.Max && p.Max != 0 {
			t.Fatalf("%q: %+v", s, p)
		}
		c := p.resolve("mx.example", "example").config(nil, nil)
		if (p.Level >= TLSFingerprint) != (c.VerifyConnection != nil) {
			t.Fatalf("%q: %+v verifies nothing", s, p)
		}
		if c.VerifyConnection != nil && c.VerifyConnection(tls.ConnectionState{}) == nil {
			t.Fatalf("%q: no certificate will do", s)
		}
	})
}

// inline makes tables of a setting's value.
func inline(t *testing.T, s string) table.List {
	t.Helper()
	f, err := table.Inline(s)
	if err != nil {
		t.Fatal(err)
	}
	return table.List{f}
}

// Policies by destination, at a host that shows a certificate for one.example.
func TestPolicyMaps(t *testing.T) {
	good, client := dialogue.TLS(t, "one.example")
	raw := good.Certificates[0]
	sum := sha256.Sum256(raw.Certificate[0])
	key := sha256.Sum256(raw.Leaf.RawSubjectPublicKeyInfo)
	for _, c := range []struct {
		name, maps, want string
		via              string
		secure           bool
	}{
		{name: "no entry", maps: "{other.example=none}", want: sentOne, secure: true},
		{name: "none", maps: "{example.com=none}", want: sentOne},
		{name: "parent", maps: "{.com=none}", want: sentOne},
		{name: "verify", maps: "{example.com=verify}", want: sentOne, secure: true},
		{name: "secure, the certificate is the host's only", maps: "{example.com=secure}", want: "deferred 4.7.5 one.example[192.0.2.1]:25: the connection to one.example[192.0.2.1]:25 failed while setting up TLS: its certificate is not for example.com, .example.com"},
		{name: "secure match", maps: "{{example.com=secure match=one.example}}", want: sentOne, secure: true},
		{name: "secure match below", maps: "{{example.com=secure match=.example}}", want: sentOne, secure: true},
		{name: "fingerprint", maps: "{{example.com=fingerprint match=" + hex.EncodeToString(sum[:]) + "}}", want: sentOne, secure: true},
		{name: "fingerprint of the key", maps: "{{example.com=fingerprint match=" + hex.EncodeToString(key[:]) + "}}", want: sentOne, secure: true},
		{name: "another fingerprint", maps: "{{example.com=fingerprint match=" + strings.Repeat("00", 32) + "}}", want: "deferred 4.7.5 one.example[192.0.2.1]:25: the connection to one.example[192.0.2.1]:25 failed while setting up TLS: its certificate has none of the fingerprints"},
		{name: "dane", maps: "{example.com=dane}", want: "deferred 4.7.5 none: TLS policy for example.com: the TLS level dane is not there yet"},
		{name: "by next hop", maps: "{[one.example]:25=none}", via: "[one.example]:25", want: sentOne},
		{name: "by next hop without port", maps: "{[one.example]=none}", via: "[one.example]", want: sentOne},
		{name: "the port counts", maps: "{[one.example]=none}", via: "[one.example]:25", want: sentOne, secure: true},
		{name: "a next hop is no domain", maps: "{.example=none}", via: "[one.example]", want: sentOne, secure: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: {tls: good}}}
				delete(w.zone.ip, "two.example")
				a := start(t, w, func(s *Settings, _ *Options) {
					s.RootCAs, s.PolicyMaps = client.RootCAs, inline(t, c.maps)
				})
				tk := task("b@example.com")
				if c.via != "" {
					via(tk, flow.SMTP, c.via)
				}
				if got := deliver(t, a, tk)[0]; !strings.HasPrefix(got, c.want) {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if (w.said("EHLO") == 2) != (c.secure && strings.HasPrefix(c.want, "relayed")) {
					t.Errorf("%q", w.log)
				}
			})
		})
	}
}

// A table that cannot be asked defers: mail must not go with less than what was meant.
func TestPolicyTableIsDown(t *testing.T) {
	w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
	a := start(t, w, func(s *Settings, _ *Options) { s.PolicyMaps = table.List{down{}} })
	o := a.Deliver(t.Context(), []*queue.Task{task("b@example.com")})[0][0]
	if o.Result != flow.Deferred || o.Class != flow.ClassLocal || o.Signal != flow.Silent || len(w.mails) != 0 {
		t.Errorf("%+v", o)
	}
}

type down struct{}

func (down) Lookup(context.Context, string) (string, bool, error) {
	return "", false, errors.New("no server")
}
func (down) Pattern() bool { return false }

func TestClientCertificate(t *testing.T) {
	server, client := dialogue.TLS(t, "one.example")
	mine := &server.Certificates[0]
	asked := 0
	server = server.Clone()
	server.ClientAuth = tls.RequireAnyClientCert
	server.VerifyConnection = func(s tls.ConnectionState) error {
		asked = len(s.PeerCertificates)
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {tls: server}}}
		a := start(t, w, func(s *Settings, _ *Options) {
			s.TLS, s.RootCAs, s.Certificate = at(TLSVerify), client.RootCAs, mine
		})
		if got := deliver(t, a, task("b@example.com"))[0]; got != sentOne || asked != 1 {
			t.Errorf("%s, %d certificates", got, asked)
		}
	})
}

func TestPasswordMaps(t *testing.T) {
	server, client := dialogue.TLS(t, "one.example")
	for _, c := range []struct {
		name, maps, via string
		sender          bool
		want            string // name:password
	}{
		{name: "by host", maps: "{one.example=h:p}", want: "h:p"},
		{name: "by domain", maps: "{example.com=d:p}", want: "d:p"},
		{name: "by next hop", maps: "{[one.example]:25=n:p:q}", via: "[one.example]:25", want: "n:p:q"},
		{name: "the host before the next hop", maps: "{one.example=h:p, [one.example]:25=n:p}", via: "[one.example]:25", want: "h:p"},
		{name: "by sender", maps: "{a@example.org=s:p, one.example=h:p}", via: "[one.example]", sender: true, want: "s:p"},
		{name: "by the sender's domain", maps: "{@example.org=s:p}", via: "[one.example]", sender: true, want: "s:p"},
		{name: "the sender does not count", maps: "{a@example.org=s:p}", via: "[one.example]"},
		{name: "an exchanger knows nobody of ours", maps: "{a@example.org=s:p}", sender: true},
		{name: "nobody", maps: "{two.example=x:y}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: {tls: server, ext: []string{"AUTH PLAIN"}}}}
				a := start(t, w, func(s *Settings, _ *Options) {
					s.TLS, s.RootCAs, s.SenderAuth, s.PasswordMaps = at(TLSVerify), client.RootCAs, c.sender, inline(t, c.maps)
				})
				tk := task("b@example.com")
				if c.via != "" {
					via(tk, flow.SMTP, c.via)
				}
				if got := deliver(t, a, tk)[0]; got != sentOne {
					t.Error(got)
				}
				user, password, _ := strings.Cut(c.want, ":")
				want := 1
				if c.want == "" {
					want = 0
				}
				if w.said("AUTH") != want || w.said("AUTH PLAIN "+sasl.Encode([]byte("\x00"+user+"\x00"+password))) != want {
					t.Errorf("%q", w.log)
				}
			})
		})
	}
}

// Two senders with logins of their own never share a connection.
func TestLoginsApart(t *testing.T) {
	server, client := dialogue.TLS(t, "one.example")
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {tls: server, ext: []string{"AUTH PLAIN"}}}}
		a := start(t, w, func(s *Settings, o *Options) {
			idleFor(60e9)(s, o)
			s.TLS, s.RootCAs, s.SenderAuth, s.PasswordMaps = at(TLSVerify), client.RootCAs, true, inline(t, "{a@example.org=a:p, z@example.org=z:p}")
		})
		tk := via(task("b@example.com", "c@example.com"), flow.SMTP, "[one.example]")
		z := parse("z@example.org")
		tk.Recipients[1].Sender = &z
		for range 2 {
			for _, got := range deliver(t, a, tk) {
				if got != sentOne {
					t.Error(got)
				}
			}
		}
		if w.said("connect") != 2 || w.said("AUTH") != 2 || w.said("MAIL") != 4 {
			t.Errorf("%q", w.log)
		}
	})
}

func TestEgress(t *testing.T) {
	ip := netip.MustParseAddr
	shared := &Pool{Name: "shared", From: []Source{{ip("198.51.100.1"), "a.out.example"}, {ip("198.51.100.2"), ""}, {ip("2001:db8::1"), "six.out.example"}}}
	news := &Pool{Name: "news", Domains: []string{"news.example", ".lists.example", "<>"}, From: []Source{{ip("198.51.100.9"), "news.out.example"}}}
	other := &Pool{Name: "other", Domains: []string{"vip.lists.example", ".deep.lists.example"}, From: []Source{{ip("198.51.100.8"), ""}}}
	s := &Settings{Hello: "me.example", SourceIPv4: ip("203.0.113.1"), Egress: []*Pool{news, shared, other}}
	for _, c := range []struct {
		from, to string
		turn     uint64
		want     string
	}{
		{"a@b.example", "192.0.2.1", 0, "198.51.100.1 a.out.example"},
		{"a@b.example", "192.0.2.1", 1, "198.51.100.2 me.example"},
		{"a@b.example", "192.0.2.1", 2, "198.51.100.1 a.out.example"},
		{"a@b.example", "2001:db8::9", 5, "2001:db8::1 six.out.example"},
		{"a@news.example", "192.0.2.1", 7, "198.51.100.9 news.out.example"},
		{"a@NEWS.example", "2001:db8::9", 7, ""},
		{"a@x.lists.example", "192.0.2.1", 7, "198.51.100.9 news.out.example"},
		{"a@VIP.lists.example", "192.0.2.1", 7, "198.51.100.8 me.example"}, // the domain itself before one above it, whatever the pools' names
		{"a@x.deep.lists.example", "192.0.2.1", 7, "198.51.100.8 me.example"},
		{"a@deep.lists.example", "192.0.2.1", 7, "198.51.100.9 news.out.example"},
		{"a@lists.example", "192.0.2.1", 0, "198.51.100.1 a.out.example"},
		{"", "192.0.2.1", 0, "198.51.100.9 news.out.example"},
		{"a@news.example", "127.0.0.1", 0, "invalid IP me.example"},
	} {
		from := parse(c.from)
		src, ok := s.source(s.pool(from), ip(c.to), c.turn)
		got := fmt.Sprintf("%s %s", src.Addr, src.Hello)
		if !ok {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s to %s, %d: %q, want %q", c.from, c.to, c.turn, got, c.want)
		}
	}
	s.Egress = s.Egress[:1]
	if p := s.pool(parse("a@b.example")); p != nil {
		t.Error(p.Name)
	}
	if src, ok := s.source(nil, ip("192.0.2.1"), 0); !ok || src != (Source{s.SourceIPv4, "me.example"}) {
		t.Error(src, ok)
	}
}

// The addresses of a pool take turns, each with its name; a connection of one is not another's.
func TestEgressTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		var from []string
		a := start(t, w, func(s *Settings, o *Options) {
			idleFor(60e9)(s, o)
			s.Egress = []*Pool{{From: []Source{{netip.MustParseAddr("198.51.100.1"), "a.out"}, {netip.MustParseAddr("198.51.100.2"), "b.out"}}}}
			dial := o.Dial
			o.Dial = func(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error) {
				from = append(from, local.String())
				return dial(ctx, local, to)
			}
		})
		for range 4 {
			if got := deliver(t, a, task("b@example.com"))[0]; got != sentOne {
				t.Error(got)
			}
		}
		slices.Sort(from)
		if strings.Join(from, " ") != "198.51.100.1 198.51.100.2" || w.said("EHLO a.out") != 1 || w.said("EHLO b.out") != 1 || w.said("MAIL") != 4 {
			t.Errorf("%q\n%q", from, w.log)
		}
	})
}

func TestFallbackRelay(t *testing.T) {
	const rescue = "192.0.2.5:25"
	grey := map[string]string{"RCPT": "450 4.2.0 later"}
	const sent = "relayed 2.0.0 rescue.example[192.0.2.5]:25: 250 2.0.0 queued as 1"
	for _, c := range []struct {
		name   string
		change func(*world)
		want   string
		signal flow.Signal
		via    string
		own    string // an address of ours
	}{
		{name: "all well", want: sentOne, signal: flow.Well},
		{name: "nobody there", change: func(w *world) { w.servers[one] = nil }, want: sent, signal: flow.Unreachable},
		{name: "greylisted", change: func(w *world) { w.servers[one] = &script{reply: grey} }, want: sent},
		{name: "no such domain", change: func(w *world) { w.zone.fail = map[string]dns.Kind{"example.com": dns.NXDomain} }, want: sent},
		{name: "refused for good", change: func(w *world) { w.servers[one] = &script{reply: map[string]string{"RCPT": "550 5.1.1 no"}} },
			want: "failed 5.1.1 one.example[192.0.2.1]:25: 550 5.1.1 no"},
		{name: "the fall-back refuses", change: func(w *world) {
			w.servers[one], w.servers[rescue] = nil, &script{reply: map[string]string{"greeting": "554 5.7.1 no"}}
		}, want: "deferred 4.7.1 rescue.example[192.0.2.5]:25: 554 5.7.1 no", signal: flow.Unreachable},
		// The relay would bring it back to us, its best exchanger that is there.
		{name: "we are the backup", change: func(w *world) { w.servers[one] = nil }, own: two, signal: flow.Unreachable,
			want: "deferred 4.4.1 none: connection to one.example[192.0.2.1]:25: connection refused"},
		{name: "we are the backup behind hosts that are enough", own: two, change: func(w *world) {
			w.servers[one], w.servers["192.0.2.3:25"] = &script{reply: grey}, &script{reply: grey}
			w.zone.mx["example.com"] = append(w.zone.mx["example.com"], dns.MX{Preference: 10, Host: "three.example"})
			w.zone.ip["three.example"] = []string{"192.0.2.3"}
		}, want: "deferred 4.2.0 three.example[192.0.2.3]:25: 450 4.2.0 later"},
		{name: "we are the best", own: one, want: "failed 5.4.6 none: mail for example.com comes back to this host, which does not take it"},
		{name: "the next hop is we", via: "[one.example]", own: one, want: "deferred 4.4.6 none: mail for one.example comes back to this host, which does not take it"},
		{name: "the next hop is dead", via: "[one.example]", change: func(w *world) { w.servers[one] = nil }, own: two, want: sent},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: {}, rescue: {}}}
				w.zone.ip["rescue.example"] = []string{"192.0.2.5"}
				if c.change != nil {
					c.change(w)
				}
				a := start(t, w, func(s *Settings, _ *Options) {
					s.Fallback = []flow.NextHop{{Host: "rescue.example"}}
				})
				if c.own != "" {
					a.opt.Own = func(ap netip.AddrPort) bool { return ap.String() == c.own }
				}
				tk := task("b@example.com")
				if c.via != "" {
					via(tk, flow.SMTP, c.via)
				}
				o := a.Deliver(t.Context(), []*queue.Task{tk})[0][0]
				if got := fmt.Sprintf("%s %s %s: %s", o.Result, o.Status, o.Relay, o.Reply); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if c.signal != flow.Silent && o.Signal != c.signal {
					t.Errorf("signal %d, want %d", o.Signal, c.signal)
				}
			})
		})
	}
}
