package interop

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// newAerc starts aerc, set up as a person would, in a terminal. It trusts the system's authority through Go's variable.
func newAerc(t *testing.T, s *system.System, a system.Account) *terminal {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, ".config", "aerc")
	must(t, os.MkdirAll(config, 0o700))
	user := strings.ReplaceAll(url.PathEscape(a.Address), "@", "%40") + ":" + a.Password
	accounts := fmt.Sprintf("[me]\nsource = imaps://%[1]s@localhost:%[2]s\noutgoing = smtps+plain://%[1]s@localhost:%[3]s\nfrom = Alice <%[4]s>\n"+
		"copy-to = Sent\narchive = Archive\ndefault = INBOX\ncheck-mail = 0\n", user, s.Port(t, "imaps"), s.Port(t, "submissions"), a.Address)
	must(t, os.WriteFile(filepath.Join(config, "accounts.conf"), []byte(accounts), 0o600))
	aerc := []string{"env", "-i"}
	aerc = append(append(aerc, system.Environment()...), "HOME="+dir, "EDITOR="+editor(t, dir), "SSL_CERT_FILE="+s.CA, needs.Program(t, "aerc"))
	return newTerminal(t, dir, aerc...)
}

func TestAercReadsRepliesArchivesAndDeletes(t *testing.T) {
	s := system.Start(t, system.Options{})
	c := s.IMAP(t, s.Alice)
	for i := range 3 {
		system.Append(t, c, "INBOX", fmt.Appendf(nil, "From: Bob Builder <%s>\r\nTo: %s\r\nSubject: Grüße %[3]d aus Köln\r\nMessage-ID: <a%[3]d@here.example>\r\n"+
			"Date: Mon, 1 Jan 2024 10:0%[3]d:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
			"Schöne Grüße, Nummer %[3]d.\r\n", s.Bob.Address, s.Alice.Address, i))
	}
	term := newAerc(t, s, s.Alice)
	term.shows("INBOX", "Sent", "Trash", "Grüße 2 aus Köln", "Grüße 0 aus Köln") // the newest is on top and chosen
	term.keys("Enter")
	term.shows("Schöne Grüße, Nummer 2.")
	term.keys("q")
	term.shows("Grüße 0 aus Köln")
	term.keys("r", "r") // reply; the editor is the script
	term.shows("Send this email?")
	term.keys("y")
	s.Await(t, s.Bob, "INBOX", 1)
	s.Await(t, s.Alice, "Sent", 1)
	reply := string(system.Bodies(t, s.IMAP(t, s.Bob), "INBOX")[0])
	contains(t, reply, "In-Reply-To: <a2@here.example>", "with ESMTPSA", "X-Mailer: aerc ")
	if got := body(string(system.Bodies(t, c, "Sent")[0])); got != body(reply) {
		t.Errorf("the copy in Sent has another body: %q\nsent: %q", got, reply)
	}
	term.shows("Grüße 0 aus Köln")
	term.keys("j", "A") // to the second, and archive it
	s.Await(t, s.Alice, "Archive", 1)
	s.Await(t, s.Alice, "INBOX", 2)
	term.keys("G", "D") // delete the last
	s.Await(t, s.Alice, "INBOX", 1)

	// Mail that arrives while it idles is shown without a key.
	swaks(t, s, "smtp", swaksOK, "--header", "Subject: Just arrived")
	term.shows("Just arrived")
	for mailbox, want := range map[string]string{"INBOX": "a2@here.example", "Archive": "a1@here.example"} {
		m := fetchAll(t, c, mailbox, &imap.FetchOptions{Flags: true, Envelope: true})[0]
		if m.Envelope.MessageID != want {
			t.Errorf("%s has %s", mailbox, m.Envelope.MessageID)
		}
		if mailbox == "INBOX" {
			contains(t, fmt.Sprint(m.Flags), `\Seen`, `\Answered`)
		}
	}
}
