package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFoldersOfKilledComparisonsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	there := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	killed, running, kept := filepath.Join(dir, "mailbench-1"), filepath.Join(dir, "mailbench-2"), filepath.Join(dir, "mailbench-3")
	for _, d := range []string{killed, running, kept} {
		if err := os.MkdirAll(filepath.Join(d, "a"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(killed, folderLock), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := lockFile(filepath.Join(running, folderLock))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path, release, err := workFolder(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if there(killed) || !there(running) || !there(kept) || !there(path) {
		t.Errorf("killed %v, running %v, kept %v, new %v", there(killed), there(running), there(kept), there(path))
	}
	if err := release(); err != nil || there(path) {
		t.Errorf("%v", err)
	}
	if path, release, err = workFolder(dir, true); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil || !there(path) || there(filepath.Join(path, folderLock)) {
		t.Errorf("%v", err)
	}
}
