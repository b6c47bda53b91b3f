package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// TestManPages: every command and every key has its place, and the formatter finds nothing wrong.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	a := newApp()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	a.stdout = out
	if code := commands(a, []string{"man", dir}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.[15]"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	groff := needs.Program(t, "groff")
	text := map[string]string{}
	for _, f := range files {
		r := system.Run(t, system.Command{Name: groff, Args: []string{"-k", "-man", "-ww", "-b", "-rLL=140n", "-Tutf8", "-P-cbou", f}})
		if r.Stderr != "" {
			t.Errorf("%s: %s", f, r.Stderr)
		}
		text[filepath.Base(f)] = strings.NewReplacer("−", "-", "‐", "-").Replace(r.Stdout)
	}
	keys := strings.Join(strings.Fields(text["postrider.toml.5"]), " ") // lines that were too long are filled
	for _, key := range config.Keys() {
		if !strings.Contains(keys, key+" = ") {
			t.Errorf("postrider.toml(5) lacks %s", key)
		}
	}
	for page, words := range map[string][]string{
		"postrider.1":            {"postrider-account(1)", "--config", "quickstart"},
		"postrider-account.1":    {"postrider account add", "--password-stdin", "--[no-]login", "address"},
		"postrider-quickstart.1": {"--port-offset"},
	} {
		for _, w := range words {
			if !strings.Contains(text[page], w) {
				t.Errorf("%s lacks %q:\n%s", page, w, text[page])
			}
		}
	}
}
