package node

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
)

func talkFrom(t testing.TB, n *Node, from, service string) *talk {
	t.Helper()
	c := dialFrom(t, n, from, service)
	return &talk{t, c, bufio.NewReader(c)}
}

// TestClientRates: Postfix's limits in its words, in the sessions that exceed them; others, and the exempt, do not notice.
func TestClientRates(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `rates.smtpd_client_connection_rate_limit = 3`, `rates.smtpd_client_message_rate_limit = 4`,
		`rates.smtpd_client_recipient_rate_limit = 7`, `rates.anvil_rate_time_unit = "1h"`, `rates.smtpd_client_event_limit_exceptions = ["127.0.0.9"]`,
		`rates.smtpd_client_new_tls_session_rate_limit = 2`, `rates.reader_connection_rate_limit = 4`, `rates.client_bytes_per_hour = "3KiB"`,
		`rates.recipient_messages_per_hour = 9`, `rates.sender_domain_messages_per_hour = 9`))
	addUser(t, n, "alice", "pw")
	k := talkFrom(t, n, "127.0.0.2", "smtp")
	k.until("220")
	k.say("EHLO x", "250 ")
	for range 4 {
		k.say("MAIL FROM:<a@far.example>", "250")
		k.say("RCPT TO:<alice@here.example>", "250")
		k.say("RSET", "250")
	}
	if got := k.say("MAIL FROM:<a@far.example>", ""); got != "450 4.7.1 Error: too much mail from 127.0.0.2" {
		t.Error(got)
	}
	k = talkFrom(t, n, "127.0.0.3", "smtp")
	k.until("220")
	k.say("EHLO x", "250 ")
	k.say("MAIL FROM:<a@far.example>", "250")
	for range 7 {
		k.say("RCPT TO:<nobody@here.example>", "550")
	}
	if got := k.say("RCPT TO:<alice@here.example>", ""); got != "450 4.7.1 Error: too many recipients from 127.0.0.3" {
		t.Error(got)
	}
	for i := range 2 {
		talkFrom(t, n, "127.0.0.2", "smtp").until("220")
		for range 5 {
			talkFrom(t, n, "127.0.0.9", "smtp").until("220")
		}
		_ = i
	}
	if got := talkFrom(t, n, "127.0.0.2", "smtp").line(); got != "421 4.7.0 mail.here.example Error: too many connections from 127.0.0.2" {
		t.Error(got)
	}
	for range 4 {
		talkFrom(t, n, "127.0.0.4", "imap").until("* OK")
	}
	for service, want := range map[string]string{"imap": "* BYE [UNAVAILABLE] Too many connections from 127.0.0.4; try again later",
		"pop3": "-ERR [SYS/TEMP] Too many connections from 127.0.0.4; try again later", "imaps": ""} {
		if got := talkFrom(t, n, "127.0.0.4", service).line(); got != want {
			t.Errorf("%s: %q", service, got)
		}
	}
	for i := range 3 {
		c := tls.Client(dialFrom(t, n, "127.0.0.5", "imaps"), &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); (err == nil) != (i < 2) {
			t.Errorf("TLS session %d: %v", i, err)
		}
	}
	k = talkFrom(t, n, "127.0.0.5", "submission")
	k.until("220")
	k.say("EHLO x", "250 ")
	if got := k.say("STARTTLS", ""); got != "454 4.7.0 Error: too many new TLS sessions from 127.0.0.5" {
		t.Error(got)
	}
	k = talkFrom(t, n, "127.0.0.6", "smtp")
	k.until("220")
	k.say("EHLO x", "250 ")
	if got := k.say("MAIL FROM:<a@far.example> SIZE=4000", ""); got != "450 4.7.1 Error: too much mail from 127.0.0.6" {
		t.Error(got)
	}
	message := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 28) + "."
	for _, want := range []string{"250", "450 4.7.1 Error: too much mail from 127.0.0.6"} {
		k.say("MAIL FROM:<a@far.example>", "250")
		k.say("RCPT TO:<alice@here.example>", "250")
		k.say("DATA", "354")
		if got := k.say(message, ""); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	k = talkFrom(t, n, "127.0.0.9", "smtp")
	k.until("220")
	k.say("EHLO x", "250 ")
	got := map[string]int{}
	for range 12 {
		line := k.say("MAIL FROM:<b@other.example>", "")
		got[line]++
		if strings.HasPrefix(line, "250") {
			k.say("RSET", "250")
		}
	}
	if got["450 4.7.1 Error: too much mail from other.example"] != 3 {
		t.Errorf("%v", got)
	}
}

// TestAccountRates: what an account sends counts when it is sent; a restart does not forget it.
func TestAccountRates(t *testing.T) {
	dir := t.TempDir()
	c := testConfig(t, dir, `rates.account_messages_per_day = 3`, `rates.account_recipients_per_day = 5`, `rates.tenant_messages_per_day = 9`, `rates.unlimited_accounts = ["Carol@here.example"]`)
	n, stop := start(t, c)
	for _, user := range []string{"alice", "bob", "carol"} {
		addUser(t, n, user, "pw")
	}
	sends := func(user, to string) error {
		t.Helper()
		return submit(t, n, submission{"submissions", user + "@here.example", "pw"}, user+"@here.example", to, "Subject: x\r\n\r\nx\r\n")
	}
	fails := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	for range 4 { // none of these is sent
		fails(sends("alice", "nobody@here.example"), "550")
	}
	for range 2 {
		if err := sends("alice", "bob@here.example,nobody@here.example"); err != nil && !strings.Contains(err.Error(), "550") {
			t.Fatal(err)
		}
	}
	fails(sends("alice", "alice@here.example,bob@here.example,carol@here.example,postmaster@here.example"), "450 4.7.1 Error: too many recipients of your account in a day; try again later")
	stop()
	n, _ = start(t, c)
	fails(sends("alice", "bob@here.example"), "450 4.7.1 Error: too many messages of your account in a day; try again later")
	for range 2 {
		if err := sends("bob", "alice@here.example"); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if err := sends("carol", "alice@here.example"); err != nil {
			t.Fatal(err)
		}
	}
	fails(sends("carol", "alice@here.example"), "450 4.7.1 Error: too many messages of your organization in a day; try again later")
}

// TestRatesOnlyThoughtOf: a session that is only thought of counts nothing, and tells which limit decides.
func TestRatesOnlyThoughtOf(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `rates.smtpd_client_message_rate_limit = 2`))
	said := ""
	conn := &gate.Conn{Service: "smtp", Client: flow.Client{Addr: mustAddrPort(t, "192.0.2.1:5")}, Dry: true,
		Note: func(n gate.Note) { said = fmt.Sprintf("%s: %s: %s", n.Stage, n.Rule, n.Result) }}
	mail := func() error {
		s, err := n.rateGate(n.config.Load(), "smtp").Connect(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		tx := &gate.Transaction{Conn: conn, Transaction: &flow.Transaction{}, Envelope: &envelope.Envelope{}}
		return s.Mail(t.Context(), tx)
	}
	for range 5 {
		if err := mail(); err != nil {
			t.Fatal(err)
		}
	}
	conn.Dry = false
	for range 2 {
		if err := mail(); err != nil {
			t.Fatal(err)
		}
	}
	conn.Dry = true
	if err := mail(); err == nil || said != "mail: rates.smtpd_client_message_rate_limit: reject 450 4.7.1 Error: too much mail from 192.0.2.1" {
		t.Errorf("%v, %q", err, said)
	}
	if n.rateGate(n.config.Load(), "lmtp") != nil {
		t.Error("LMTP's client has limits")
	}
}

func mustAddrPort(t testing.TB, s string) (a netip.AddrPort) {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// BenchmarkRateGate is what all limits at once cost a message with one recipient.
func BenchmarkRateGate(b *testing.B) {
	var sets []string
	for _, r := range rateRules(everyRate()) {
		most := `1000000000`
		if r.what == octets {
			most = `"1TiB"`
		}
		sets = append(sets, "rates."+r.setting+"="+most)
	}
	n, _ := start(b, testConfig(b, b.TempDir(), sets...))
	addUser(b, n, "alice", "pw")
	acc, _, err := n.directory.LoginAccount(b.Context(), "alice@here.example")
	if err != nil {
		b.Fatal(err)
	}
	conn := &gate.Conn{Service: "submission", Client: flow.Client{Addr: mustAddrPort(b, "192.0.2.1:5"), Account: acc.ID, Login: acc.Address.String()}}
	s, err := n.rateGate(n.config.Load(), "submission").Connect(b.Context(), conn)
	if err != nil {
		b.Fatal(err)
	}
	rcpt := envelope.Recipient{To: mustAddress(b, "bob@far.example")}
	b.ReportAllocs()
	for b.Loop() {
		e := &envelope.Envelope{From: acc.Address}
		tx := &gate.Transaction{Conn: conn, Transaction: &flow.Transaction{}, Envelope: e}
		if err := errors.Join(s.Mail(b.Context(), tx), s.Rcpt(b.Context(), tx, &rcpt)); err != nil {
			b.Fatal(err)
		}
		e.Recipients = append(e.Recipients, rcpt)
		if err := errors.Join(s.Data(b.Context(), tx), s.Message(b.Context(), tx, &gate.Message{Size: 10 << 10})); err != nil {
			b.Fatal(err)
		}
		s.Reset(b.Context())
	}
}

// everyRate has every limit set.
func everyRate() *config.Rates {
	var r config.Rates
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.CanInt() {
			f.SetInt(1)
		}
	}
	return &r
}

// TestEveryRateHasItsKey: each limit is reachable by its key, and none is forgotten.
func TestEveryRateHasItsKey(t *testing.T) {
	rules := rateRules(everyRate())
	elsewhere := map[string]bool{"smtpd_client_auth_rate_limit": true, "smtpd_client_new_tls_session_rate_limit": true, "reader_connection_rate_limit": true,
		"anvil_rate_time_unit": true, "smtpd_client_event_limit_exceptions": true, "unlimited_accounts": true}
	known := map[string]bool{}
	for _, r := range rules {
		known[r.setting] = true
	}
	for f := range reflect.TypeFor[config.Rates]().Fields() {
		if key := f.Tag.Get("toml"); known[key] == elsewhere[key] {
			t.Errorf("rates.%s: %v", key, known[key])
		}
	}
}

// TestRefusedCountsNowhere: what one limit refuses does not use up another, that was asked before.
func TestRefusedCountsNowhere(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `rates.smtpd_client_message_rate_limit = 5`, `rates.network_message_rate_limit = 1`))
	conn := &gate.Conn{Client: flow.Client{Addr: netip.MustParseAddrPort("198.51.100.7:1")}}
	s, err := n.rateGate(n.config.Load(), "smtp").Connect(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		tx := &gate.Transaction{Conn: conn, Envelope: &envelope.Envelope{}}
		if err := s.Mail(t.Context(), tx); (err == nil) != (i == 0) {
			t.Errorf("message %d: %v", i+1, err)
		}
	}
	for _, u := range n.rates.clients.Usages(n.opt.Now()) {
		if u.Used != 1 {
			t.Errorf("%+v is counted for one message", u)
		}
	}
}
