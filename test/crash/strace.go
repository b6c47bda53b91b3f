package crash

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/postrider/postrider/test/crash/trace"
)

// SyncDelay makes every sync begin late, in microseconds: an acknowledgement
// that does not wait for it then leaves first, where by luck it might have left
// last.
const SyncDelay = 1000

// Traced is a program under strace.
type Traced struct {
	Stdout io.ReadCloser // the program's
	cmd    *exec.Cmd
}

// StraceArgs are the arguments of strace for a trace into file; the program
// and its arguments follow.
func StraceArgs(file string) []string {
	return append(trace.Options(), "-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%d", SyncDelay),
		"-o", file, "--")
}

// Start runs a program under strace. Paths among its arguments must be
// absolute. The end of ctx kills it.
func Start(ctx context.Context, traceFile string, program string, args ...string) (*Traced, error) {
	cmd := exec.CommandContext(ctx, "strace", append(append(StraceArgs(traceFile), program), args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t := &Traced{out, cmd}
	cmd.Cancel = func() error { return t.signal(syscall.SIGKILL) }
	return t, cmd.Start()
}

// Stop sends TERM to the program and waits for it and for the end of the trace.
func (t *Traced) Stop() error {
	err := t.signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, t.Stdout) // Wait must not close it under the program
	if werr := t.cmd.Wait(); werr != nil {
		return werr
	}
	return err
}

// signal reaches the program and strace: they are a process group. strace, when
// it writes to a file, lets TERM pass.
func (t *Traced) signal(s syscall.Signal) error { return syscall.Kill(-t.cmd.Process.Pid, s) }
