package interop

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/postrider/postrider/test/interop/system"
)

const offlineimapEach = 250 // messages on each side before the first run

// newOfflineimap keeps a Maildir in step by OfflineIMAP; what it compares, and how, is mbsync's.
func newOfflineimap(t *testing.T, s *system.System) (m *mbsync, run func()) {
	t.Helper()
	dir := t.TempDir()
	rc := writeFile(t, "offlineimaprc", fmt.Sprintf(`[general]
accounts = both
metadata = %[1]s/state
ui = quiet
[Account both]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = %[1]s/mail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = %[2]s
remoteuser = %[3]s
remotepass = %[4]s
ssl = yes
sslcacertfile = %[5]s
maxconnections = 2
`, dir, s.Port(t, "imaps"), s.Alice.Address, s.Alice.Password, s.CA))
	m = &mbsync{s: s, dir: dir, maildir: filepath.Join(dir, "mail")}
	return m, func() {
		t.Helper()
		system.Run(t, system.Command{Name: "offlineimap", Args: []string{"-c", rc, "-o"}, Env: []string{"HOME=" + dir}})
	}
}

func TestOfflineimapBothWays(t *testing.T) {
	s := system.Start(t, system.Options{})
	m, run := newOfflineimap(t, s)
	c := s.IMAP(t, s.Alice)
	for _, sub := range []string{"cur", "new", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(m.maildir, "INBOX", sub), 0o700))
		must(t, os.MkdirAll(filepath.Join(m.maildir, "Nah", sub), 0o700))
	}
	must(t, c.Create("Fern", nil).Wait())
	system.Append(t, c, "Fern", []byte(strings.ReplaceAll(text("far", 0), "\n", "\r\n")))
	must(t, os.WriteFile(filepath.Join(m.maildir, "Nah", "cur", "1.two.x:2,S"), []byte(text("near", 0)), 0o600))
	for i := range offlineimapEach {
		system.Append(t, c, "INBOX", []byte(strings.ReplaceAll(text("far", i), "\n", "\r\n")))
		place := fmt.Sprintf("cur/%d_0.near.x:2,%s", 1700000000+i, [...]string{"", "S", "FS", "RS", "D"}[i%5])
		must(t, os.WriteFile(filepath.Join(m.maildir, "INBOX", place), []byte(text("near", i)), 0o600))
	}
	run()
	agree := func(folder string, want int) map[string]message {
		t.Helper()
		near, far := m.near(t, folder), m.far(t, c, folder)
		if len(near) != want || len(far) != want {
			t.Fatalf("%s: %d in the Maildir, %d in the mailbox, want %d", folder, len(near), len(far), want)
		}
		for name, f := range far {
			if n := near[name]; n.flags != f.flags || n.text != f.text {
				t.Fatalf("%s differs:\nnear %q\nfar  %q", name, n, f)
			}
		}
		return far
	}
	both := agree("INBOX", 2*offlineimapEach)
	for i := range offlineimapEach {
		for _, name := range []string{"far", "near"} {
			if key := fmt.Sprintf("%s-%04d", name, i); both[key].text != text(name, i) {
				t.Fatalf("%s is %q", key, both[key].text)
			}
		}
	}
	agree("Nah", 1)
	agree("Fern", 1)
	if got := both["near-0002"].flags; got != "FS" {
		t.Errorf("flags of near-0002: %q", got)
	}
	files, state := m.files(t), m.state(t, c)
	run()
	if !maps.Equal(files, m.files(t)) || m.state(t, c) != state {
		t.Error("the second run changed something")
	}

	m.changeOneEach(t, c)
	run()
	both = agree("INBOX", 2*offlineimapEach-2)
	for name, want := range map[string]string{"near-0003": "FRS", "far-0003": "RS"} {
		if got := both[name].flags; got != want {
			t.Errorf("flags of %s: %q, want %q", name, got, want)
		}
	}
}

// changeOneEach flags a message and removes another: near ones in the Maildir, far ones on the server.
func (m *mbsync) changeOneEach(t *testing.T, c *imapclient.Client) {
	t.Helper()
	var remove, mark imap.UIDSet
	for _, msg := range fetchAll(t, c, "INBOX", &imap.FetchOptions{UID: true, Envelope: true}) {
		switch msg.Envelope.Subject {
		case "far-0007":
			remove.AddNum(msg.UID)
		case "far-0003":
			mark.AddNum(msg.UID)
		}
	}
	must(t, c.Store(mark, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen, imap.FlagAnswered}}, nil).Close())
	must(t, c.Store(remove, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	must(t, c.UIDExpunge(remove).Close())
	for _, path := range slices.Sorted(maps.Keys(m.files(t))) {
		b, err := os.ReadFile(m.maildir + path)
		must(t, err)
		base, flags, _ := strings.Cut(m.maildir+path, ":2,")
		switch {
		case strings.Contains(string(b), "Subject: near-0007\n"):
			must(t, os.Remove(m.maildir+path))
		case strings.Contains(string(b), "Subject: near-0003\n"):
			must(t, os.Rename(m.maildir+path, base+":2,F"+flags))
		}
	}
}
