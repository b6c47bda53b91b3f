package interop

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// terminal is a tmux server of its own with one window, in which a program gets real keys and shows a real screen.
type terminal struct {
	t      *testing.T
	tmux   string
	socket string
}

const screenTimeout = 30 * time.Second

// newTerminal starts a program in a window of 100 × 30.
func newTerminal(t *testing.T, dir string, command ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, tmux: needs.Program(t, "tmux"), socket: filepath.Join(dir, "tmux")}
	quoted := make([]string, len(command))
	for i, c := range command {
		quoted[i] = "'" + strings.ReplaceAll(c, "'", `'\''`) + "'"
	}
	term.call("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", strings.Join(quoted, " "))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen:\n%s", term.screen())
		}
		system.Run(t, system.Command{Name: term.tmux, Args: []string{"-S", term.socket, "kill-server"}, AnyCode: true})
	})
	return term
}

func (term *terminal) call(args ...string) string {
	term.t.Helper()
	return system.Run(term.t, system.Command{Name: term.tmux, Args: append([]string{"-S", term.socket}, args...), AnyCode: true}).Stdout
}

// keys presses keys: tmux's names ("Enter") or characters.
func (term *terminal) keys(keys ...string) {
	term.t.Helper()
	term.call(append([]string{"send-keys"}, keys...)...)
}

func (term *terminal) screen() string { return term.call("capture-pane", "-p") }

// shows waits until the screen has all of the texts.
func (term *terminal) shows(texts ...string) {
	term.t.Helper()
	if missing := term.await(screenTimeout, texts); missing != "" {
		term.t.Fatalf("the screen never showed %q", missing)
	}
}

// opens presses a key until the screen has all of the texts: a program may throw away what was typed while it drew.
func (term *terminal) opens(key string, texts ...string) {
	term.t.Helper()
	missing := ""
	for range 6 {
		term.keys(key)
		if missing = term.await(screenTimeout/6, texts); missing == "" {
			return
		}
	}
	term.t.Fatalf("%s never brought %q to the screen", key, missing)
}

// await returns one of the texts that the screen did not show in time, "" if it had them all at once.
func (term *terminal) await(limit time.Duration, texts []string) (missing string) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		screen := term.screen()
		missing = ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return ""
		}
	}
	return missing
}

// muttrc is a user's, with the questions that would differ from one machine to another answered.
func muttrc(t *testing.T, s *system.System, a system.Account, dir string) string {
	t.Helper()
	user := url.PathEscape(a.Address)
	user = strings.ReplaceAll(user, "@", "%40")
	text := fmt.Sprintf(`set folder = "imaps://%[1]s@localhost:%[2]s/"
set spoolfile = "imaps://%[1]s@localhost:%[2]s/INBOX"
set imap_user = "%[3]s"
set imap_pass = "%[4]s"
set smtp_url = "smtp://%[1]s@localhost:%[5]s/"
set smtp_pass = "%[4]s"
set from = "%[3]s"
set realname = "Alice"
set use_envelope_from = yes
set ssl_starttls = yes
set ssl_force_tls = yes
set certificate_file = "%[6]s"
set ssl_ca_certificates_file = "%[6]s"
set record = "=Sent"
set postponed = "=Drafts"
set trash = ""
set editor = "%[7]s"
set header_cache = "%[8]s/headers"
set message_cachedir = "%[8]s/bodies"
set sort = mailbox-order
set sleep_time = 0
set mail_check = 1
set timeout = 1
set imap_idle = yes
set delete = yes
set quit = yes
set confirmappend = no
set confirmcreate = no
set fast_reply = yes
set include = yes
set abort_unmodified = no
set resolve = no
set help = no
set tmpdir = "%[8]s"
set wait_key = no
`, user, s.Port(t, "imaps"), a.Address, a.Password, s.Port(t, "submission"), s.CA, editor(t, dir), dir)
	path := filepath.Join(dir, "muttrc")
	must(t, os.MkdirAll(filepath.Join(dir, "headers"), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// editor is a program that adds a line, as a person would write one.
func editor(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "editor")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\nprintf 'Gern, bis Mittwoch! – Alice\\n' >>\"$1\"\n"), 0o700))
	return path
}

func TestMuttReadsRepliesFlagsDeletesAndCopies(t *testing.T) {
	muttReadsRepliesFlagsDeletesAndCopies(t, "mutt", "SCRAM-SHA-256")
}

func TestNeomuttReadsRepliesFlagsDeletesAndCopies(t *testing.T) {
	muttReadsRepliesFlagsDeletesAndCopies(t, "neomutt", "PLAIN")
}

// mechanism is what the program takes by itself for IMAP.
func muttReadsRepliesFlagsDeletesAndCopies(t *testing.T, program, mechanism string) {
	s := system.Start(t, system.Options{})
	c := s.IMAP(t, s.Alice)
	for i, subject := range []string{"First of three", "=?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=", "Third of three"} {
		system.Append(t, c, "INBOX", fmt.Appendf(nil, "From: Bob Builder <%s>\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <m%d@here.example>\r\n"+
			"Date: Mon, 1 Jan 2024 10:0%d:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
			"Schöne Grüße, Nummer %d.\r\n", s.Bob.Address, s.Alice.Address, subject, i, i, i+1))
	}
	dir := t.TempDir()
	mutt := []string{"env", "-i"}
	mutt = append(append(mutt, system.Environment()...), "HOME="+dir, needs.Program(t, program), "-F", muttrc(t, s, s.Alice, dir))
	term := newTerminal(t, dir, mutt...)

	term.shows("First of three", "Grüße aus Köln", "Third of three", "Msgs:3")
	term.keys("2", "Enter", "Enter") // to the second, and open it
	term.shows("Subject: Grüße aus Köln", "Schöne Grüße, Nummer 2.")
	term.keys("r") // reply; the editor is the script
	term.shows("Compose", "Re: Grüße aus Köln", "To: Bob Builder")
	term.keys("y")
	s.Await(t, s.Bob, "INBOX", 1)
	s.Await(t, s.Alice, "Sent", 1)
	contains(t, curlFetch(t, s, s.Bob, "INBOX", 1), "In-Reply-To: <m1@here.example>", "with ESMTPSA", "\r\nFrom: Alice <"+s.Alice.Address+">")

	term.keys("q") // back to the index, where the reply is noted
	term.shows("Msgs:3", "r ")
	term.keys("1", "Enter", "F") // flag the first
	term.keys("C", "=Archive", "Enter")
	s.Await(t, s.Alice, "Archive", 1)
	term.keys("3", "Enter", "d", "$") // delete the third and sync
	s.Await(t, s.Alice, "INBOX", 2)
	term.shows("Msgs:2")

	// Mail that arrives while mutt idles is shown without a key.
	swaks(t, s, "smtp", swaksOK, "--header", "Subject: Just arrived")
	term.shows("Just arrived", "Msgs:3")
	term.keys("3", "Enter", "s", "=Trash", "Enter", "$") // save is copy and delete
	s.Await(t, s.Alice, "Trash", 1)
	s.Await(t, s.Alice, "INBOX", 2)
	term.keys("q")

	flags := map[string]string{}
	for _, m := range fetchAll(t, c, "INBOX", &imap.FetchOptions{Flags: true, Envelope: true}) {
		flags[m.Envelope.MessageID] = fmt.Sprint(m.Flags)
	}
	contains(t, flags["m1@here.example"], `\Seen`, `\Answered`)
	contains(t, flags["m0@here.example"], `\Flagged`)
	loggedInBy(t, s, "imaps", mechanism)
	loggedInBy(t, s, "submission", "SCRAM-SHA-256")
	for _, m := range fetchAll(t, c, "Archive", &imap.FetchOptions{Flags: true, Envelope: true}) {
		if m.Envelope.MessageID != "m0@here.example" {
			t.Errorf("Archive has %s", m.Envelope.MessageID)
		}
		contains(t, fmt.Sprint(m.Flags), `\Flagged`)
	}
}
