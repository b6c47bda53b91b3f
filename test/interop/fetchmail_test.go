package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// fetchmail's exit codes.
const (
	fetchmailNone = 1 // there was no mail
	fetchmailAuth = 3 // no login
)

// fetchmailArgs are the command line for a run command of its own: what to poll and what to do with the messages.
func fetchmailArgs(t *testing.T, s *system.System, service, password, options string) []string {
	t.Helper()
	protocol, tls, _ := strings.Cut(map[string]string{"imaps": "imap ssl", "imap": "imap", "pop3s": "pop3 ssl", "pop3": "pop3"}[service], " ")
	if strings.HasPrefix(protocol, "pop3") {
		protocol += " uidl" // server's options come before the user's
	}
	rc := writeFile(t, "fetchmailrc", fmt.Sprintf("poll localhost service %s protocol %s timeout 60 username %q password %q %s sslproto \"auto\" sslcertck sslcertfile %q %s\n",
		s.Port(t, service), protocol, s.Alice.Address, password, tls, s.CA, options))
	dir := t.TempDir()
	return []string{"--fetchmailrc", rc, "--nosyslog", "--nodetach", "--idfile", filepath.Join(dir, "ids"), "--pidfile", filepath.Join(dir, "pid")}
}

func fetchmail(t *testing.T, code int, args []string) {
	t.Helper()
	system.Run(t, system.Command{Name: "fetchmail", Args: args, Code: code})
}

// redelivered checks that bob got the samples by LMTP, with the same bytes below their headers.
func redelivered(t *testing.T, s *system.System, n int) {
	t.Helper()
	s.Await(t, s.Bob, "INBOX", n)
	texts := system.Bodies(t, s.IMAP(t, s.Bob), "INBOX")
	for i, text := range texts {
		if body(string(text)) != body(sample(0)) {
			t.Errorf("message %d arrived as %q", i, text)
		}
		contains(t, string(text), "(fetchmail-", "with LMTP", "Subject: sample ")
	}
}

func TestFetchmailIMAP(t *testing.T) {
	s := system.Start(t, system.Options{})
	samples(t, s, 3)
	// Fetched and kept: read from now on, so the next poll finds nothing.
	again := fmt.Sprintf(`smtphost "localhost/%s" lmtp smtpname "%s" `, s.Port(t, "lmtp"), s.Bob.Address)
	keep := fetchmailArgs(t, s, "imaps", s.Alice.Password, again+"keep")
	fetchmail(t, 0, keep)
	redelivered(t, s, 3)
	same(t, "kept", flagsOf(t, s, s.Alice, "INBOX"), `\Seen`, `\Seen`, `\Seen`)
	fetchmail(t, fetchmailNone, keep)

	// Fetched and removed, with an expunge after each, over STARTTLS, into a file. fetchmail ends lines in LF.
	file := filepath.Join(t.TempDir(), "out")
	mda := fmt.Sprintf(`mda "cat >>%s" `, file)
	fetchmail(t, 0, fetchmailArgs(t, s, "imap", s.Alice.Password, mda+"fetchall nokeep expunge 1"))
	s.Await(t, s.Alice, "INBOX", 0)
	got, err := os.ReadFile(file)
	must(t, err)
	if n := strings.Count(string(got), strings.ReplaceAll(body(sample(0)), "\r\n", "\n")); n != 3 {
		t.Errorf("%d of 3 messages in the file:\n%.2000s", n, got)
	}
	fetchmail(t, fetchmailAuth, fetchmailArgs(t, s, "imaps", "wrong", mda))
}

// TestFetchmailPOP3: kept, it remembers unique identifiers and reads by TOP, which marks nothing as read; removed, it
// reads by RETR and deletes.
func TestFetchmailPOP3(t *testing.T) {
	s := system.Start(t, system.Options{})
	samples(t, s, 3)
	again := fmt.Sprintf(`smtphost "localhost/%s" lmtp smtpname "%s" `, s.Port(t, "lmtp"), s.Bob.Address)
	keep := fetchmailArgs(t, s, "pop3s", s.Alice.Password, again+"keep")
	fetchmail(t, 0, keep)
	redelivered(t, s, 3)
	same(t, "kept", flagsOf(t, s, s.Alice, "INBOX"), "", "", "")
	fetchmail(t, fetchmailNone, keep)
	system.Append(t, s.IMAP(t, s.Alice), "INBOX", []byte(sample(3)))
	fetchmail(t, 0, keep)
	redelivered(t, s, 4)
	fetchmail(t, 0, fetchmailArgs(t, s, "pop3", s.Alice.Password, again+"fetchall nokeep"))
	redelivered(t, s, 8)
	s.Await(t, s.Alice, "INBOX", 0)
	fetchmail(t, fetchmailAuth, fetchmailArgs(t, s, "pop3s", "wrong", again))
}

// TestFetchmailIdles: it waits in IDLE, and fetches what comes.
func TestFetchmailIdles(t *testing.T) {
	s := system.Start(t, system.Options{})
	again := fmt.Sprintf(`smtphost "localhost/%s" lmtp smtpname "%s" `, s.Port(t, "lmtp"), s.Bob.Address)
	cmd := exec.Command(needs.Program(t, "fetchmail"), append(fetchmailArgs(t, s, "imaps", s.Alice.Password, again+"idle nokeep"), "-v")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, system.Environment()
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if the test ended early
	for i := range 2 {
		samples(t, s, 1)
		redelivered(t, s, i+1)
		s.Await(t, s.Alice, "INBOX", 0)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	cmd.WaitDelay = 10 * time.Second
	_ = cmd.Wait() // ended by a signal
	contains(t, out.String(), "IDLE", "DONE", "EXPUNGE")
}
