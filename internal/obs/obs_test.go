package obs

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
)

// clock is the time of every maillog line in these tests.
var clock = time.Date(2026, 11, 22, 1, 2, 3, 0, time.Local)

var (
	id1      = queueid.New(1_763_773_323_000_000, 1)
	id2      = queueid.New(1_763_773_323_000_001, 1)
	alice    = address.Address{Local: "alice", Domain: "example.test"}
	bob      = address.Address{Local: "bob", Domain: "example.org"}
	stranger = peer("smtp", "192.0.2.9")
)

func peer(service, addr string) Peer {
	return Peer{Service: service, Session: "s1", Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 4711), Local: netip.MustParseAddr("192.0.2.1")}
}

func open(t *testing.T, format, level string) (*Log, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	l, err := New(Options{Out: &b, Format: format, Level: level, Hostname: "mx.example.test", PID: 77, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	return l, &b
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Format: "text", Level: "loud"}, {Format: "xml", Level: "info"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// One line for one outcome, with the fixed keys.
func TestOutcomesAsJSON(t *testing.T) {
	l, b := open(t, "json", "debug")
	l.Emit(Delivery{ID: id1, To: bob, OrigTo: alice, Transport: "smtp", Relay: "mx.example.org[192.0.2.7]:25", Delay: 1500 * time.Millisecond,
		Delays: [4]time.Duration{100 * time.Millisecond, 0, 400 * time.Millisecond, time.Second},
		DSN:    status.Enhanced{Class: 2}, Outcome: Sent, Text: "250 2.0.0 Ok"})
	l.Emit(Rejected{Peer: stranger, Command: "RCPT", Helo: "h", From: "a@x.test", To: "b@y.test", Reason: ReasonRelay,
		Error: status.Perm(550, 7, 1, "no relay").With("rcpt", errors.New("secret cause"))})
	l.Emit(Connect{stranger})
	var got []map[string]any
	for line := range strings.Lines(b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if len(got) != 3 {
		t.Fatalf("%d lines:\n%s", len(got), b)
	}
	want := map[string]any{KeyQueueID: id1.String(), KeyTo: "bob@example.org", KeyOrigTo: "alice@example.test", KeyDelay: 1.5,
		KeyDelays: "0.1/0/0.4/1", KeyDSN: "2.0.0", KeyStatus: "sent", KeyRelay: "mx.example.org[192.0.2.7]:25", "msg": "delivery"}
	for k, v := range want {
		if got[0][k] != v {
			t.Errorf("%s: %v, want %v", k, got[0][k], v)
		}
	}
	if got[1][KeyClient] != "192.0.2.9" || got[1][KeyCode] != 550.0 || got[1][KeyError] != "rcpt: secret cause" || got[1][KeyReason] != "relay" {
		t.Errorf("%v", got[1])
	}
	if got[2]["level"] != "DEBUG" {
		t.Errorf("a connection is no outcome: %v", got[2])
	}
}

func TestMaillogLines(t *testing.T) {
	id := id1.String()
	for _, c := range []struct {
		event Event
		want  []string // after "Nov 22 01:02:03 mx "
	}{
		{Connect{stranger}, []string{"postfix/smtpd[N]: connect from unknown[192.0.2.9]"}},
		{Disconnect{Peer: stranger, Commands: 4, Reason: "lost connection after RCPT"}, []string{
			"postfix/smtpd[N]: lost connection after RCPT from unknown[192.0.2.9]", "postfix/smtpd[N]: disconnect from unknown[192.0.2.9] commands=4"}},
		{Accepted{Peer: peer("submission", "2001:db8::9"), ID: id1, Account: "alice@example.test", Mech: "PLAIN", From: alice, MessageID: "m@x", Size: 1234, Nrcpt: 2}, []string{
			"postfix/submission/smtpd[N]: " + id + ": client=unknown[2001:db8::9], sasl_method=PLAIN, sasl_username=alice@example.test",
			"postfix/cleanup[77]: " + id + ": message-id=<m@x>",
			"postfix/qmgr[77]: " + id + ": from=<alice@example.test>, size=1234, nrcpt=2 (queue active)"}},
		{Queued{ID: id2, Cause: id1, Kind: "bounce", Size: 99, Nrcpt: 1}, []string{
			"postfix/bounce[77]: " + id + ": sender non-delivery notification: " + id2.String(),
			"postfix/qmgr[77]: " + id2.String() + ": from=<>, size=99, nrcpt=1 (queue active)"}},
		{Delivery{ID: id1, To: bob, Transport: "smtp", Relay: "mx.example.org[192.0.2.7]:25", Delay: 12300 * time.Millisecond, DSN: status.Enhanced{Class: 4, Subject: 4, Detail: 1}, Outcome: Deferred, Text: "connect to mx:\nrefused"}, []string{
			"postfix/smtp[77]: " + id + ": to=<bob@example.org>, relay=mx.example.org[192.0.2.7]:25, delay=12, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to mx: refused)"}},
		{Delivery{ID: id1, To: alice, Transport: "mailbox", Outcome: Sent, Text: "delivered to mailbox"}, []string{
			"postfix/virtual[77]: " + id + ": to=<alice@example.test>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)"}},
		{Delivery{ID: id1, To: bob, Transport: "smtp", Outcome: Expired, Text: "too old"}, []string{
			"postfix/smtp[77]: " + id + ": to=<bob@example.org>, relay=none, delay=0, delays=0/0/0/0, dsn=5.0.0, status=bounced (too old)"}},
		{Removed{id1}, []string{"postfix/qmgr[77]: " + id + ": removed"}},
		{Rejected{Peer: stranger, Command: "RCPT", Helo: "h", From: "a@x.test", To: "b@y.test", Reason: ReasonRelay, Error: status.Perm(550, 7, 1, "we do not relay")}, []string{
			"postfix/smtpd[N]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 550 5.7.1 <b@y.test>: Relay access denied: we do not relay; from=<a@x.test> to=<b@y.test> proto=ESMTP helo=<h>"}},
		{Screened{Peer: stranger, What: ScreenPassNew}, []string{"postfix/postscreen[N]: PASS NEW [192.0.2.9]:4711"}},
		{Screened{Peer: stranger, What: ScreenPregreet, After: 30 * time.Millisecond, Count: 8, Text: "EHLO \\\r\n"}, []string{
			`postfix/postscreen[N]: PREGREET 8 after 0.03 from [192.0.2.9]:4711: EHLO \\\r\n`}},
		{Screened{Peer: stranger, What: ScreenDNSBL, Count: 5}, []string{"postfix/postscreen[N]: DNSBL rank 5 for [192.0.2.9]:4711"}},
		{Screened{Peer: stranger, What: ScreenListed, Text: "bl.test", Code: netip.MustParseAddr("127.0.0.2")}, []string{
			"postfix/dnsblog[N]: addr 192.0.2.9 listed by domain bl.test as 127.0.0.2"}},
		{Screened{Peer: stranger, What: ScreenHangup, After: time.Second, Text: "tests before SMTP handshake"}, []string{
			"postfix/postscreen[N]: HANGUP after 1 from [192.0.2.9]:4711 in tests before SMTP handshake"}},
		{Screened{Peer: stranger, What: ScreenNewline, Command: "EHLO"}, []string{"postfix/postscreen[N]: BARE NEWLINE from [192.0.2.9]:4711 after EHLO"}},
		{Screened{Peer: stranger, What: ScreenGreylisted, Count: 300}, nil},
		{AuthFailed{Peer: stranger, Mech: "PLAIN", Account: "alice"}, []string{
			"postfix/smtpd[N]: warning: unknown[192.0.2.9]: SASL PLAIN authentication failed: authentication failure, sasl_username=alice"}},
		{AuthFailed{Peer: peer("imaps", "192.0.2.9"), Mech: "SCRAM-SHA-256", Account: "alice"}, []string{
			"dovecot[77]: imap-login: Disconnected (auth failed, 1 attempts): user=<alice>, method=SCRAM-SHA-256, rip=192.0.2.9, lip=192.0.2.1, session=<s1>"}},
		{Login{Peer: peer("imap", "192.0.2.9"), Mech: "PLAIN", Account: "alice"}, []string{
			"dovecot[77]: imap-login: Login: user=<alice>, method=PLAIN, rip=192.0.2.9, lip=192.0.2.1, session=<s1>"}},
		{Login{Peer: peer("imap", "192.0.2.9"), Mech: "PLAIN", Account: "alice", Master: "root>\n"}, []string{
			"dovecot[77]: imap-login: Login: user=<alice>, method=PLAIN, rip=192.0.2.9, lip=192.0.2.1, session=<s1>, master=<root??>"}},
		{Login{Peer: stranger, Mech: "PLAIN", Account: "alice"}, nil},
		{Login{Peer: stranger, Mech: "PLAIN", Account: "alice", Master: "root>\n"}, []string{
			"postfix/smtpd[N]: unknown[192.0.2.9]: master user <root??> acts as sasl_username=alice"}},
		{Logout{Peer: peer("imap", "192.0.2.9"), Account: "alice", In: 5, Out: 6}, []string{
			"dovecot[77]: imap(alice)<N><s1>: Disconnected: Logged out in=5 out=6"}},
	} {
		l, b := open(t, "maillog", "info")
		l.Emit(c.event)
		var want strings.Builder
		for _, w := range c.want {
			want.WriteString("Nov 22 01:02:03 mx " + strings.ReplaceAll(w, "N]", "1929230]") + "\n")
		}
		got := b.String()
		text := strings.ReplaceAll(want.String(), "<N>", "<1929230>")
		if n := sessionNumber(t); n != "1929230" {
			text = strings.ReplaceAll(text, "1929230", n)
		}
		if got != text {
			t.Errorf("%T:\n got %swant %s", c.event, got, text)
		}
	}
}

func sessionNumber(t *testing.T) string {
	t.Helper()
	l, b := open(t, "maillog", "info")
	l.Emit(Connect{stranger})
	_, rest, _ := strings.Cut(b.String(), "[")
	n, _, _ := strings.Cut(rest, "]")
	if n == "77" || n == "" {
		t.Fatalf("a session needs a number of its own: %s", b)
	}
	return n
}

// forged writes every event with texts that a stranger chose to look like other lines.
func forged(t *testing.T) string {
	t.Helper()
	evil := "x\nNov 22 01:02:03 mx postfix/smtpd[1]: warning: unknown[203.0.113.1]: SASL PLAIN authentication failed: >, rip=203.0.113.1, a=<\x00\xff"
	p := stranger
	p.Name, p.Session, p.TLS = "a[203.0.113.1]: "+evil, evil, evil
	imap := p
	imap.Service = "imap"
	from := address.Address{Local: evil, Domain: evil}
	l, b := open(t, "maillog", "debug")
	for _, e := range []Event{Connect{p}, Disconnect{Peer: p, Commands: 1}, Accepted{Peer: p, ID: id1, Account: evil, Mech: evil, From: from, MessageID: evil, Helo: evil},
		Delivery{ID: id1, To: from, OrigTo: bob, Relay: evil, Text: evil, Transport: evil},
		Rejected{Peer: p, Command: evil, From: evil, To: evil, Helo: evil, Protocol: evil, Error: status.Perm(550, 0, 0, evil)},
		Rejected{Peer: p, Command: "RCPT", From: evil, To: evil, Helo: evil, Reason: ReasonRelay, Error: status.Perm(550, 0, 0, evil)},
		Screened{Peer: p, What: ScreenPregreet, Text: evil}, Screened{Peer: p, What: ScreenCommand, Command: evil, Text: evil},
		AuthFailed{Peer: p, Mech: evil, Account: evil}, AuthFailed{Peer: p, Mech: "PLAIN", Account: evil}, AuthFailed{Peer: imap, Mech: evil, Account: evil},
		Login{Peer: imap, Account: evil, Mech: evil}, Logout{Peer: imap, Account: evil, Reason: evil},
	} {
		l.Emit(e)
	}
	l.Info(evil, evil, evil)
	return b.String()
}

// What a stranger chooses cannot make a line, nor end the <> it stands in. That no filter finds an address in it is
// shown with the real fail2ban (tools_test.go).
func TestMaillogCannotBeForged(t *testing.T) {
	log := forged(t)
	if lines, want := strings.Count(log, "\n"), 16; lines != want {
		t.Errorf("%d lines, want %d:\n%s", lines, want, log)
	}
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "Nov 22 01:02:03 mx ") || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x00\n\r") || !utf8.ValidString(line) {
			t.Errorf("forged: %q", line)
		}
		if strings.Contains(line, "user=<") && !strings.Contains(line, "rip=192.0.2.9") {
			t.Errorf("no true rip: %q", line)
		}
	}
}

func TestRecordsInMaillog(t *testing.T) {
	l, b := open(t, "maillog", "info")
	l.With(KeyComponent, "mta").WithGroup("g").Warn("look\nhere", "k", "a b", slog.Group("h", slog.Int("n", 1)), "e", "")
	l.Debug("not shown")
	want := "Nov 22 01:02:03 mx postrider[77]: warn: look?here component=mta g.k=\"a b\" g.h.n=1 g.e=\"\"\n"
	if b.String() != want {
		t.Errorf("\n got %q\nwant %q", b.String(), want)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", 4 * time.Millisecond: "0", 50 * time.Millisecond: "0.05", 100 * time.Millisecond: "0.1",
		1200 * time.Millisecond: "1.2", 2 * time.Second: "2", 340 * time.Second: "340"} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestFileReopensAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(s string) {
		t.Helper()
		if _, err := f.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("two\n")
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	for name, want := range map[string]string{path + ".1": "one\ntwo\n", path: "three\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

func TestAllPassesToEach(t *testing.T) {
	var n counter
	All(&n, Discard{}, &n).Emit(Connect{stranger})
	if n != 2 {
		t.Error(n)
	}
}

type counter int

func (c *counter) Emit(Event) { *c++ }
