package mta

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

// at is the policy of a level as settings have it.
func at(l TLS) Policy {
	return level(map[TLS]string{TLSMay: "may", TLSEncrypt: "encrypt", TLSVerify: "verify"}[l])
}

func TestTLS(t *testing.T) {
	good, client := dialogue.TLS(t, "one.example")
	other, _ := dialogue.TLS(t, "two.example")
	bad := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, context.Canceled }}
	const sent = sentOne
	for _, c := range []struct {
		name     string
		level    TLS
		server   *tls.Config
		reply    map[string]string
		want     string // a prefix
		connects int
		secure   int // handshakes that led to mail
	}{
		{"none, offered", TLSNone, good, nil, sent, 1, 0},
		{"may, offered", TLSMay, good, nil, sent, 1, 1},
		{"may, another's certificate", TLSMay, other, nil, sent, 1, 1},
		{"may, not offered", TLSMay, nil, nil, sent, 1, 0},
		{"may, broken", TLSMay, bad, nil, sent, 2, 0},
		{"may, refused", TLSMay, good, map[string]string{"STARTTLS": "454 4.7.0 not now"}, sent, 1, 0},
		{"may, closed", TLSMay, good, map[string]string{"STARTTLS": "close"}, sent, 2, 0},
		{"may, silent", TLSMay, good, map[string]string{"STARTTLS": "silent"}, sent, 2, 0},
		{"encrypt, offered", TLSEncrypt, good, nil, sent, 1, 1},
		{"encrypt, another's certificate", TLSEncrypt, other, nil, sent, 1, 1},
		{"encrypt, not offered", TLSEncrypt, nil, nil, "deferred 4.7.4 one.example[192.0.2.1]:25: TLS is required", 1, 0},
		{"encrypt, broken", TLSEncrypt, bad, nil, "deferred 4.7.5 one.example[192.0.2.1]:25: the connection", 1, 0},
		{"encrypt, refused", TLSEncrypt, good, map[string]string{"STARTTLS": "554 5.7.0 never"}, "deferred 4.7.0 one.example[192.0.2.1]:25: 554 5.7.0 never", 1, 0},
		{"verify, right", TLSVerify, good, nil, sent, 1, 1},
		{"verify, another's certificate", TLSVerify, other, nil, "deferred 4.7.5 one.example[192.0.2.1]:25: the connection", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: {tls: c.server, reply: c.reply}}}
				delete(w.zone.ip, "two.example")
				var log bytes.Buffer
				a := start(t, w, func(s *Settings, o *Options) {
					s.TLS, s.RootCAs = at(c.level), client.RootCAs
					o.Log = slog.New(slog.NewTextHandler(&log, nil))
				})
				if got := deliver(t, a, task("b@example.com"))[0]; !strings.HasPrefix(got, c.want) {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if w.said("connect "+one) != c.connects || w.said("EHLO") != c.connects+c.secure {
					t.Errorf("%q", w.log)
				}
				if strings.Contains(log.String(), "in the clear") != (c.connects == 2) {
					t.Errorf("log: %s", log.String())
				}
			})
		})
	}
}

func TestSmartHost(t *testing.T) {
	server, client := dialogue.TLS(t, "relay.example")
	for _, c := range []struct {
		name  string
		level TLS
		port  uint16
		user  string
		tls   bool
		now   bool
		after map[string]string
		reply map[string]string
		ext   []string
		want  string
		auth  int
	}{
		{name: "AUTH", level: TLSVerify, port: 587, user: "u", tls: true, ext: []string{"AUTH PLAIN"}, want: "relayed 2.0.0", auth: 1},
		{name: "AUTH refused", level: TLSVerify, port: 587, user: "u", tls: true, ext: []string{"AUTH PLAIN"},
			after: map[string]string{"AUTH": "535 5.7.8 wrong"}, want: "deferred 4.7.8 relay.example[192.0.2.5]:587: 535 5.7.8 wrong", auth: 1},
		{name: "AUTH not offered", level: TLSVerify, port: 587, user: "u", tls: true, want: "deferred 4.7.0 relay.example[192.0.2.5]:587: relay.example[192.0.2.5]:587 offers no way"},
		{name: "AUTH without TLS", level: TLSMay, port: 587, user: "u", ext: []string{"AUTH PLAIN"}, want: "deferred 4.7.4 relay.example[192.0.2.5]:587: no authentication"},
		{name: "no AUTH, no TLS", level: TLSNone, port: 25, want: "relayed 2.0.0"},
		{name: "TLS from the first byte", level: TLSVerify, port: 465, user: "u", tls: true, now: true, ext: []string{"AUTH PLAIN"}, want: "relayed 2.0.0", auth: 1},
		{name: "TLS from the first byte, but no", level: TLSVerify, port: 465, want: "deferred 4.7.5 relay.example[192.0.2.5]:465: TLS with"},
		{name: "refused for good", level: TLSNone, port: 25, reply: map[string]string{"greeting": "554 5.7.1 not you"}, want: "deferred 4.7.1 relay.example[192.0.2.5]:25: 554 5.7.1 not you"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{ext: c.ext, after: c.after, reply: c.reply, now: c.now}
				if c.tls {
					s.tls = server
				}
				hop := hop{name: "relay.example", addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.5"), c.port)}
				w := &world{zone: zone{ip: map[string][]string{"relay.example": {"192.0.2.5"}}}, servers: map[string]*script{hop.addr.String(): s}}
				a := start(t, w, func(s *Settings, _ *Options) {
					s.RootCAs = client.RootCAs
					s.SmartHost = SmartHost{Host: "relay.example", Port: c.port, User: c.user, Password: "pw", TLS: at(c.level)}
				})
				// With the next hop that routing gave, and without.
				for _, nextHop := range []string{"[relay.example]:" + hop.addr.String()[len("192.0.2.5:"):], ""} {
					got := deliver(t, a, via(task("b@example.com"), flow.SMTP, nextHop))[0]
					if !strings.HasPrefix(got, c.want) {
						t.Errorf("got  %s\nwant %s", got, c.want)
					}
				}
				if w.said("AUTH PLAIN "+sasl.Encode([]byte("\x00u\x00pw"))) != 2*c.auth || w.said("AUTH") != 2*c.auth {
					t.Errorf("%q", w.log)
				}
			})
		})
	}
}

// The smart host's password goes to nobody else.
func TestPasswordStaysWithTheSmartHost(t *testing.T) {
	server, client := dialogue.TLS(t, "other.example")
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: zone{ip: map[string][]string{"other.example": {"192.0.2.5"}}},
			servers: map[string]*script{"192.0.2.5:587": {tls: server, ext: []string{"AUTH PLAIN"}}}}
		a := start(t, w, func(s *Settings, _ *Options) {
			s.RootCAs = client.RootCAs
			s.SmartHost = SmartHost{Host: "relay.example", Port: 587, User: "u", Password: "pw", TLS: at(TLSVerify)}
		})
		got := deliver(t, a, via(task("b@example.com"), flow.SMTP, "[other.example]:587"))[0]
		if !strings.HasPrefix(got, "relayed") || w.said("AUTH") != 0 {
			t.Errorf("%s\n%q", got, w.log)
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {reply: map[string]string{"connect": "silent"}}}}
		a := start(t, w, func(s *Settings, _ *Options) { s.Connect = 7 * time.Second })
		begin := time.Now()
		deliver(t, a, task("b@example.com"))
		if d := time.Since(begin); d != 7*time.Second {
			t.Error(d)
		}
	})
}
