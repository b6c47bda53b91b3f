package node

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// Folders of earlier versions, or made under a strict umask, let others pass afterwards; what is wider stays.
func TestMakeRunDir(t *testing.T) {
	for before, after := range map[fs.FileMode]fs.FileMode{0: 0o711, 0o700: 0o711, 0o750: 0o751, 0o755: 0o755} {
		dir := filepath.Join(t.TempDir(), "run")
		if before != 0 {
			if err := os.Mkdir(dir, before); err != nil {
				t.Fatal(err)
			}
		}
		if err := MakeRunDir(dir); err != nil || modeOf(t, dir).Perm() != after {
			t.Errorf("%03o became %03o, %v", before, modeOf(t, dir).Perm(), err)
		}
	}
}

func TestMakeDrop(t *testing.T) {
	data := t.TempDir()
	drop, aside := filepath.Join(data, "drop"), filepath.Join(data, "aside")
	for range 2 {
		if err := makeDrop(data, drop, aside); err != nil {
			t.Fatal(err)
		}
		if m := modeOf(t, drop); m != fs.ModeDir|fs.ModeSticky|0o733 {
			t.Errorf("drop folder: %v", m)
		}
		if m := modeOf(t, aside); m != fs.ModeDir|0o700 {
			t.Errorf("place for rubbish: %v", m)
		}
	}
	// A link in its place is not followed.
	other := filepath.Join(data, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(data, "link")); err != nil {
		t.Fatal(err)
	}
	if err := makeDrop(data, filepath.Join(data, "link"), aside); err == nil || modeOf(t, other).Perm() != 0o700 {
		t.Errorf("a link: %v", err)
	}
}
