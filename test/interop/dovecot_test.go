package interop

import (
	"bytes"
	"fmt"
	"mime"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// dovecot runs Dovecot's imap program on a Maildir, logged in from the start, over pipes: no daemon, no port.
func dovecot(t *testing.T, maildir string) *rawIMAP {
	t.Helper()
	program := filepath.Join("/usr/lib/dovecot", "imap")
	if _, err := os.Stat(program); err != nil {
		program = needs.Program(t, "dovecot-imap")
	}
	conf := filepath.Join(filepath.Dir(maildir), "dovecot.conf")
	owner := ""
	if os.Getuid() == 0 { // it never works as root: Debian's user for mail is the one that every machine has
		owner = "mail_uid = mail\nmail_gid = mail\nfirst_valid_uid = 1\n"
		system.Run(t, system.Command{Name: "chown", Args: []string{"-R", "mail:mail", maildir}})
	}
	must(t, os.WriteFile(conf, []byte("log_path = /dev/stderr\nprotocols = imap\nmail_location = maildir:"+maildir+"\nssl = no\n"+owner), 0o644))
	cmd := exec.Command(program, "-c", conf)
	cmd.Env = append(system.Environment(), "USER=alice", "HOME="+filepath.Dir(maildir))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	watch := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		watch.Stop()
		if t.Failed() {
			t.Logf("Dovecot: %.2000s", stderr.String())
		}
	})
	return newRawIMAP(t, in, out)
}

// compareWithDovecot puts the same messages into a Maildir and demands the same ENVELOPE and BODYSTRUCTURE.
func compareWithDovecot(t *testing.T, all []stored) {
	dir, err := os.MkdirTemp("", "dovecot-") // not t.TempDir, which nobody else may enter
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o711))
	maildir := filepath.Join(dir, "Maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(maildir, sub), 0o700))
	}
	for i, m := range all {
		text := bytes.ReplaceAll(m.text, []byte("\r\n"), []byte("\n"))
		must(t, os.WriteFile(filepath.Join(maildir, "cur", fmt.Sprintf("%d.M%d.x:2,", 1700000000+i, i)), text, 0o600))
	}
	c := dovecot(t, maildir)
	c.do("EXAMINE INBOX")
	theirs := c.fetch("FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
	var names []string
	var ours, others []facts
	for i, m := range all {
		names = append(names, m.name)
		ours = append(ours, factsOf(t, m))
		others = append(others, factsOf(t, stored{name: m.name, envelope: theirs[i+1]["ENVELOPE"], structure: theirs[i+1]["BODYSTRUCTURE"]}))
	}
	compare(t, names, ours, others, dovecotDeviations())
}

// dovecotDeviations are where Debian 12's Dovecot 2.3 says something else, and why we do not.
func dovecotDeviations() []deviation {
	key := regexp.MustCompile
	return []deviation{
		{58, key(`params$`), func(k string, a, b facts) bool {
			with := "charset=us-ascii"
			if a[k] != "NIL" {
				names := append(strings.Split(a[k], "; "), with)
				slices.Sort(names)
				with = strings.Join(names, "; ")
			}
			return b[k] == with
		}, "text without a charset: Dovecot adds the default of RFC 2046 §4.1.2, we tell what is written"},
		{36, key(`envelope`), func(k string, a, b facts) bool { return oneSpace(a[k]) == oneSpace(b[k]) },
			"several blanks in a row: Dovecot makes one of them, we keep them (RFC 5322 §2.2.3 removes only the line break)"},
		{17, key(`envelope`), func(k string, a, b facts) bool {
			return has8bit(b[k]) && oneSpace(decodeWords(a[k])) == oneSpace(latin1(b[k]))
		}, "raw 8-bit bytes in a header field: Dovecot sends them, we send encoded words to who has not enabled UTF8=ACCEPT (RFC 6855)"},
		{4, key(`envelope (to|cc|from|sender|reply-to)$`), func(k string, _, b facts) bool {
			return strings.Contains(b[k], "MISSING_") || strings.Contains(b[k], "syntax_error")
		}, "an address that is none: Dovecot says so in words of its own, we show what can be read"},
		{2, key(`(type|params|lines)$`), func(k string, _, b facts) bool {
			path := strings.TrimRight(k, "abcdefghijklmnopqrstuvwxyz")
			return b[path+"type"] == "/"
		}, "an unreadable Content-Type: Dovecot gives an empty type, we text/plain (RFC 2045 §5.2)"},
	}
}

// oneSpace also drops a blank before a name.
func oneSpace(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "[ ", "[")
}

func has8bit(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) >= 0 }

// decodeWords is RFC 2047 as the standard library understands it.
func decodeWords(s string) string {
	out, err := (&mime.WordDecoder{}).DecodeHeader(s)
	if err != nil {
		return s
	}
	return out
}

// latin1 reads every byte as the character of its number.
func latin1(s string) string {
	out := make([]rune, len(s))
	for i := range len(s) {
		out[i] = rune(s[i])
	}
	return string(out)
}
