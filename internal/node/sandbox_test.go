package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

// A confined server could not read a resolv.conf, or authorities, that the system links to from /etc.
func TestSandboxFollowsTheSystemsLinks(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"etc", "run", "home"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link, real, other := filepath.Join(dir, "etc/resolv.conf"), filepath.Join(dir, "run/resolv.conf"), filepath.Join(dir, "home/file")
	for _, path := range []string{real, other} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	c := config.Defaults()
	c.DataDir, c.RunDir = filepath.Join(dir, "data"), filepath.Join(dir, "data/run")
	if s := newSandbox(c, "", []string{link}); !s.allows(link) || !s.allows(real) || s.allows(other) {
		t.Errorf("%q", s.read)
	}
	if s := newSandbox(c, "", nil); s.allows(link) {
		t.Errorf("without the link: %q", s.read)
	}
}

// Packs that a link put on another disk made a start fail with "permission denied" and no word of the reason.
func TestSandboxRefusesLinksOutOfTheData(t *testing.T) {
	dir := t.TempDir()
	data, disk := filepath.Join(dir, "data"), filepath.Join(dir, "disk")
	for _, path := range []string{data, disk, filepath.Join(data, "inside")} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := config.Defaults()
	c.DataDir, c.RunDir = data, filepath.Join(data, "run")
	s := NewSandbox(c, filepath.Join(dir, "postrider.toml")) // disk can be read
	for link, to := range map[string]string{"a": filepath.Join(data, "inside"), "b": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(data, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.checkLinks(data); err != nil {
		t.Errorf("links that stay inside: %v", err)
	}
	if err := os.Symlink(disk, filepath.Join(data, "packs")); err != nil {
		t.Fatal(err)
	}
	if err := s.checkLinks(data); err == nil || !strings.Contains(err.Error(), "mount --bind "+disk+" "+filepath.Join(data, "packs")) {
		t.Errorf("packs on another disk: %v", err)
	}
}
