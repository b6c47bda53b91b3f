package mta

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// A probe learns whether an address exists from the real server of its domain, and leaves no message.
func TestProbe(t *testing.T) {
	r := &relay{}
	s := smtp.NewServer(&smtp.Config{Hostname: "relay.example", Backend: r})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(t.Context(), l, smtp.TLSStart) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
	}()
	mx := func(host string) []dns.MX { return []dns.MX{{Preference: 10, Host: host}} }
	a := New(Options{}, &Settings{Hello: "me.example", Port: l.Addr().(*net.TCPAddr).AddrPort().Port(), Resolver: &zone{
		mx: map[string][]dns.MX{"example.com": mx("relay.example"), "null.example": mx(""), "away.example": mx("away.example")},
		ip: map[string][]string{"relay.example": {"127.0.0.1"}}}})
	defer a.Close()
	for to, want := range map[string]int{"a@example.com": 0, "unknown@example.com": 550, "a@null.example": 550} {
		rcpt, err := address.Parse(to, false)
		if err != nil {
			t.Fatal(err)
		}
		err = a.Probe(t.Context(), address.Address{Local: "double-bounce", Domain: "me.example"}, &flow.Recipient{To: rcpt, Transport: flow.SMTP})
		if got := status.Of(err); want == 0 && err != nil || want != 0 && (err == nil || got.Code != want) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := a.Probe(t.Context(), address.Address{}, &flow.Recipient{To: address.Address{Local: "x", Domain: "gone.example"}, Transport: flow.SMTP}); err == nil {
		t.Error("a domain that is not there takes mail")
	}
	if len(r.messages) != 0 {
		t.Errorf("%d messages", len(r.messages))
	}
}
