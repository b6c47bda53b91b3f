package packages

import (
	"bytes"
	"context"
	"errors"
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

// debian makes a fresh Debian in a folder, with the package in two versions and the scenarios in /root.
func debian(t *testing.T, include string) string {
	t.Helper()
	needs.Long(t, "it makes a whole Debian in a folder")
	needs.Root(t, "to make and enter a Debian of its own")
	binary(t)
	dir := filepath.Join(t.TempDir(), "debian")
	system.Run(t, system.Command{Name: needs.Program(t, "debootstrap"), Args: []string{"--variant=minbase", "--include=" + include, "bookworm", dir},
		Timeout: 10 * time.Minute})
	for name, from := range map[string]string{"old.deb": build(t, "0.0.1"), "new.deb": build(t, "0.0.2"), "scenario.sh": "testdata/scenario.sh",
		"systemd.sh": "testdata/systemd.sh", "lib.sh": "testdata/lib.sh"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "root", name), text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDebianPackage follows testdata/scenario.sh in a fresh Debian.
func TestDebianPackage(t *testing.T) {
	dir := debian(t, "curl,ca-certificates,procps,iproute2")
	// --kill-child: with the first process of the namespace all others end.
	cmd := exec.Command(needs.Program(t, "unshare"), "--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "chroot", dir, "/bin/bash", "/root/scenario.sh")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// bootUnit runs the scenario when the system is up, and ends the system when it is done.
const bootUnit = `[Unit]
Description=scenario
After=multi-user.target systemd-user-sessions.service dbus.service
[Service]
Type=oneshot
ExecStart=/bin/bash /root/systemd.sh
ExecStopPost=/bin/sh -c "echo result $SERVICE_RESULT; systemctl --no-block poweroff"
StandardOutput=append:/root/scenario.log
StandardError=inherit
`

// TestDebianPackageUnderSystemd follows testdata/systemd.sh in a fresh Debian that systemd runs: in a container of its
// own, without the machine's network.
func TestDebianPackageUnderSystemd(t *testing.T) {
	nspawn := needs.Program(t, "systemd-nspawn")
	dir := debian(t, "curl,ca-certificates,procps,systemd,systemd-sysv,dbus")
	unit, wants := filepath.Join(dir, "etc/systemd/system/scenario.service"), filepath.Join(dir, "etc/systemd/system/default.target.wants")
	err := errors.Join(os.WriteFile(unit, []byte(bootUnit), 0o644), os.MkdirAll(wants, 0o755), os.Symlink(unit[len(dir):], filepath.Join(wants, "scenario.service")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, nspawn, "--quiet", "--directory", dir, "--boot", "--register=no", "--keep-unit", "--private-network", "--link-journal=no",
		"--console=pipe",
		"--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self", // which the container would refuse
		"--machine", "postrider-test")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it then ends the system
	cmd.WaitDelay = 30 * time.Second
	console, err := cmd.CombinedOutput()
	log, readErr := os.ReadFile(filepath.Join(dir, "root/scenario.log"))
	if err != nil || readErr != nil || !bytes.Contains(log, []byte("== done\nresult success\n")) {
		t.Fatalf("%v %v\n%s\n%s", err, readErr, log, console[max(0, len(console)-2000):])
	}
	t.Logf("%s", log)
}
