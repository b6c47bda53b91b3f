package interop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// The same commands of CONDSTORE, QRESYNC, WITHIN, SAVEDATE, SEARCHRES, MULTIAPPEND and PREVIEW to our server and to Dovecot,
// over the same messages: the answers are the same, numbers that a server may choose aside.

// extensionStep is one command; ${modseq} and ${validity} are the server's own. same is empty, or why the answers differ.
type extensionStep struct{ command, differs string }

func extensionSteps() []extensionStep {
	literal := func(s string) string { return fmt.Sprintf("{%d+}\r\n%s", len(s), s) }
	return []extensionStep{
		{"STATUS INBOX (MESSAGES UIDNEXT)", ""},
		{"SELECT INBOX (CONDSTORE)", "what SELECT tells beside: keywords, text of codes"},
		{"STORE 1 +FLAGS (\\Flagged)", ""},
		{"STORE 2 +FLAGS.SILENT (\\Seen)", ""},
		{"UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${modseq})", ""},
		{"STORE 1:3 (UNCHANGEDSINCE ${modseq}) +FLAGS.SILENT (\\Answered)", ""},
		{"UID STORE 1:3 (UNCHANGEDSINCE ${modseq}) +FLAGS (\\Answered)", ""},
		{"STORE 4 (UNCHANGEDSINCE ${modseq}) +FLAGS (\\Deleted)", ""},
		{"SEARCH MODSEQ ${modseq}", ""},
		{"FETCH 1:2 (MODSEQ)", ""},
		{"FETCH 1:4 (FLAGS) (CHANGEDSINCE ${modseq})", ""},
		{"SEARCH RETURN (SAVE) FLAGGED", ""},
		{"FETCH $ (UID FLAGS)", ""},
		{"SEARCH RETURN (SAVE MIN) ALL", ""},
		{"SEARCH $", ""},
		{"SEARCH RETURN (SAVE) CHARSET X-NONE ALL", "Dovecot's NO has no list of charsets"},
		{"SEARCH $", ""},
		{"SEARCH RETURN (COUNT) YOUNGER 600", ""},
		{"SEARCH OLDER 600", ""},
		{"SEARCH SAVEDSINCE 1-Jan-2020", ""},
		{"SEARCH SAVEDBEFORE 1-Jan-2020", ""},
		{"FETCH 1:4 (UID PREVIEW)", ""},
		{"FETCH 2 (BINARY.SIZE[1])", ""},
		{"FETCH 2 (BINARY.PEEK[1])", "Dovecot sends a literal8, we do so only where there is NUL"},
		{"APPEND INBOX (\\Draft) " + literal("Subject: a\r\n\r\nx\r\n") + " (\\Seen) " + literal("Subject: b\r\n\r\ny\r\n"), ""},
		{"FETCH 5:* (UID FLAGS RFC822.SIZE)", ""},
		{"ENABLE QRESYNC", ""},
		{"UID EXPUNGE 4", ""},
		{"UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${modseq} VANISHED)", ""},
		{"MOVE 1 INBOX", ""},
		{"UNSELECT", ""},
		{"SELECT INBOX (QRESYNC (${validity} ${modseq}))", "what SELECT tells beside"},
		{"EXPUNGE", ""},
	}
}

// exchange sends a command and returns the answer without what a server may choose: numbers of modification sequences,
// order of items, texts for people.
func (c *rawIMAP) exchange(command string) []string {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d", c.n)
	if _, err := fmt.Fprintf(c.w, "%s %s\r\n", tag, command); err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for {
		line := c.response()
		if line[0].text == tag {
			return append(out, "tagged "+normal(line[1:]))
		}
		if len(line) < 3 || line[2].text != "RECENT" { // nothing is recent with us, see view.System
			out = append(out, normal(line[1:]))
		}
	}
}

var (
	responseCode = regexp.MustCompile(`^\[([A-Z]+)([^\]]*)\]`)
	anyModSeq    = regexp.MustCompile(`"MODSEQ" (\("\d+"\)|"\d+")`)
	anyTag       = regexp.MustCompile(`"t\d+"`)
)

func normal(line []sexp) string {
	var parts []string
	for i, s := range line {
		switch {
		case strings.HasPrefix(s.text, "[") && !s.many:
			code := responseCode.FindStringSubmatch(s.text)
			if code == nil {
				continue
			}
			if code[1] == "HIGHESTMODSEQ" || code[1] == "APPENDUID" || code[1] == "COPYUID" || code[1] == "UIDVALIDITY" {
				code[2] = "" // numbers of the server's own
			}
			parts = append(parts, "["+code[1]+code[2]+"]")
		case i > 0 && (line[0].text == "OK" || line[0].text == "NO" || line[0].text == "BAD"): // a text
		case s.many && i == 2 && len(line) == 3 && line[1].text == "FETCH":
			var items []string
			for k := 0; k+1 < len(s.list); k += 2 {
				value := s.list[k+1]
				if s.list[k].text == "FLAGS" {
					value.list = slices.DeleteFunc(value.list, func(f sexp) bool { return f.text == `\Recent` })
					slices.SortFunc(value.list, func(a, b sexp) int { return strings.Compare(a.text, b.text) })
				}
				items = append(items, fmt.Sprintf("%q %v", s.list[k].text, value))
			}
			slices.Sort(items)
			parts = append(parts, strings.Join(items, " "))
		default:
			parts = append(parts, s.String())
		}
	}
	text := anyModSeq.ReplaceAllString(strings.Join(parts, " "), `"MODSEQ" #`)
	return anyTag.ReplaceAllString(text, "TAG")
}

// value asks STATUS for a number.
func (c *rawIMAP) value(item string) string {
	c.t.Helper()
	for _, line := range c.do("STATUS INBOX (" + item + ")") {
		for _, s := range line {
			if s.many && len(s.list) == 2 && s.list[0].text == item {
				return s.list[1].text
			}
		}
	}
	c.t.Fatalf("no %s", item)
	return ""
}

func TestExtensionsBesideDovecot(t *testing.T) {
	dir, err := os.MkdirTemp("", "dovecot-") // not t.TempDir, which nobody else may enter
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o711))
	maildir := filepath.Join(dir, "Maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(maildir, sub), 0o700))
	}
	messages := []string{
		"From: a@x.example\r\nSubject: one\r\n\r\nThe first text.\r\nIts second line.\r\n",
		"Subject: two\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n",
		"Subject: three\r\nContent-Type: text/html\r\n\r\n<html><body><p>Some <b>bold</b> words</p></body></html>\r\n",
		"Subject: four\r\n\r\n\r\n",
	}
	s := system.Start(t, system.Options{})
	ours := s.IMAP(t, s.Alice)
	for i, m := range messages {
		system.Append(t, ours, "INBOX", []byte(m))
		text := bytes.ReplaceAll([]byte(m), []byte("\r\n"), []byte("\n"))
		must(t, os.WriteFile(filepath.Join(maildir, "cur", fmt.Sprintf("%d.M%d.x:2,", 1700000000+i, i)), text, 0o600))
	}
	theirs := dovecot(t, maildir)
	conn, err := tls.Dial("tcp", "localhost:"+s.Port(t, "imaps"), s.TLS(t))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	mine := newRawIMAP(t, conn, conn)
	mine.do(fmt.Sprintf("LOGIN %s %q", s.Alice.Address, s.Alice.Password))
	vars := func(c *rawIMAP) *strings.Replacer {
		return strings.NewReplacer("${modseq}", c.value("HIGHESTMODSEQ"), "${validity}", c.value("UIDVALIDITY"))
	}
	// Both enable CONDSTORE by this question, and stand at the same point of the story.
	a, b := vars(mine), vars(theirs)
	for _, step := range extensionSteps() {
		got, want := mine.exchange(a.Replace(step.command)), theirs.exchange(b.Replace(step.command))
		if same := slices.Equal(got, want); same && step.differs != "" {
			t.Errorf("%.60q: the same by now, no deviation any more", step.command)
		} else if !same && step.differs == "" {
			t.Errorf("%.60q:\nours     %s\nDovecot  %s", step.command, strings.Join(got, "\n         "), strings.Join(want, "\n         "))
		}
	}
}
