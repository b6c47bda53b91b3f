package privhelper

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// letsEncrypt makes the folders of certbot: live/ links to archive/, relatively.
func letsEncrypt(t testing.TB, text string) (dir, link string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "letsencrypt")
	link = filepath.Join(dir, "live", "mx", "privkey.pem")
	must(t, os.MkdirAll(filepath.Join(dir, "live", "mx"), 0o700), os.MkdirAll(filepath.Join(dir, "archive", "mx"), 0o700),
		os.WriteFile(filepath.Join(dir, "archive", "mx", "privkey1.pem"), []byte(text), 0o600),
		os.Symlink("../../archive/mx/privkey1.pem", link))
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // the testing package makes it 0777
	return dir, link
}

func TestTrust(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir, link string) string // returns the path to open; "" for link
		want  error
	}{
		"certbot's links":  {func(_, _ string) string { return "" }, nil},
		"an absolute link": {func(dir, link string) string { return relink(filepath.Join(dir, "archive/mx/privkey1.pem"), link) }, nil},
		"a link to a folder on the way": {func(dir, _ string) string {
			return relink("mx", filepath.Join(dir, "live", "other")) + "/privkey.pem"
		}, nil},
		"not absolute":        {func(_, _ string) string { return "etc/passwd" }, errUntrusted},
		"not plain":           {func(dir, _ string) string { return dir + "/live/mx/../mx/privkey.pem" }, errUntrusted},
		"NUL":                 {func(_, link string) string { return link + "\x00.pem" }, errUntrusted},
		"not there":           {func(_, link string) string { return link + ".old" }, fs.ErrNotExist},
		"a folder":            {func(dir, _ string) string { return dir }, syscall.EISDIR},
		"through a file":      {func(_, link string) string { return link + "/x" }, syscall.ENOTDIR},
		"links in a circle":   {func(_, link string) string { return relink("privkey.pem", link) }, syscall.ELOOP},
		"folder for all":      {func(dir, _ string) string { return chmod(filepath.Join(dir, "archive"), 0o777) }, errUntrusted},
		"folder of a group":   {func(dir, _ string) string { return chmod(filepath.Join(dir, "live"), 0o770) }, errUntrusted},
		"file of a group":     {func(dir, _ string) string { return chmod(filepath.Join(dir, "archive/mx/privkey1.pem"), 0o660) }, errUntrusted},
		"read by a group":     {func(dir, _ string) string { return chmod(filepath.Join(dir, "archive/mx/privkey1.pem"), 0o640) }, nil},
		"folder with sticky":  {func(dir, _ string) string { return chmod(dir, 0o777|os.ModeSticky) }, nil},
		"a pipe in its place": {func(_, link string) string { os.Remove(link); syscall.Mkfifo(link, 0o600); return "" }, errUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			dir, link := letsEncrypt(t, "key")
			path := c.spoil(dir, link)
			if path == "" {
				path = link
			}
			text, err := ownTrust().readTrusted(path, MaxFile)
			if !errors.Is(err, c.want) || c.want == nil && string(text) != "key" {
				t.Errorf("%s: %q, %v; want %v", path, text, err, c.want)
			}
		})
	}
}

func relink(target, link string) string {
	if err := errors.Join(os.RemoveAll(link), os.Symlink(target, link)); err != nil {
		panic(err)
	}
	return link
}

func chmod(path string, mode os.FileMode) string {
	if err := os.Chmod(path, mode); err != nil {
		panic(err)
	}
	return ""
}

// What belongs to somebody else than root is not followed, wherever on the way it stands.
func TestTrustOwners(t *testing.T) {
	needs.Root(t, "files of several owners")
	for _, at := range []string{"", "live", "live/mx", "live/mx/privkey.pem", "archive", "archive/mx/privkey1.pem"} {
		dir, link := letsEncrypt(t, "key")
		must(t, os.Lchown(filepath.Join(dir, at), 65534, -1))
		if text, err := ownTrust().readTrusted(link, MaxFile); !errors.Is(err, errUntrusted) {
			t.Errorf("%q of another user: %q, %v", at, text, err)
		}
	}
	// In a folder for all, with the sticky bit, a stranger's link stays a stranger's.
	dir, link := letsEncrypt(t, "key")
	chmod(filepath.Dir(link), 0o777|os.ModeSticky)
	must(t, os.Remove(link), os.Symlink("/etc/shadow", link), os.Lchown(link, 65534, -1))
	if text, err := ownTrust().readTrusted(link, MaxFile); !errors.Is(err, errUntrusted) {
		t.Errorf("a stranger's link to shadow in %s: %d bytes, %v", dir, len(text), err)
	}
}

// While somebody exchanges what the path leads to, a reader gets the right file or an error, never the other file.
func TestTrustRace(t *testing.T) {
	needs.Root(t, "files of several owners")
	dir, link := letsEncrypt(t, "key")
	secret := filepath.Join(filepath.Dir(dir), "secret")
	evil := filepath.Join(filepath.Dir(link), "evil")
	must(t, os.WriteFile(secret, []byte("not for you"), 0o600), os.Symlink(secret, evil), os.Lchown(evil, 65534, -1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 { // RENAME_EXCHANGE, by turns
			a, b := link+".a", evil+".b"
			_ = errors.Join(os.Rename(link, a), os.Rename(evil, link), os.Rename(link, b), os.Rename(a, link), os.Rename(b, evil))
		}
	}()
	right := 0
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
		}
		text, err := ownTrust().readTrusted(link, MaxFile)
		if err == nil && string(text) != "key" {
			t.Fatalf("read %q", text)
		}
		if err == nil {
			right++
		}
	}
	if right == 0 {
		t.Error("the right file was never read")
	}
}

func TestTooLarge(t *testing.T) {
	_, link := letsEncrypt(t, strings.Repeat("x", MaxFile+1))
	if text, err := ownTrust().readTrusted(link, MaxFile); err == nil {
		t.Errorf("%d bytes", len(text))
	}
}
