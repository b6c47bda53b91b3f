package system

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// rewriting is a setting by which body_checks put lines of Make's longer messages in their own place: the message stays the same,
// and its body is the one that was added to the record behind the client's bytes.
func rewriting(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "body_checks")
	if err := os.WriteFile(file, []byte("/^([.]a line that begins with a dot)$/ REPLACE $1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("filters.body_checks = [%q]", "regexp:"+file)
}

// The setting does what it says: else the tests that rely on it prove nothing about such records.
func TestRewriting(t *testing.T) {
	s := Server{Bin: build(t, ""), Dir: filepath.Join(t.TempDir(), "data"), Accounts: accounts, Sets: []string{rewriting(t)}}
	p := started(t, s)
	if err := sendOne(p, "rewritten-end"); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	packs, err := filepath.Glob(filepath.Join(s.Dir, "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, pack := range packs {
		b, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(b, []byte("rewritten-end 000009 "))
	}
	if n != 2 {
		t.Errorf("a line of the body is in the packs %d times, not twice", n)
	}
}
