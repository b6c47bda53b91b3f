package node

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/directory"
)

// mailboxes returns how many messages each of some accounts has, once there are total in all or more.
func mailboxes(t *testing.T, n *Node, total int64, locals ...string) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	eventually(t, "the mail is in the mailboxes", func() bool {
		sum := int64(0)
		for _, local := range locals {
			acc, err := n.directory.Account(t.Context(), address.Address{Local: local, Domain: "here.example"})
			if err != nil {
				t.Fatal(err)
			}
			u, err := n.store.Usage(t.Context(), acc.ID)
			if err != nil {
				t.Fatal(err)
			}
			counts[local] = u.Messages
			sum += u.Messages
		}
		return sum >= total
	})
	return counts
}

// Every way in which an address leads to a mailbox, and those that lead nowhere.
func TestWhereAnAddressLeads(t *testing.T) {
	n := aliases(t)
	locals := []string{"alice", "bob", "postmaster"}
	sum := int64(0)
	for _, c := range []struct {
		name string
		to   string
		want map[string]int64 // nil: refused
		say  string
	}{
		{"account", "alice@here.example", map[string]int64{"alice": 1}, ""},
		{"case", "ALICE@HERE.example", map[string]int64{"alice": 1}, ""},
		{"delimiter", "alice+shop@here.example", map[string]int64{"alice": 1}, ""},
		{"alias of two", "team@here.example", map[string]int64{"alice": 1, "bob": 1}, ""},
		{"alias of an alias and one twice", "all@here.example", map[string]int64{"alice": 1, "bob": 1}, ""},
		{"postmaster", "postmaster@here.example", map[string]int64{"postmaster": 1}, ""},
		{"postmaster without a domain", "Postmaster", map[string]int64{"postmaster": 1}, ""},
		{"abuse", "abuse@here.example", map[string]int64{"postmaster": 1}, ""},
		{"abuse of another domain of ours", "abuse@second.example", map[string]int64{"postmaster": 1}, ""},
		{"catch-all", "whoever@second.example", map[string]int64{"bob": 1}, ""},
		{"nobody", "nobody@here.example", nil, "550 5.1.1"},
		{"relay", "alice@elsewhere.example", nil, "554 5.7.1"},
		{"per cent hack", "alice%elsewhere.example@here.example", nil, "550 5.1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := mailboxes(t, n, sum, locals...)
			k := dialTalk(t, n, "smtp")
			k.until("220")
			k.say("EHLO client.example", "250 ")
			k.say("MAIL FROM:<a@far.example>", "250")
			if c.want == nil {
				k.say("RCPT TO:<"+c.to+">", c.say)
				return
			}
			k.say("RCPT TO:<"+c.to+">", "250")
			k.say("DATA", "354")
			k.say("Subject: x\r\n\r\n.", "250")
			for _, w := range c.want {
				sum += w
			}
			for local, got := range mailboxes(t, n, sum, locals...) {
				if got-before[local] != c.want[local] {
					t.Errorf("%s has %d more", local, got-before[local])
				}
			}
		})
	}
}

// aliases is a node with a few of them.
func aliases(t *testing.T) *Node {
	t.Helper()
	n, _ := start(t, testConfig(t, t.TempDir()))
	addSilentUser(t, n, "alice")
	addSilentUser(t, n, "bob")
	ctx := t.Context()
	at := func(s string) address.Address { return mustAddress(t, s) }
	for alias, targets := range map[string][]address.Address{
		"team@here.example": {at("alice@here.example"), at("bob@here.example")},
	} {
		if _, err := n.directory.AddAlias(ctx, at(alias), targets); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.directory.AddAlias(ctx, at("all@here.example"), []address.Address{at("team@here.example"), at("alice@here.example")}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.directory.AddDomain(ctx, "second.example"); err != nil {
		t.Fatal(err)
	}
	bob := at("bob@here.example")
	if _, err := n.directory.SetDomain(ctx, "second.example", directory.DomainChange{CatchAll: &bob}); err != nil {
		t.Fatal(err)
	}
	return n
}

// A full mailbox answers 452 4.2.2 at RCPT when SIZE tells, and takes mail again when there is room.
func TestFullMailboxIsTemporary(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "pw")
	acc, err := n.directory.Account(t.Context(), mustAddress(t, "alice@here.example"))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.store.SetQuota(t.Context(), acc.ID, 1000); err != nil {
		t.Fatal(err)
	}
	k := dialTalk(t, n, "smtp")
	k.until("220")
	k.say("EHLO client.example", "250 ")
	k.say("MAIL FROM:<a@far.example> SIZE=2000", "250")
	k.say("RCPT TO:<alice@here.example>", "452 4.2.2")
	k.say("RSET", "250")
	k.say("MAIL FROM:<a@far.example> SIZE=500", "250")
	k.say("RCPT TO:<alice@here.example>", "250")
	k.say("DATA", "354")
	k.say(strings.Repeat("x", 400)+"\r\n.", "250")
	mailboxes(t, n, 1, "alice")
	k.say("MAIL FROM:<a@far.example> SIZE=500", "250")
	k.say("RCPT TO:<alice@here.example>", "452 4.2.2")
	if err := n.store.SetQuota(t.Context(), acc.ID, 0); err != nil {
		t.Fatal(err)
	}
	k.say("RCPT TO:<alice@here.example>", "250")
}

// A mailbox can fill between RCPT and the end of the data, since SIZE need not be said: 452 4.2.2 then, and nothing kept.
func TestFullMailboxIsFoundAtTheEndOfData(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "pw")
	acc, err := n.directory.Account(t.Context(), mustAddress(t, "alice@here.example"))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.store.SetQuota(t.Context(), acc.ID, 1000); err != nil {
		t.Fatal(err)
	}
	for service, hello := range map[string]string{"smtp": "EHLO", "lmtp": "LHLO"} {
		k := dialTalk(t, n, service)
		k.until("220")
		k.say(hello+" client.example", "250 ")
		k.say("MAIL FROM:<a@far.example>", "250")
		k.say("RCPT TO:<alice@here.example>", "250")
		k.say("DATA", "354")
		k.say(strings.Repeat("x", 900)+"\r\n"+strings.Repeat("x", 900)+"\r\n.", "452 4.2.2")
	}
}

// Without AUTH only a trusted network may submit, and the refusal names the setting.
func TestTrustedNetworks(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		var sets []string
		if trusted {
			sets = []string{`submission.trusted_networks = ["127.0.0.0/8"]`}
		}
		n, _ := start(t, testConfig(t, t.TempDir(), sets...))
		addUser(t, n, "alice", "pw")
		text := "Subject: from the printer\r\n\r\nx\r\n"
		err := submit(t, n, submission{service: "submission"}, "printer@here.example", "alice@here.example", text)
		if trusted && err != nil {
			t.Errorf("trusted: %v", err)
		}
		if !trusted && (err == nil || !strings.Contains(err.Error(), "530 5.7.0") || !strings.Contains(err.Error(), "submission.trusted_networks")) {
			t.Errorf("not trusted: %v", err)
		}
	}
}

// A user sends under own addresses only, in the envelope and in From.
func TestSenderIsTheAccounts(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "pw")
	addUser(t, n, "bob", "pw")
	alice := submission{service: "submissions", user: "alice@here.example", password: "pw"}
	for _, c := range []struct{ from, header, want string }{
		{"alice@here.example", "alice@here.example", ""},
		{"alice+x@here.example", "Alice <alice+y@here.example>", ""},
		{"", "alice@here.example", ""},
		{"bob@here.example", "alice@here.example", "553 5.7.1"},
		{"alice@here.example", "bob@here.example", "550 5.7.1"},
		{"alice@elsewhere.example", "alice@here.example", "553 5.7.1"},
	} {
		err := submit(t, n, alice, c.from, "bob@here.example", "From: "+c.header+"\r\nSubject: x\r\n\r\nx\r\n")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("from %q header %q: %v, want %q", c.from, c.header, err, c.want)
		}
	}
}
