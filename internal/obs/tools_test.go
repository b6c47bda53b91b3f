package obs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/test/needs"
)

// mailDay writes a day's log: two messages in, three recipients delivered, one deferred, one bounced, one refused.
func mailDay(t *testing.T) string {
	t.Helper()
	l, b := open(t, "maillog", "info")
	for _, e := range []Event{
		Connect{stranger},
		Accepted{Peer: stranger, ID: id1, From: bob, MessageID: "1@example.org", Size: 1000, Nrcpt: 2},
		Accepted{Peer: peer("submissions", "192.0.2.10"), ID: id2, Account: alice.String(), Mech: "PLAIN", From: alice, Size: 500, Nrcpt: 3},
		Rejected{Peer: stranger, Command: "RCPT", Helo: "h", From: "a@x.test", To: "b@y.test", Reason: ReasonRelay, Error: status.Perm(554, 7, 1, "no")},
		Disconnect{Peer: stranger, Commands: 5},
		Delivery{ID: id1, To: alice, Transport: "mailbox", Relay: "local", Delay: time.Second, DSN: status.Enhanced{Class: 2}, Outcome: Sent, Text: "delivered"},
		Delivery{ID: id1, To: alice, OrigTo: bob, Transport: "lmtp", Relay: "127.0.0.1[127.0.0.1]:24", Outcome: Sent, Text: "250 ok"},
		Delivery{ID: id2, To: bob, Transport: "smtp", Relay: "mx.example.org[192.0.2.7]:25", Outcome: Sent, Text: "250 2.0.0 Ok"},
		Delivery{ID: id2, To: bob, Transport: "smtp", Outcome: Deferred, Text: "connect to mx.example.org[192.0.2.7]:25: Connection refused"},
		Delivery{ID: id2, To: bob, Transport: "smtp", Relay: "mx.example.org[192.0.2.7]:25", Outcome: Bounced, Text: "host mx.example.org[192.0.2.7] said: 550 5.1.1 no such user"},
		Removed{id1},
	} {
		l.Emit(e)
	}
	l.Warn("a diagnostic that no tool may count")
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPflogsummCountsOurLog(t *testing.T) {
	prog := needs.Program(t, "pflogsumm")
	out, err := exec.Command(prog, mailDay(t)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for what, want := range map[string]string{"received": "2", "delivered": "3", "deferred": "1", "bounced": "1", "rejected": "1",
		"bytes received": "1500", "bytes delivered": "2500", "senders": "2", "recipients": "2"} {
		m := regexp.MustCompile(`(?m)^ +(\d+) +` + what + `\b`).FindSubmatch(out)
		if m == nil || string(m[1]) != want {
			t.Errorf("%s: got %q, want %s", what, m, want)
		}
	}
	for _, want := range []string{"Relay access denied", "Connection refused", "550 5.1.1 no such user", "example.org"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// fail2ban matches one line for each event that deserves it, with the client's address, and none for a clean one.
func TestFail2banFindsTheOffender(t *testing.T) {
	prog := needs.Program(t, "fail2ban-regex")
	imap, sub := peer("imap", "192.0.2.9"), peer("submission", "2001:db8::9")
	deny := status.Perm(550, 7, 1, "no")
	for _, c := range []struct {
		name, filter string
		event        Event
		want         string // address, or "" for no match
	}{
		{"relay", "postfix", Rejected{Peer: stranger, Command: "RCPT", To: "b@y.test", Reason: ReasonRelay, Error: deny}, "192.0.2.9"},
		{"unknown user", "postfix", Rejected{Peer: stranger, Command: "RCPT", To: "b@y.test", Reason: ReasonRecipient, Error: status.Perm(550, 1, 1, "no")}, "192.0.2.9"},
		{"quota", "postfix", Rejected{Peer: stranger, Command: "RCPT", To: "b@y.test", Reason: ReasonQuota, Error: status.Temp(452, 2, 2, "full")}, ""},
		{"too many errors", "postfix[mode=errors]", Disconnect{Peer: stranger, Reason: "too many errors after RCPT"}, "192.0.2.9"},
		{"smtp auth", "postfix[mode=auth]", AuthFailed{Peer: stranger, Mech: "PLAIN", Account: "a"}, "192.0.2.9"},
		{"submission auth", "postfix[mode=auth]", AuthFailed{Peer: sub, Mech: "LOGIN", Account: "a"}, "2001:db8::9"},
		{"submission SCRAM", "dovecot", AuthFailed{Peer: sub, Mech: "SCRAM-SHA-256", Account: "a"}, "2001:db8::9"},
		{"imap auth", "dovecot", AuthFailed{Peer: imap, Mech: "SCRAM-SHA-256", Account: "a>, rip=203.0.113.1, x=<"}, "192.0.2.9"},
		{"imap login", "dovecot", Login{Peer: imap, Mech: "PLAIN", Account: "a"}, ""},
		{"imap logout", "dovecot", Logout{Peer: imap, Account: "a"}, ""},
		{"accepted", "postfix[mode=aggressive]", Accepted{Peer: stranger, ID: id1, From: bob}, ""},
	} {
		l, b := open(t, "maillog", "info")
		l.Emit(c.event)
		line, _, _ := strings.Cut(b.String(), "\n") // an offence is the first line of its event
		out, err := exec.Command(prog, "-o", "<ip>", line, c.filter).CombinedOutput()
		got := strings.TrimSpace(string(out))
		if err != nil && c.want != "" || got != c.want {
			t.Errorf("%s: got %q (%v), want %q in\n%s", c.name, got, err, c.want, b)
		}
	}
}

// Whatever a stranger writes into names, addresses and replies, fail2ban blames its own address only.
func TestFail2banIsNotMisled(t *testing.T) {
	prog := needs.Program(t, "fail2ban-regex")
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, []byte(forged(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, filter := range []string{"postfix[mode=aggressive]", "postfix[mode=auth]", "dovecot[mode=aggressive]"} {
		out, _ := exec.Command(prog, "-o", "<ip>", path, filter).CombinedOutput() // exits 1 when nothing matches
		for ip := range strings.Lines(string(out)) {
			found++
			if strings.TrimSpace(ip) != "192.0.2.9" {
				t.Errorf("%s blames %q", filter, ip)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d matches: this proves nothing", found)
	}
}
