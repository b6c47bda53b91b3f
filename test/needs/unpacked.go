package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Unpacked is a program of a Debian package that cannot be installed beside others.
func Unpacked(t testing.TB, name, program string) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "postrider-peers", name)
	path := filepath.Join(dir, program)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	Program(t, "apt-get")
	down := t.TempDir()
	_ = os.Chmod(down, 0o777)
	fetch := exec.Command("apt-get", "download", name)
	fetch.Dir = down
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Fatalf("apt-get download %s: %v\n%s", name, err, out)
	}
	files, err := filepath.Glob(filepath.Join(down, "*.deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if out, err := exec.Command("dpkg-deb", "-x", files[0], dir).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v\n%s", name, err, out)
	}
	return path
}
