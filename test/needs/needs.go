// Package needs is the one place where a test may skip itself: for a program, for root, or for time.
//
// As root, or with CI=true, a missing program is a failure, because `make peers` can install it there (test/peers.txt);
// as an ordinary user it is a skip that names what is missing. A layering test forbids t.Skip everywhere else, so that
// no test goes quiet without a reason that can be read.
//
// The package imports nothing of Postrider and may be imported by any test.
package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// sbin are the folders that an ordinary user's PATH lacks but where Debian puts servers' programs.
var sbin = [...]string{"/usr/sbin", "/sbin", "/usr/lib/postfix/sbin", "/usr/lib/dovecot", "/usr/lib/postgresql/15/bin"}

// Program returns the path of a program of the machine. Missing, it fails the test where the machine is ours to
// prepare, and skips it elsewhere.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, ok := find(name)
	if !ok {
		missing(t, "the program "+name+" (make peers installs it)")
	}
	return path
}

// Root fails or skips like Program when the test is not run by root; why says what root is needed for.
func Root(t testing.TB, why string) {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "root: "+why)
	}
}

// Kernel skips a test of something that the running kernel has not: that cannot be installed.
func Kernel(t testing.TB, what string, has bool) {
	t.Helper()
	if !has {
		t.Skipf("this test needs a kernel with %s", what)
	}
}

// Long skips a test that does not fit in `make check`; POSTRIDER_LONG=1, which `make check-long` sets, runs it.
func Long(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("POSTRIDER_LONG") != "1" {
		t.Skipf("long test, run by make check-long: %s", why)
	}
}

// Amount is how many of something generated a test takes: short in `make check`, long in `make check-long`.
func Amount(short, long int) int {
	if os.Getenv("POSTRIDER_LONG") == "1" {
		return long
	}
	return short
}

// Quick skips a test that does not fit in `make test`, which passes -short; why names what takes the time.
func Quick(t testing.TB, why string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("not in the quick run (-short): %s", why)
	}
}

// Duration returns how long an open-ended test (SIGKILLs, replay) should go on: the environment variable name in whole
// seconds or as a Go duration, else def.
func Duration(t testing.TB, name string, def time.Duration) time.Duration {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return def
	}
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatalf("%s=%q is neither seconds nor a duration", name, v)
	}
	return d
}

// Count is how often a test of counted steps (kills, power cuts) takes one: the environment variable name, else def.
func Count(t testing.TB, name string, def int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is no number", name, v)
	}
	return n
}

func find(name string) (string, bool) {
	if p, err := exec.LookPath(name); err == nil {
		return p, true
	}
	for _, dir := range sbin {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(p); err == nil && !fi.IsDir() && fi.Mode()&0o111 != 0 {
			return p, true
		}
	}
	return "", false
}

// mandatory tells whether this machine must have everything: see the package comment.
func mandatory(uid int, ci string) bool { return uid == 0 || ci == "true" }

func missing(t testing.TB, what string) {
	t.Helper()
	if mandatory(os.Getuid(), os.Getenv("CI")) {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}
