package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/postrider/postrider/test/interop/system"
)

// What the tests of fetching clients share: messages with the lines that break clients, and folders to look into.

// sample is message i as a mailbox holds it: dots, 8-bit text, an empty line, and a line longer than a client's buffer.
func sample(i int) string {
	return fmt.Sprintf("From: Far <far@far.example>\r\nTo: alice@here.example\r\nSubject: sample %[1]d\r\nMessage-ID: <sample.%[1]d@far.example>\r\n"+
		"Date: Mon, 1 Jan 2024 10:00:%02[1]d +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
		".one dot\r\n..two\r\n.\r\n\r\nFrom here on: Grüße aus Köln\r\n%[2]s\r\n", i, strings.Repeat("0123456789", 90))
}

// samples puts n of them into alice's INBOX.
func samples(t *testing.T, s *system.System, n int) {
	t.Helper()
	c := s.IMAP(t, s.Alice)
	for i := range n {
		system.Append(t, c, "INBOX", []byte(sample(i)))
	}
}

// flagsOf lists the flags of a mailbox's messages, each message's in order, by IMAP.
func flagsOf(t *testing.T, s *system.System, a system.Account, mailbox string) []string {
	t.Helper()
	c := s.IMAP(t, a)
	defer c.Close()
	var out []string
	for _, m := range fetchAll(t, c, mailbox, &imap.FetchOptions{Flags: true}) {
		var flags []string
		for _, f := range m.Flags {
			flags = append(flags, string(f))
		}
		slices.Sort(flags)
		out = append(out, strings.Join(flags, " "))
	}
	return out
}

// same demands an exact list.
func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: %d of %d is %q, want %q", what, i, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d of them, want %d", what, len(got), len(want))
	}
}

// maildirTexts are the messages of a Maildir, sorted, with the line ends of the network.
func maildirTexts(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, sub := range []string{"new", "cur"} {
		names, err := filepath.Glob(filepath.Join(dir, sub, "*"))
		must(t, err)
		for _, name := range names {
			b, err := os.ReadFile(name)
			must(t, err)
			out = append(out, string(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))))
		}
	}
	slices.Sort(out)
	return out
}

// newMaildir makes an empty one.
func newMaildir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(dir, sub), 0o700))
	}
	return dir
}

// body is what follows the header.
func body(text string) string {
	_, after, _ := strings.Cut(text, "\r\n\r\n")
	return after
}

// loggedInBy demands that somebody logged in at a service by a SASL mechanism, as the log tells.
func loggedInBy(t *testing.T, s *system.System, service, mechanism string) {
	t.Helper()
	for line := range strings.Lines(s.Log(1 << 20)) {
		if strings.Contains(line, "msg=login service="+service+" ") && strings.HasSuffix(strings.TrimSpace(line), "mech="+mechanism) {
			return
		}
	}
	t.Errorf("no login at %s by %s in the log", service, mechanism)
}
