package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// Alpine, the last of the Pine family: an IMAP client older than IMAP4rev1.
func TestAlpineReadsRepliesSavesAndDeletes(t *testing.T) {
	s := system.Start(t, system.Options{})
	c := s.IMAP(t, s.Alice)
	for i := range 3 {
		system.Append(t, c, "INBOX", fmt.Appendf(nil, "From: Bob Builder <%s>\r\nTo: %s\r\nSubject: Letter %[3]d\r\nMessage-ID: <l%[3]d@here.example>\r\n"+
			"Date: Mon, 1 Jan 2024 10:0%[3]d:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
			"Schöne Grüße, Nummer %[3]d.\r\n", s.Bob.Address, s.Alice.Address, i))
	}
	dir := t.TempDir()
	server := fmt.Sprintf("{localhost:%s/ssl/user=%s}", s.Port(t, "imaps"), s.Alice.Address)
	rc := fmt.Sprintf("personal-name=Alice\nuser-domain=%s\nsmtp-server=localhost:%s/tls/user=%s\ninbox-path=%[4]sINBOX\nfolder-collections=Mail %[4]s[]\n"+
		"default-fcc=%[4]sSent\ncustomized-hdrs=From: Alice <%[3]s>\nlast-version-used=9.99\nalt-addresses=%[3]s\ninitial-keystroke-list=i\n"+
		"feature-list=allow-changing-from,quit-without-confirm,expunge-without-confirm,expunge-without-confirm-everywhere,send-without-confirm,disable-password-file-saving\n",
		s.Domain, s.Port(t, "submission"), s.Alice.Address, server)
	must(t, os.WriteFile(filepath.Join(dir, ".pinerc"), []byte(rc), 0o600))
	alpine := append(append([]string{"env", "-i"}, system.Environment()...), "HOME="+dir, "SSL_CERT_FILE="+s.CA, needs.Program(t, "alpine"))
	term := newTerminal(t, dir, alpine...)

	term.shows("ENTER PASSWORD")
	term.keys(s.Alice.Password, "Enter")
	term.shows("Letter 0", "Letter 2") // the line "opened with 3 messages" comes and goes
	term.opens("Enter", "Subject: Letter", "Schöne Grüße, Nummer")
	term.keys("r")
	term.shows("Include original message")
	term.keys("n")
	term.shows("COMPOSE MESSAGE REPLY", "Subject : Re: Letter")
	term.keys("Gern!", "C-x")
	term.shows("ENTER PASSWORD", s.Port(t, "submission"))
	term.keys(s.Alice.Password, "Enter")
	s.Await(t, s.Bob, "INBOX", 1)
	s.Await(t, s.Alice, "Sent", 1)
	sent, got := string(system.Bodies(t, c, "Sent")[0]), string(system.Bodies(t, s.IMAP(t, s.Bob), "INBOX")[0])
	contains(t, got, "In-Reply-To: <l", "with ESMTPSA", "\r\n\r\nGern!\r\n")
	if body(sent) != body(got) {
		t.Errorf("the copy in Sent has another body: %q\nsent: %q", sent, got)
	}
	term.shows("MESSAGE TEXT")
	term.keys("s")
	term.shows("SAVE Msg #1 to folder")
	term.keys("Archive", "Enter")
	s.Await(t, s.Alice, "Archive", 1)
	term.keys("<")
	term.shows("MESSAGE INDEX")
	term.keys("x") // saving marks for removal; this expunges
	s.Await(t, s.Alice, "INBOX", 2)
	term.keys("q")
	for _, m := range fetchAll(t, c, "Archive", &imap.FetchOptions{Flags: true}) {
		contains(t, fmt.Sprint(m.Flags), `\Seen`, `\Answered`)
	}
}
