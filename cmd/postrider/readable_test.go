package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

func TestOpenAs(t *testing.T) {
	needs.Root(t, "files of several owners")
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		mode     os.FileMode
		uid, gid int // the file's
		want     error
	}{
		"everybody's": {0o644, 0, 0, nil}, "root's": {0o600, 0, 0, fs.ErrPermission}, "its own": {0o400, 4711, 0, nil},
		"of its group": {0o640, 0, 4712, nil}, "of another group": {0o640, 0, 4713, fs.ErrPermission},
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, c.mode), os.Chown(path, c.uid, c.gid), os.Chmod(path, c.mode)); err != nil {
			t.Fatal(err)
		}
		if err := openAs(path, 4711, []int{4710, 4712}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// The rest of the process is root as before.
	if err := os.WriteFile(filepath.Join(dir, "after"), nil, 0o600); err != nil || os.Geteuid() != 0 {
		t.Errorf("%v, user %d", err, os.Geteuid())
	}
}
