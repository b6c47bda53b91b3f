package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// mutt with a mailbox that it reads by POP3, and mail that it sends by SMTP.
func TestMuttPOP3ReadsRepliesAndDeletes(t *testing.T) {
	s := system.Start(t, system.Options{})
	c := s.IMAP(t, s.Alice)
	for i := range 3 {
		system.Append(t, c, "INBOX", fmt.Appendf(nil, "From: Bob Builder <%s>\r\nTo: %s\r\nSubject: Grüße %[3]d aus Köln\r\nMessage-ID: <p%[3]d@here.example>\r\n"+
			"Date: Mon, 1 Jan 2024 10:0%[3]d:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
			"Schöne Grüße, Nummer %[3]d.\r\n.\r\n..\r\n", s.Bob.Address, s.Alice.Address, i))
	}
	dir := t.TempDir()
	rc := muttrc(t, s, s.Alice, dir)
	pop := fmt.Sprintf("set spoolfile = \"pops://localhost:%s/\"\nset pop_user = \"%s\"\nset pop_pass = \"%s\"\nset pop_delete = yes\nset record = \"\"\n",
		s.Port(t, "pop3s"), s.Alice.Address, s.Alice.Password)
	text, err := os.ReadFile(rc)
	must(t, err)
	must(t, os.WriteFile(rc, append(text, pop...), 0o600))
	mutt := append(append([]string{"env", "-i"}, system.Environment()...), "HOME="+dir, needs.Program(t, "mutt"), "-F", rc)
	term := newTerminal(t, dir, mutt...)

	term.shows("Grüße 0 aus Köln", "Grüße 2 aus Köln", "Msgs:3")
	term.keys("2", "Enter", "Enter")
	term.shows("Schöne Grüße, Nummer 1.")
	if screen := term.screen(); !strings.Contains(screen, "\n.\n..\n") { // the lines of dots, undone
		t.Errorf("the screen:\n%s", screen)
	}
	term.keys("r")
	term.shows("Mutt: Compose", "Re: Grüße 1 aus Köln")
	term.keys("y")
	s.Await(t, s.Bob, "INBOX", 1)
	contains(t, string(system.Bodies(t, s.IMAP(t, s.Bob), "INBOX")[0]), "In-Reply-To: <p1@here.example>", "with ESMTPSA")
	term.keys("q")
	term.shows("Msgs:3")
	term.keys("1", "Enter", "d", "$") // the deletion holds when mutt has said QUIT
	term.shows("Msgs:2")
	term.keys("q")
	s.Await(t, s.Alice, "INBOX", 2)
	loggedInBy(t, s, "pop3s", "SCRAM-SHA-256")
	same(t, "flags", flagsOf(t, s, s.Alice, "INBOX"), `\Seen`, "")
}
