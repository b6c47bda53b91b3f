package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	tailBytes    = 2000 // of a log, shown with an error
)

// daemon is one program in the foreground, the leader of its own process group.
type daemon struct {
	cmd      *exec.Cmd
	log      string
	gone     chan struct{} // closed when it has ended
	patience time.Duration // of stop
}

// launch starts a program. Its output goes to the file log, or standard output to stdout if that is not nil.
func launch(log string, stdout io.Writer, env []string, argv ...string) (*daemon, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := &daemon{cmd: exec.Command(argv[0], argv[1:]...), log: log, gone: make(chan struct{}), patience: stopTimeout}
	d.cmd.Stdout, d.cmd.Stderr = f, f
	if stdout != nil {
		d.cmd.Stdout = stdout
	}
	d.cmd.Env = append(os.Environ(), env...)
	// ^C is for us, who then stop it in order; if we die without that, it is told to end all the same.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		d.cmd.Wait()
		close(d.gone)
	}()
	return d, nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// stop ends the program and all that it started.
func (d *daemon) stop() error {
	family, err := gauge.Descendants(d.pid())
	if err != nil {
		return err
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	late := time.After(d.patience)
	var killed []int
	select {
	case <-d.gone:
	case <-late:
		killed = append(killed, d.pid())
		d.cmd.Process.Kill()
		<-d.gone
	}
	for begin := time.Now(); len(family.Left()) > 0 && time.Since(begin) < d.patience; {
		time.Sleep(20 * time.Millisecond)
	}
	for _, pid := range family.Left() {
		killed = append(killed, pid)
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if len(killed) > 0 {
		return fmt.Errorf("%s: processes %v did not end when asked, and were killed", d.cmd.Path, killed)
	}
	return nil
}

// fail adds what the log says to an error.
func (d *daemon) fail(err error) error { return withLog(err, d.log) }

func withLog(err error, log string) error {
	b, e := os.ReadFile(log)
	if e != nil || len(b) == 0 {
		return err
	}
	b = b[max(0, len(b)-tailBytes):]
	return fmt.Errorf("%w; the end of its log:\n%s", err, bytes.TrimSpace(b))
}

// await waits until a server greets on addr with the given first bytes.
func (d *daemon) await(ctx context.Context, addr, greeting string) error {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	var last error
	for begin := time.Now(); time.Since(begin) < startTimeout; {
		if last = greets(network, addr, greeting); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.gone:
			return d.fail(errors.New("it ended at once"))
		case <-time.After(30 * time.Millisecond):
		}
	}
	return d.fail(fmt.Errorf("not ready after %v: %w", startTimeout, last))
}

func greets(network, addr, want string) error {
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%s answers %q", addr, got)
	}
	return nil
}

// find returns a program's path; servers often stand where an ordinary PATH does not look.
func find(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/lib/postfix/sbin", "/usr/libexec/postfix", "/usr/lib/dovecot", "/usr/libexec/dovecot"} {
		if fi, err := os.Stat(dir + "/" + name); err == nil && fi.Mode()&0o111 != 0 && !fi.IsDir() {
			return dir + "/" + name, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// say runs a program and returns the first line of what it prints.
func say(argv ...string) string {
	b, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}
