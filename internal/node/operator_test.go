package node

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/state/db"
)

// A hundred clients of one user at once: as many as may get in, the others are told why; other users are served, and so is
// this one when some have gone.
func TestHundredClientsOfOneUser(t *testing.T) {
	const clients, most = 100, 20
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "secret")
	addUser(t, n, "bob", "geheim")
	dialTalk(t, n, "imaps").secure().say("a LOGIN alice@here.example secret", "a OK") // from here on the password is remembered
	var (
		group   sync.WaitGroup
		mu      sync.Mutex
		in      []*talk
		refused int
	)
	for range clients - 1 {
		k := dialTalk(t, n, "imaps").secure()
		group.Go(func() {
			reply := k.say("a LOGIN alice@here.example secret", "a ")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.HasPrefix(reply, "a OK"):
				in = append(in, k)
			case reply == "a NO [LIMIT] Too many connections of this account from your address; close some and try again":
				refused++
			default:
				t.Error(reply)
			}
		})
	}
	group.Wait()
	if len(in) != most-1 || refused != clients-most {
		t.Fatalf("%d are in and %d refused of %d; the limit is %d", len(in)+1, refused, clients, most)
	}
	dialTalk(t, n, "imaps").secure().say("a LOGIN bob@here.example geheim", "a OK")
	in[0].say("b LOGOUT", "b OK")
	eventually(t, "room for one more", func() bool {
		return strings.HasPrefix(dialTalk(t, n, "imaps").secure().say("a LOGIN alice@here.example secret", "a "), "a OK")
	})
}

// Submission refuses in its own words.
func TestTooManyConnectionsInSubmission(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), "auth.max_connections_per_account_and_address = 1"))
	addUser(t, n, "alice", "secret")
	plain := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice@here.example\x00secret"))
	first, second := dialTalk(t, n, "submissions").secure(), dialTalk(t, n, "submissions").secure()
	for _, k := range []*talk{first, second} {
		k.until("220 ")
		k.say("EHLO c", "250 ")
	}
	first.say(plain, "235 2.7.0")
	second.say(plain, "454 4.7.0 Too many connections of this account from your address")
	first.say("QUIT", "221")
	eventually(t, "the first to be gone", func() bool { return strings.HasPrefix(second.say(plain, ""), "235 2.7.0") })
}

// What an operator changes open sessions hear of, and tombstones name the operator.
func TestOperatorChangesAreHeard(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "secret")
	for i := range 3 {
		if err := send(t, n, "alice@here.example", fmt.Sprintf("Subject: number %d\r\n\r\nx\r\n", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	c := login(t, n, "alice@here.example", "secret")
	arrived(t, c, "INBOX", 3)
	k := dialTalk(t, n, "imaps").secure()
	k.say("a LOGIN alice@here.example secret", "a OK")
	k.say("b SELECT INBOX", "b OK")
	change := func(action admin.MailAction, criteria string, change admin.MailChange) int {
		t.Helper()
		change.Action, change.MailQuery = action, admin.MailQuery{Account: "alice@here.example", Mailbox: "INBOX", Criteria: criteria}
		got, err := n.API().ChangeMail(t.Context(), change)
		if err != nil {
			t.Fatal(err)
		}
		return got.Messages
	}
	if got := change(admin.AddFlags, "subject 2", admin.MailChange{Flags: []string{`\flagged`, "Work"}}); got != 1 {
		t.Errorf("%d messages flagged", got)
	}
	if line := k.say("c NOOP", "* 2 FETCH"); !strings.Contains(line, `\Flagged`) || !strings.Contains(line, "Work") {
		t.Error(line)
	}
	k.until("c OK")
	if got := change(admin.Move, "keyword Work", admin.MailChange{To: "Archive"}); got != 1 {
		t.Errorf("%d messages moved", got)
	}
	k.say("d NOOP", "* 2 EXPUNGE")
	k.until("d OK")
	if got := change(admin.Expunge, "subject 3", admin.MailChange{}); got != 1 {
		t.Errorf("%d messages removed", got)
	}
	k.say("e NOOP", "* 2 EXPUNGE")
	k.until("e OK")
	if got := change(admin.Expunge, "subject 3", admin.MailChange{}); got != 0 {
		t.Errorf("%d messages removed again", got)
	}
	var by string
	if err := n.db.Read(t.Context(), func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT DISTINCT by_session FROM expunged").Scan(&by)
		return err
	}); err != nil || by != operator {
		t.Errorf("removed by %q, %v", by, err)
	}
	for _, bad := range []admin.MailChange{{Action: "burn"}, {Action: admin.Move}, {Action: admin.Move, To: "INBOX"}, {Action: admin.AddFlags},
		{Action: admin.Copy, To: "a//b"}, {Action: admin.AddFlags, Flags: []string{`\Recent`}}, {Action: admin.AddFlags, Flags: []string{"a b"}}} {
		bad.MailQuery = admin.MailQuery{Account: "alice@here.example", Mailbox: "INBOX", Criteria: "all"}
		if _, err := n.API().ChangeMail(t.Context(), bad); admin.KindOf(err) != admin.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	enough := errors.New("enough")
	if err := n.API().SearchMail(t.Context(), admin.MailQuery{Account: "alice@here.example", Criteria: "all"}, func(admin.Found) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// A master user logs in as others by every mechanism, and acts with their rights.
func TestMasterUser(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `auth.master_users = ["root@here.example"]`))
	for local, password := range map[string]string{"alice": "secret", "root": "master", "bob": "geheim"} {
		addUser(t, n, local, password)
	}
	const as = "alice@here.example*root@here.example"
	// Submission: by SCRAM, with alice's sender and not with root's own.
	if err := submit(t, n, submission{"submissions", as, "master"}, "alice@here.example", "bob@here.example", "From: alice@here.example\r\n\r\nx\r\n"); err != nil {
		t.Error(err)
	}
	if err := submit(t, n, submission{"submissions", as, "master"}, "root@here.example", "bob@here.example", "From: root@here.example\r\n\r\nx\r\n"); err == nil {
		t.Error("a master user sends as itself while it acts for another")
	}
	for _, c := range []struct{ authzid, name, password, want string }{
		{"alice@here.example", "root@here.example", "master", "OK"},
		{"alice", "root", "master", "OK"},
		{"", as, "master", "OK"},
		{"postmaster@here.example", "root", "master", "OK"}, // nobody else logs in there
		{"BOB@here.example", "bob", "geheim", "OK"},         // itself, written in another way
		{"alice", "bob", "geheim", "NO [AUTHENTICATIONFAILED] Authorization for another identity is not given"},
		{"alice", "root", "wrong", "NO [AUTHENTICATIONFAILED] Authentication credentials invalid"},
		{"ghost", "root", "master", "NO [AUTHENTICATIONFAILED] Authentication credentials invalid"},
		{"", "ghost*root", "master", "NO [AUTHENTICATIONFAILED] Authentication credentials invalid"},
		{"", "alice*bob", "geheim", "NO [AUTHENTICATIONFAILED] Authentication credentials invalid"},
		{"", "*root", "master", "NO [AUTHENTICATIONFAILED] Authentication credentials invalid"},
	} {
		k := dialTalk(t, n, "imaps").secure()
		message := c.authzid + "\x00" + c.name + "\x00" + c.password
		reply := k.say("a AUTHENTICATE PLAIN "+base64.StdEncoding.EncodeToString([]byte(message)), "a ")
		if !strings.HasPrefix(reply, "a "+c.want) {
			t.Errorf("%q: %s, want %s", message, reply, c.want)
		}
	}
	// SCRAM as somebody who does not exist fails like one with a wrong password.
	for _, c := range []submission{{"submissions", "ghost*root", "master"}, {"submissions", "alice*root", "wrong"}} {
		err := submit(t, n, c, "alice@here.example", "bob@here.example", "x\r\n")
		if err == nil || !strings.Contains(err.Error(), "535") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	accounts, err := n.API().Accounts(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, acc := range accounts {
		if want := acc.Address == "bob@here.example"; want != (len(acc.LastLogin) == 1) {
			t.Errorf("last logins of %s: %+v", acc.Address, acc.LastLogin)
		}
	}
}
