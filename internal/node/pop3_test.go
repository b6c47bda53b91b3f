package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// dialPOP3 opens a session of alice's, logged in.
func dialPOP3(t testing.TB, n *Node, service string) *talk {
	t.Helper()
	k := dialTalk(t, n, service)
	if service == "pop3s" {
		k.secure()
	}
	k.until("+OK mail.here.example")
	if service == "pop3" {
		k.say("USER alice@here.example", "-ERR")
		k.say("STLS", "+OK")
		k.secure()
	}
	k.say("USER alice@here.example", "+OK")
	k.say("PASS pw", "+OK")
	return k
}

// message reads the lines of a response up to the dot, as a message.
func (k *talk) message() string {
	k.t.Helper()
	got := ""
	for {
		s, err := k.in.ReadString('\n')
		if err != nil {
			k.t.Fatalf("%v after %q", err, got)
		}
		if s == ".\r\n" {
			return got
		}
		got += strings.TrimPrefix(s, ".")
	}
}

// What POP3 fetches and removes, an IMAP session that is there all the time sees: flags, expunges, and no more than that.
func TestPOP3AndIMAPAgree(t *testing.T) {
	n, stop := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "pw")
	c := login(t, n, "alice@here.example", "pw")
	for i := range 4 {
		if err := send(t, n, "alice@here.example", fmt.Sprintf("Subject: %d\r\n\r\n.text %d\r\n", i, i)); err != nil {
			t.Fatal(err)
		}
		arrived(t, c, "INBOX", uint32(i+1))
	}
	for round, service := range []string{"pop3", "pop3s"} {
		k := dialPOP3(t, n, service)
		size := uint32(0)
		if _, err := fmt.Sscanf(k.say("LIST 2", "+OK"), "+OK 2 %d", &size); err != nil {
			t.Fatal(err)
		}
		k.say("RETR 2", "+OK")
		got := k.message()
		if want := string(bodyOf(t, c, 2)); got != want || uint32(len(got)) != size {
			t.Errorf("POP3 sends %q, IMAP %q, LIST says %d", got, want, size)
		}
		k.say("DELE 1", "+OK")
		if err := c.Noop().Wait(); err != nil || c.Mailbox().NumMessages != uint32(4-round) {
			t.Errorf("before QUIT: %v, %d messages", err, c.Mailbox().NumMessages)
		}
		k.say("QUIT", "+OK")
		if err := c.Noop().Wait(); err != nil || c.Mailbox().NumMessages != uint32(3-round) { // heard by EXPUNGE
			t.Errorf("after QUIT: %v, %d messages", err, c.Mailbox().NumMessages)
		}
	}
	list, err := c.Fetch(imap.SeqSet{imap.SeqRange{Start: 1}}, &imap.FetchOptions{UID: true, Flags: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	shows := ""
	for _, m := range list {
		shows += fmt.Sprint(m.UID, m.Flags, " ")
	}
	if shows != `3 [\Seen] 4 [] ` {
		t.Errorf("IMAP shows %s", shows)
	}
	// What IMAP removes while POP3 is there is gone, and the rest has its numbers.
	k := dialPOP3(t, n, "pop3s")
	if err := c.Store(imap.UIDSetNum(3), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	k.say("RETR 1", "-ERR Message has been removed")
	k.say("RETR 2", "+OK")
	c.Close()
	stop() // the session is ended, and removes nothing
	k.message()
	if s := k.line(); s != "-ERR [SYS/TEMP] Server is shutting down" {
		t.Errorf("at the end: %q", s)
	}
}
