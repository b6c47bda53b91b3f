package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// TestCurlPOP3RealMessages: 400 messages as people and spammers wrote them, in by SMTP, out by POP3, not a byte different;
// LIST says as many bytes as come, and IMAP shows the same. What POP3 removes is gone for IMAP, what it fetched is seen.
func TestCurlPOP3RealMessages(t *testing.T) {
	s := system.Start(t, system.Options{})
	messages := corpus(t)
	sendAll(t, s, s.Alice.Address, messages)
	s.Await(t, s.Alice, "INBOX", len(messages))
	session := s.IMAP(t, s.Alice)
	stored := system.Bodies(t, session, "INBOX")

	dir := t.TempDir()
	user := s.Alice.Address + ":" + s.Alice.Password
	url := "pop3s://localhost:" + s.Port(t, "pop3s") + "/"
	args := []string{"--silent", "--show-error", "--max-time", "120", "--cacert", s.CA, "--user", user}
	// One session fetches them all: curl keeps the connection.
	curl(t, 0, append(args, "--output", filepath.Join(dir, "#1"), fmt.Sprintf("%s[1-%d]", url, len(messages)))...)
	sizes := strings.Split(strings.TrimSpace(curl(t, 0, append(args, url)...)), "\r\n")
	if len(sizes) != len(messages) {
		t.Fatalf("LIST has %d lines for %d messages", len(sizes), len(messages))
	}
	left := map[string]string{}
	for _, m := range messages {
		left[string(m.text)] = m.name
	}
	for i := range messages {
		got, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i+1)))
		must(t, err)
		if want := fmt.Sprintf("%d %d", i+1, len(got)); sizes[i] != want {
			t.Errorf("LIST says %s, want %s", sizes[i], want)
		}
		if !bytes.Equal(got, stored[i]) {
			t.Errorf("message %d differs from what IMAP shows", i+1)
		}
		delete(left, string(stripDelivery(t, got)))
	}
	for _, name := range left {
		t.Errorf("%s did not come out as it went in", name)
	}
	contains(t, curlIMAP(t, s, "", "STATUS INBOX (MESSAGES UNSEEN)"), fmt.Sprintf("MESSAGES %d UNSEEN 0", len(messages)))
	// The IMAP session hears of what another removes by POP3.
	curl(t, 0, append(args, "--list-only", "--request", "DELE", url+"1")...)
	must(t, session.Noop().Wait())
	if n := session.Mailbox().NumMessages; int(n) != len(messages)-1 {
		t.Errorf("the IMAP session has %d messages after POP3 removed one of %d", n, len(messages))
	}
}
