package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/postrider/postrider/internal/dns"
)

const tsigSecret = "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgaGVyZSBtb3Jl"

// primary is a name server that notes updates. sign: the key that it signs its answers with, "" for none.
func primary(t *testing.T, answer func(q, m *wire.Msg), sign string) (address string, seen func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	server := &wire.Server{Listener: l, TsigSecret: map[string]string{"postrider.": tsigSecret, "other.": tsigSecret}}
	server.MsgAcceptFunc = func(wire.Header) wire.MsgAcceptAction { return wire.MsgAccept }
	server.Handler = wire.HandlerFunc(func(w wire.ResponseWriter, q *wire.Msg) {
		signed := q.IsTsig() != nil && w.TsigStatus() == nil
		for _, rr := range q.Ns {
			log = append(log, fmt.Sprintf("%s signed=%v %s", q.Question[0].Name, signed, strings.ReplaceAll(rr.String(), "\t", " ")))
		}
		m := new(wire.Msg)
		m.SetReply(q)
		answer(q, m)
		if sign != "" {
			m.SetTsig(sign, wire.HmacSHA256, 300, time.Now().Unix())
		}
		_ = w.WriteMsg(m) // the client shows what it missed
	})
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	stop := func() []string {
		_ = server.Shutdown() // a second time it says so
		if done != nil {
			<-done
			done = nil
		}
		return log
	}
	t.Cleanup(func() { stop() })
	return l.Addr().String(), stop
}

func updater(address, zone string) *dns.Updater {
	return &dns.Updater{Server: address, Zone: zone, Now: time.Now, Dial: new(net.Dialer).DialContext,
		Key: dns.TSIGKey{Name: "postrider", Algorithm: "hmac-sha256", Secret: tsigSecret}}
}

func TestUpdate(t *testing.T) {
	address, seen := primary(t, func(q, m *wire.Msg) {
		if q.Opcode == wire.OpcodeQuery { // RFC 2308 §3: the zone of what is not there
			m.Ns = []wire.RR{&wire.SOA{Hdr: wire.RR_Header{Name: "Here.test.", Rrtype: wire.TypeSOA, Class: wire.ClassINET}, Ns: "ns.", Mbox: "h."}}
		}
	}, "postrider.")
	for _, zone := range []string{"", "mx.here.test."} {
		u := updater(address, zone)
		if err := errors.Join(u.AddTXT(t.Context(), "_acme-challenge.mx.here.test.", "value", time.Minute),
			u.RemoveTXT(t.Context(), "_acme-challenge.mx.here.test", "value")); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`here.test. signed=true _acme-challenge.mx.here.test. 60 IN TXT "value"`, `here.test. signed=true _acme-challenge.mx.here.test. 0 NONE TXT "value"`,
		`mx.here.test. signed=true _acme-challenge.mx.here.test. 60 IN TXT "value"`, `mx.here.test. signed=true _acme-challenge.mx.here.test. 0 NONE TXT "value"`,
	}
	if got := strings.Join(seen(), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the server saw\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestUpdateRefused(t *testing.T) {
	for _, c := range []struct {
		about, zone, sign string
		answer            func(q, m *wire.Msg)
		want              string
	}{
		{"refused", "here.test", "postrider.", func(_, m *wire.Msg) { m.Rcode = wire.RcodeRefused }, "with REFUSED: does the server allow"},
		{"not its zone", "here.test", "postrider.", func(_, m *wire.Msg) { m.Rcode = wire.RcodeNotZone }, "NOTZONE: the name is not in this zone"},
		{"refused without a signature", "here.test", "", func(_, m *wire.Msg) { m.Rcode = wire.RcodeNotAuth }, "NOTAUTH: is the server the primary"},
		{"accepted without a signature", "here.test", "", func(_, _ *wire.Msg) {}, "the answer is not signed"},
		{"signed by another", "here.test", "other.", func(_, _ *wire.Msg) {}, "secret"},
		{"another id", "here.test", "postrider.", func(_, m *wire.Msg) { m.Id++ }, "not the answer to our question"},
		{"no zone", "", "postrider.", func(_, m *wire.Msg) { m.Rcode = wire.RcodeRefused }, "does not know the zone of _acme-challenge.mx.here.test (REFUSED)"},
		{"a strange zone", "", "postrider.", func(_, m *wire.Msg) {
			m.Ns = []wire.RR{&wire.SOA{Hdr: wire.RR_Header{Name: "x.here.test.", Rrtype: wire.TypeSOA, Class: wire.ClassINET}, Ns: "ns.", Mbox: "h."}}
		}, "does not know the zone"},
	} {
		address, _ := primary(t, c.answer, c.sign)
		err := updater(address, c.zone).AddTXT(t.Context(), "_acme-challenge.mx.here.test", "value", time.Minute)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.about, err, c.want)
		}
	}
	for _, name := range []string{"", "a b.test", strings.Repeat("a.", 130) + "test"} {
		if err := updater("127.0.0.1:1", "here.test").AddTXT(t.Context(), name, "v", 0); err == nil || !strings.Contains(err.Error(), "no TXT record") {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}

func TestUpdateGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	u := updater("192.0.2.1:53", "here.test")
	u.Dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() { // takes the question, answers nothing
			defer cancel()
			_, _ = server.Read(make([]byte, 4096))
		}()
		return client, nil
	}
	if err := u.AddTXT(ctx, "x.here.test", "v", 0); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("%v", err)
	}
}
