package interop

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/postrider/postrider/test/interop/system"
)

const mbsyncEach = 1000 // messages on each side before the first run

// mbsync is a Maildir kept in step with the server.
type mbsync struct {
	s       *system.System
	dir     string
	maildir string
	config  string
}

func newMbsync(t *testing.T, s *system.System) *mbsync {
	dir := t.TempDir()
	m := &mbsync{s: s, dir: dir, maildir: filepath.Join(dir, "mail"), config: filepath.Join(dir, "mbsyncrc")}
	text := fmt.Sprintf(`IMAPAccount far
Host localhost
Port %s
User %s
Pass "%s"
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account far

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, s.Port(t, "imaps"), s.Alice.Address, s.Alice.Password, s.CA, m.maildir, m.maildir)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(m.maildir, "INBOX", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *mbsync) run(t *testing.T) {
	t.Helper()
	system.Run(t, system.Command{Name: "mbsync", Args: []string{"--config", m.config, "--all", "--quiet"}, Env: []string{"HOME=" + m.dir}})
}

// files lists the Maildir: path to a digest of the text.
func (m *mbsync) files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(m.maildir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") { // mbsync's own state: its order is its own affair
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, m.maildir)] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// message is one as both sides should have it.
type message struct{ text, flags string }

var (
	subjectLine = regexp.MustCompile(`(?m)^Subject: (\S+)`)
	tuidLine    = regexp.MustCompile(`(?m)^X-TUID: .*\n`) // mbsync's own, to find again what it stored
)

func add(t *testing.T, to map[string]message, text, flags string) {
	t.Helper()
	text = tuidLine.ReplaceAllString(strings.ReplaceAll(text, "\r\n", "\n"), "")
	found := subjectLine.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no subject in %q", text)
	}
	if _, twice := to[found[1]]; twice {
		t.Errorf("%s is there twice", found[1])
	}
	to[found[1]] = message{text, flags}
}

// near reads a folder of the Maildir; flags are the letters of its names, \Seen being S and so on.
func (m *mbsync) near(t *testing.T, folder string) map[string]message {
	t.Helper()
	out := map[string]message{}
	for path := range m.files(t) {
		if !strings.HasPrefix(path, "/"+folder+"/cur/") && !strings.HasPrefix(path, "/"+folder+"/new/") {
			continue
		}
		b, err := os.ReadFile(m.maildir + path)
		if err != nil {
			t.Fatal(err)
		}
		_, flags, _ := strings.Cut(path, ":2,")
		add(t, out, string(b), flags)
	}
	return out
}

var maildirLetters = map[imap.Flag]string{imap.FlagSeen: "S", imap.FlagAnswered: "R", imap.FlagFlagged: "F", imap.FlagDeleted: "T",
	imap.FlagDraft: "D", imap.FlagForwarded: "P"}

// far reads a mailbox of the server.
func (m *mbsync) far(t *testing.T, c *imapclient.Client, mailbox string) map[string]message {
	t.Helper()
	out := map[string]message{}
	for _, msg := range fetchAll(t, c, mailbox, &imap.FetchOptions{Flags: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}) {
		var letters []string
		for _, f := range msg.Flags {
			letters = append(letters, maildirLetters[f])
		}
		slices.Sort(letters)
		add(t, out, string(msg.BodySection[0].Bytes), strings.Join(letters, ""))
	}
	return out
}

func fetchAll(t *testing.T, c *imapclient.Client, mailbox string, o *imap.FetchOptions) []*imapclient.FetchMessageBuffer {
	t.Helper()
	if data, err := c.Select(mailbox, nil).Wait(); err != nil {
		t.Fatal(err)
	} else if data.NumMessages == 0 {
		return nil
	}
	msgs, err := c.Fetch(imap.SeqSet{imap.SeqRange{Start: 1}}, o).Collect()
	if err != nil {
		t.Fatal(err)
	}
	return msgs
}

// state is all that a second run must not change on the server.
func (m *mbsync) state(t *testing.T, c *imapclient.Client) string {
	t.Helper()
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, box := range boxes {
		st, err := c.Status(box.Mailbox, &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d %d %d %d\n", st.Mailbox, *st.NumMessages, st.UIDNext, st.UIDValidity, *st.NumUnseen)
	}
	for _, msg := range fetchAll(t, c, "INBOX", &imap.FetchOptions{UID: true, Flags: true, RFC822Size: true}) {
		fmt.Fprintf(&b, "%d %v %d\n", msg.UID, msg.Flags, msg.RFC822Size)
	}
	return b.String()
}

// inStep runs mbsync and demands that both sides agree; then again, and nothing may change.
func (m *mbsync) inStep(t *testing.T, c *imapclient.Client, want int) map[string]message {
	t.Helper()
	m.run(t)
	near, far := m.near(t, "INBOX"), m.far(t, c, "INBOX")
	if len(near) != want || len(far) != want {
		t.Fatalf("%d in the Maildir, %d in the mailbox, want %d", len(near), len(far), want)
	}
	for name, n := range near {
		if f := far[name]; f != n {
			t.Fatalf("%s differs:\nnear %q\nfar  %q", name, n, f)
		}
	}
	files, state := m.files(t), m.state(t, c)
	m.run(t)
	if !maps.Equal(files, m.files(t)) {
		t.Error("the second run changed the Maildir")
	}
	if again := m.state(t, c); again != state {
		t.Errorf("the second run changed the server:\n%.500s\nbefore:\n%.500s", again, state)
	}
	return far
}

func text(name string, i int) string {
	return fmt.Sprintf("From: %s@far.example\nTo: alice@here.example\nSubject: %s-%04d\nMessage-ID: <%s.%d@far.example>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\n"+
		"From the sender\n.dot\nGrüße %s\n", name, name, i, name, i, strings.Repeat("x", i%300))
}

func TestMbsyncTwoThousandBothWays(t *testing.T) {
	s := system.Start(t, system.Options{})
	m := newMbsync(t, s)
	c := s.IMAP(t, s.Alice)
	for i := range mbsyncEach {
		system.Append(t, c, "INBOX", []byte(strings.ReplaceAll(text("far", i), "\n", "\r\n")))
		place := fmt.Sprintf("cur/%d.near.x:2,%s", 1700000000+i, [...]string{"", "S", "FS", "RS", "D"}[i%5])
		if err := os.WriteFile(filepath.Join(m.maildir, "INBOX", place), []byte(text("near", i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	both := m.inStep(t, c, 2*mbsyncEach)
	for i := range mbsyncEach {
		for _, name := range []string{"far", "near"} {
			if key := fmt.Sprintf("%s-%04d", name, i); both[key].text != text(name, i) {
				t.Fatalf("%s is %q", key, both[key].text)
			}
		}
	}
	if got := both["near-0002"].flags; got != "FS" {
		t.Errorf("flags of near-0002: %q", got)
	}

	m.changeBothSides(t, c)
	both = m.inStep(t, c, 2*mbsyncEach-200)
	for name, want := range map[string]string{"near-0003": "FRS", "near-0004": "D", "far-0003": "PS", "far-0004": ""} {
		if got := both[name].flags; got != want {
			t.Errorf("flags of %s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"near-0007", "far-0007"} {
		if _, there := both[name]; there {
			t.Errorf("%s was deleted and is there", name)
		}
	}
	m.foldersBothWays(t, c)
}

// changeBothSides deletes the messages whose number ends in 7 and flags those that end in 3: the near ones in the Maildir,
// the far ones on the server.
func (m *mbsync) changeBothSides(t *testing.T, c *imapclient.Client) {
	t.Helper()
	for path := range m.files(t) {
		old := m.maildir + path
		switch {
		case strings.Contains(path, "7.near.x"):
			must(t, os.Remove(old))
		case strings.Contains(path, "3.near.x"):
			base, _, _ := strings.Cut(old, ":2,")
			must(t, os.Rename(old, base+":2,FRS"))
		}
	}
	var remove, mark imap.UIDSet
	for _, msg := range fetchAll(t, c, "INBOX", &imap.FetchOptions{UID: true, Envelope: true}) {
		switch subject := msg.Envelope.Subject; {
		case strings.HasPrefix(subject, "far-") && strings.HasSuffix(subject, "7"):
			remove.AddNum(msg.UID)
		case strings.HasPrefix(subject, "far-") && strings.HasSuffix(subject, "3"):
			mark.AddNum(msg.UID)
		}
	}
	must(t, c.Store(mark, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen, imap.FlagForwarded}}, nil).Close())
	must(t, c.Store(remove, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	must(t, c.UIDExpunge(remove).Close())
}

// foldersBothWays makes a folder on each side; both have them afterwards, with a message each.
func (m *mbsync) foldersBothWays(t *testing.T, c *imapclient.Client) {
	t.Helper()
	must(t, c.Create("Fern/Täglich", nil).Wait())
	system.Append(t, c, "Fern/Täglich", []byte("Subject: one\r\n\r\nx\r\n"))
	for _, sub := range []string{"cur", "new", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(m.maildir, "Nah", sub), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(m.maildir, "Nah", "new", "1.two.x"), []byte("Subject: two\n\nx\n"), 0o600))
	m.run(t)
	if got := m.far(t, c, "Nah"); len(got) != 1 {
		t.Errorf("Nah on the server: %v", got)
	}
	if got := m.near(t, "Fern/T&AOQ-glich"); len(got) != 1 {
		t.Errorf("Fern in the Maildir: %v, of %v", got, slices.Sorted(maps.Keys(m.files(t)))[:3])
	}
	files, state := m.files(t), m.state(t, c)
	m.run(t)
	if !maps.Equal(files, m.files(t)) || m.state(t, c) != state {
		t.Error("the second run with folders changed something")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
