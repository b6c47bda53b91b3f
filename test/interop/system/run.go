package system

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
)

const (
	runTimeout = 2 * time.Minute
	runOutput  = 4000 // bytes of a failed program's output shown
)

// Command is a program to run to its end.
type Command struct {
	Name    string // looked up by test/needs, unless it is a path
	Args    []string
	Stdin   io.Reader
	Dir     string
	Env     []string      // added to a small, fixed environment
	Timeout time.Duration // default two minutes
	Code    int           // the exit code demanded
	AnyCode bool          // any will do
}

// Result is what a program said.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// All is what a person at a terminal would have seen, roughly.
func (r Result) All() string { return r.Stdout + r.Stderr }

// Run runs a program to its end and fails the test if the exit code is not the demanded one, or time runs out.
func Run(t testing.TB, c Command) Result {
	t.Helper()
	if !strings.Contains(c.Name, "/") {
		c.Name = needs.Program(t, c.Name)
	}
	if c.Timeout == 0 {
		c.Timeout = runTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), c.Timeout) // cleanups run programs too
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	// A group of its own, so that a program that forks is ended in whole.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = c.Stdin, &stdout, &stderr, c.Dir
	cmd.Env = append(Environment(), c.Env...)
	err := cmd.Run()
	r := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s %q: not done after %v\n%s", c.Name, c.Args, c.Timeout, clip(r.All()))
	case err != nil && !errors.As(err, &exit):
		t.Fatalf("%s: %v", c.Name, err)
	case r.Code != c.Code && !c.AnyCode:
		t.Fatalf("%s %q: exit code %d, want %d\n%s", c.Name, c.Args, r.Code, c.Code, clip(r.All()))
	}
	return r
}

// Environment is what peers' programs see: no one's settings and no one's locale.
func Environment() []string {
	home := os.TempDir()
	return []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + home, "LC_ALL=C.UTF-8", "TZ=UTC", "TERM=screen"}
}

func clip(s string) string {
	if len(s) > runOutput {
		return "… " + s[len(s)-runOutput:]
	}
	return s
}
