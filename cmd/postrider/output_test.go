package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/node"
)

// testApp writes to a file, as no person reads it.
func testApp(t *testing.T) (a *app, output func() string) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &app{stdin: f, stdout: f, stderr: f, getenv: func(string) string { return "" }}, func() string {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestExitCodes(t *testing.T) {
	_, notThere := os.Stat("/nowhere")
	for want, errs := range map[int][]error{
		0:  {nil},
		64: {usagef("x"), fmt.Errorf("y: %w", usagef("x"))},
		65: {admin.Errorf(admin.Exists, "x"), admin.Errorf(admin.InUse, "x"), admin.Errorf(admin.Invalid, "x")},
		66: {notThere},
		67: {admin.Errorf(admin.NotFound, "x")},
		69: {admin.Errorf(admin.Unavailable, "x"), syscall.EADDRINUSE},
		70: {errors.New("x"), admin.Errorf(admin.Internal, "x")},
		74: {status.ErrFatal.With("sync", syscall.EIO), fmt.Errorf("x: %w", syscall.EIO)},
		75: {admin.Errorf(admin.Temporary, "x"), node.ErrLocked, syscall.ENOSPC},
		77: {admin.Errorf(admin.Denied, "x"), fs.ErrPermission, syscall.EACCES},
		78: {config.Errors{{Msg: "x"}}, withCode(78, "x")},
	} {
		for _, err := range errs {
			a, _ := testApp(t)
			if got := a.fail(err); got != want {
				t.Errorf("%v: exit code %d, want %d", err, got, want)
			}
		}
	}
}

func TestErrorsAreSaidOnce(t *testing.T) {
	a, output := testApp(t)
	a.fail(errors.Join(errors.New("one \x1b[31mred"), errors.New("two"), errors.New("two")))
	if got, want := output(), "postrider: one \ufffd[31mred\npostrider: two\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTable(t *testing.T) {
	a, _ := testApp(t)
	tab := newTable("NAME", ">SIZE", "REST")
	tab.row("käse", "1 B", "a")
	tab.row("x", "1.2 KiB", "\x1b]0;owned\x07\n")
	var b bytes.Buffer
	tab.write(a, &b, "none")
	want := "NAME     SIZE  REST\nkäse      1 B  a\nx     1.2 KiB  \ufffd]0;owned\ufffd\ufffd\n"
	if b.String() != want {
		t.Errorf("got\n%q, want\n%q", b.String(), want)
	}
	b.Reset()
	newTable("A").write(a, &b, "none")
	if b.String() != "none\n" {
		t.Errorf("%q", b.String())
	}
}

func TestShortSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1536: "1.5 KiB", 200 << 10: "200 KiB", 5 << 30: "5.0 GiB", 1 << 60: "1048576 TiB"} {
		if got := shortSize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestPasswordsAreRandomAndReadable(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		p := newPassword()
		if seen[p] || !regexp.MustCompile(`^([b-z][aeiou][b-z][aeiou]-){4}[b-z][aeiou][b-z][aeiou]$`).MatchString(p) {
			t.Fatalf("%q", p)
		}
		seen[p] = true
	}
}

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"plain/path", "", "with space", "it's", `$HOME "x" \`, "ä"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q came out as %q, %v", s, out, err)
		}
	}
}

func TestTOMLString(t *testing.T) {
	for _, s := range []string{"", `a "b" \c`, "tab\tline\nbell\x07del\x7f", "ä\u2028"} {
		c, err := config.Parse("", []byte("log.file = "+tomlString(s)+"\n"), nil)
		if err != nil || c.Log.File != s {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestPasswordFromStandardInput(t *testing.T) {
	for text, want := range map[string]string{"secret\n": "secret", "two words\r\nrest\n": "two words", "no newline": "no newline", "\n": "", "": ""} {
		a, _ := testApp(t)
		if _, err := a.stdin.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		got, err := a.password(true)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// Every command has a help text.
func TestEverythingIsExplained(t *testing.T) {
	a, output := testApp(t)
	if code := start(a, []string{"/usr/bin/postrider", "--help"}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for line := range strings.Lines(output()) {
		if m := regexp.MustCompile(`^  ([a-z]+( [a-z]+)?)\s*$`).FindStringSubmatch(line); m != nil {
			t.Errorf("%s is not explained", m[1])
		}
	}
	if !strings.Contains(output(), "queue release") {
		t.Errorf("not the help:\n%s", output())
	}
}
