package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// postconfIn runs postconf beside a configuration and returns its exit code.
func postconfIn(t *testing.T, dir string, args ...string) int {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	a := &app{stdin: null, stdout: null, stderr: null, getenv: func(string) string { return "" }}
	return postconf(a, append([]string{"-c", dir}, args...))
}

// Several postconf -e at once: none loses what another has written.
func TestPostconfEditsAtOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, configName)
	if err := os.WriteFile(file, []byte("hostname = \"mx.here.example\" # ours\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil { // whatever the umask
		t.Fatal(err)
	}
	var group sync.WaitGroup
	pairs := []string{"hopcount_limit=61", "message_size_limit=20480000", "recipient_delimiter=+", "swap_bangpath=yes", "smtp_tcp_port=26", "relayhost=a.test"}
	for _, pair := range pairs {
		group.Go(func() {
			if code := postconfIn(t, dir, "-e", pair); code != 0 {
				t.Errorf("-e %s: exit %d", pair, code)
			}
		})
	}
	group.Wait()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# ours", "max_received = 61", "max_message_size = ", "recipient_delimiter = \"+\"", "swap_bangpath = true", "port = 26", "relayhost = \"a.test\""} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not there:\n%s", want, text)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestPostconfRefusesWhatTOMLCannotHold(t *testing.T) {
	dir := t.TempDir()
	file, text := filepath.Join(dir, configName), "hostname = \"mx.here.example\"\nmta = { port = 25 }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-e", "relayhost=a\nb"}, {"-e", "relayhost=a\xffb"}, {"-#", "smtp_tcp_port"}, {"-X", "smtp_tcp_port"}} {
		if code := postconfIn(t, dir, args...); code != 1 {
			t.Errorf("%q: exit %d", args, code)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("%v: %q", err, got)
	}
}

// The data directory is the server's own: a link that it puts in the place of the log must not lead root to another file.
func TestPlainLogFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, link := range []func(old, name string) error{os.Symlink, os.Link, func(_, name string) error { return os.Mkdir(name, 0o700) }} {
		name := filepath.Join(dir, fmt.Sprint("log", i))
		if err := link(victim, name); err != nil {
			t.Fatal(err)
		}
		if f, err := plainLog(name); err == nil {
			t.Errorf("%d was opened", i)
			f.Close()
		}
	}
	if f, err := plainLog(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
}
