package system

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// A second start has the same data and the same accounts with their passwords (DESIGN §6), and nothing complains.
func TestQuickstartTwice(t *testing.T) {
	text := []byte("Subject: kept\r\n\r\nover a restart\r\n")
	s := Start(t, Options{})
	carol := s.AddAccount(t, "carol", "pass word")
	Append(t, s.IMAP(t, s.Alice), "INBOX", text)
	Append(t, s.IMAP(t, carol), "Archive", text)
	s.Stop(t)
	contents := s.Log(1 << 20)
	for _, level := range []string{"level=WARN", "level=ERROR"} {
		if strings.Contains(contents, level) {
			t.Errorf("the log has %s:\n%s", level, contents)
		}
	}

	dave := s.AddAccount(t, "dave", "made while it was down")
	again := Start(t, Options{Dir: s.Dir})
	if again.Alice != s.Alice || again.Bob != s.Bob {
		t.Errorf("accounts %v, before %v", again.Accounts, s.Accounts)
	}
	for _, c := range []struct {
		account Account
		mailbox string
	}{{again.Alice, "INBOX"}, {carol, "Archive"}} {
		if got := Bodies(t, again.IMAP(t, c.account), c.mailbox); len(got) != 1 || !bytes.Equal(got[0], text) {
			t.Errorf("%s of %s: %q", c.mailbox, c.account.Address, got)
		}
	}
	again.Await(t, dave, "INBOX", 0)
}
