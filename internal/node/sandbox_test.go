package node

import (
	"os"
	"path/filepath"
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
