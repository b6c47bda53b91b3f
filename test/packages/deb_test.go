package packages

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

const root = "../.."

// build makes the package of a version and returns its path.
func build(t *testing.T, version string) string {
	t.Helper()
	r := system.Run(t, system.Command{Name: filepath.Join(root, "packaging/deb/build.sh"), Args: []string{version, t.TempDir()}, Env: os.Environ(),
		Timeout: 5 * time.Minute})
	return strings.TrimSpace(r.Stdout)
}

func binary(t *testing.T) {
	t.Helper()
	system.Run(t, system.Command{Name: needs.Program(t, "make"), Args: []string{"-s", "-C", root, "build"}, Env: os.Environ(), Timeout: 10 * time.Minute})
}

// TestDebianPackageIsReproducible: the same program and time give the same bytes, whatever the builder's umask.
func TestDebianPackageIsReproducible(t *testing.T) {
	needs.Program(t, "dpkg-deb")
	binary(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1790000000")
	var first []byte
	for _, mask := range []int{0o022, 0o077} {
		before := syscall.Umask(mask)
		defer syscall.Umask(before)
		text, err := os.ReadFile(build(t, "0.0.1~same"))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = text
		} else if !bytes.Equal(first, text) {
			t.Errorf("two builds differ: %d and %d bytes", len(first), len(text))
		}
	}
}

// TestDebianPackage follows testdata/scenario.sh in a fresh Debian.
func TestDebianPackage(t *testing.T) {
	needs.Long(t, "it makes a whole Debian in a folder")
	needs.Root(t, "to make and enter a Debian of its own")
	debootstrap := needs.Program(t, "debootstrap")
	binary(t)
	dir := filepath.Join(t.TempDir(), "debian")
	system.Run(t, system.Command{Name: debootstrap, Args: []string{"--variant=minbase", "--include=curl,ca-certificates,procps,iproute2", "bookworm", dir},
		Timeout: 10 * time.Minute})
	for name, from := range map[string]string{"old.deb": build(t, "0.0.1"), "new.deb": build(t, "0.0.2"), "scenario.sh": "testdata/scenario.sh"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "root", name), text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// --kill-child: with the first process of the namespace all others end.
	cmd := exec.Command(needs.Program(t, "unshare"), "--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "chroot", dir, "/bin/bash", "/root/scenario.sh")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
