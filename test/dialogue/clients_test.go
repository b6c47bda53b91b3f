package dialogue

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestClientsDocument: docs/clients.md names every replayed client, and no replay that is not there.
func TestClientsDocument(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile("`((?:imap|smtp|pop3)/[a-z0-9-]+)`").FindAllStringSubmatch(string(text), -1) {
		named = append(named, m[1])
	}
	paths, err := filepath.Glob(filepath.Join(root, "internal", "wire", "*", "testdata", "clients", "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no scripts", err)
	}
	var there []string
	for _, path := range paths {
		parts := strings.Split(filepath.ToSlash(path), "/")
		there = append(there, parts[len(parts)-4]+"/"+strings.TrimSuffix(filepath.Base(path), ".txt"))
	}
	for _, name := range there {
		if !slices.Contains(named, name) {
			t.Errorf("docs/clients.md does not name the replay %s", name)
		}
	}
	for _, name := range named {
		if !slices.Contains(there, name) {
			t.Errorf("docs/clients.md names %s, which is not there", name)
		}
	}
}
