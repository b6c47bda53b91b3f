package privhelper

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/config"
	"golang.org/x/sys/unix"
)

const (
	// maxOutput is how much a command's output may say in a bounce, bytes.
	maxOutput = 4 << 10
	// plainChars need no shell, and this is local(8)'s list. All else goes to /bin/sh -c.
	plainChars = "1234567890!@%-_=+:,./ \tabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	// envChars may stand in what a stranger has said, before it becomes a variable that some shell expands: Postfix's
	// command_expansion_filter.
	envChars = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// command runs a program of who's, with the message as its input, and judges its exit status.
func command(c *config.Config, m Message, who identity, line string) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Routing.CommandTimeLimit.D())
	defer cancel()
	cmd := commandOf(ctx, strings.Trim(line, " \t"))
	cmd.Env = environment(m, who)
	cmd.Dir = "/"
	if info, err := os.Stat(who.home); err == nil && info.IsDir() {
		cmd.Dir = who.home
	}
	return run(ctx, cmd, m.File, line)
}

// run starts a program and judges how it ends; line is what stands for it in the sender's text.
func run(ctx context.Context, cmd *exec.Cmd, message *os.File, line string) error {
	var out tail
	// A pipe, not the file itself: it is of the user's own, so that a program can open /dev/stdin again.
	input := &input{r: message}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &out
	// A group of its own, so that what it starts ends with it; and it ends with us. The signal is the thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second // for one in the background that keeps the output open
	err := cmd.Run()
	if ctx.Err() != nil && !(cmd.ProcessState != nil && cmd.ProcessState.Exited()) {
		return undelivered("5.3.0", "Command time limit exceeded: %q%s", line, out.said())
	}
	if input.broken.Load() {
		return undelivered("4.3.0", "The message could not be read to its end")
	}
	if cmd.ProcessState != nil && cmd.ProcessState.Success() {
		return nil // whatever became of those that it left in the background
	}
	return judge(err, line, &out)
}

// commandOf runs a command without a shell if no character in it is for one.
func commandOf(ctx context.Context, line string) *exec.Cmd {
	if strings.Trim(line, plainChars) == "" {
		if words := strings.Fields(line); len(words) > 0 {
			if program, err := lookPath(words[0]); err == nil {
				cmd := exec.CommandContext(ctx, program, words[1:]...)
				cmd.Args[0] = words[0]
				return cmd
			}
			if strings.Contains(words[0], "/") {
				return exec.CommandContext(ctx, words[0], words[1:]...)
			}
		}
	}
	return exec.CommandContext(ctx, "/bin/sh", "-c", line) // also for what is built into the shell
}

// searched is the PATH of commands.
const searched = "/usr/bin:/bin"

func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(searched, ":") {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", fs.ErrNotExist
}

// environment is all that a command gets: eight variables, EXTENSION only if there is one.
func environment(m Message, who identity) []string {
	shell := who.shell
	if shell == "" {
		shell = "/bin/sh"
	}
	env := []string{"HOME=" + who.home, "LOGNAME=" + who.name, "SHELL=" + shell, "PATH=" + searched,
		"SENDER=" + safe(m.Get("sender")), "RECIPIENT=" + safe(m.Get("recipient")),
		"ORIGINAL_RECIPIENT=" + safe(m.Get("original"))}
	if extension := safe(m.Get("extension")); extension != "" {
		env = append(env, "EXTENSION="+extension)
	}
	return env
}

func safe(b []byte) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(envChars, r) {
			return r
		}
		return '_'
	}, string(b))
}

// judge maps an exit status to a delivery status as local(8) does, sysexits.h.
func judge(err error, line string, out *tail) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return undelivered("4.3.5", "Command %q cannot be run: %v (its mode, or the helper's unit: docs/aliases.md)", line, err)
	case errors.Is(err, fs.ErrNotExist):
		return undelivered("5.3.5", "Command %q cannot be run: %v", line, err)
	case !errors.As(err, &exit):
		return undelivered("4.3.0", "Command %q cannot be run: %v", line, err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return undelivered("4.3.0", "Command died with signal %d: %q%s", status.Signal(), line, out.said())
	}
	why, known := sysexits()[exit.ExitCode()]
	if !known {
		return undelivered("5.3.0", "Command died with status %d: %q%s", exit.ExitCode(), line, out.said())
	}
	said := out.text()
	if first, rest, _ := strings.Cut(said, " "); isStatus(first) { // the command knows better, local(8)
		return undelivered(first, "%s", rest)
	}
	if said != "" {
		return undelivered(why.status, "%s", said)
	}
	return undelivered(why.status, "%s", why.text)
}

func sysexits() map[int]failure {
	return map[int]failure{
		64: {"5.3.0", "command line usage error"}, 65: {"5.6.0", "data format error"}, 66: {"5.3.0", "cannot open input"},
		67: {"5.1.1", "user unknown"}, 68: {"5.1.2", "host name unknown"}, 69: {"5.3.0", "service unavailable"},
		70: {"5.3.0", "internal software error"}, 71: {"4.3.0", "system resource problem"}, 72: {"5.3.0", "critical OS file missing"},
		73: {"5.2.0", "can't create user output file"}, 74: {"5.3.0", "input/output error"}, 75: {"4.3.0", "temporary failure"},
		76: {"5.5.0", "remote error in protocol"}, 77: {"5.7.0", "permission denied"}, 78: {"5.3.5", "local configuration error"},
	}
}

// isStatus tells an enhanced status code of a failure, RFC 3463 §2.
func isStatus(s string) bool {
	if len(s) < 5 || len(s) > 9 || s[0] != '4' && s[0] != '5' || s[1] != '.' {
		return false
	}
	subject, detail, ok := strings.Cut(s[2:], ".")
	digits := func(s string) bool { return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == "" }
	return ok && digits(subject) && digits(detail)
}

// input is the message, and remembers that it could not be read: a command cannot tell that from its end.
type input struct {
	r      io.Reader
	broken atomic.Bool
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && err != io.EOF {
		i.broken.Store(true)
	}
	return n, err
}

// tail keeps the beginning of an output, and takes the rest so that nobody hangs.
type tail struct{ kept bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.kept.Write(p[:min(len(p), max(0, maxOutput-t.kept.Len()))])
	return len(p), nil
}

func (t *tail) text() string { return strings.TrimSpace(strings.ToValidUTF8(t.kept.String(), "?")) }

func (t *tail) said() string {
	if text := t.text(); text != "" {
		return ". Command output: " + text
	}
	return ""
}
