package system

import (
	"bufio"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Inject has the kernel fail or delay calls of a running server, as strace -e inject=SPEC does, until stop is called. A sync
// of a pack is an fdatasync, of the database an fsync; a pack's group is a pwritev, a page of the database a pwrite64. Where
// paths are given, only calls on them fail.
func Inject(p *Process, calls, fault string, paths ...string) (stop func(), err error) {
	args := []string{"-f", "-p", strconv.Itoa(p.PID()), "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + fault, "-o", "/dev/null"}
	for _, path := range paths {
		args = append(args, "-P", path)
	}
	cmd := exec.Command("strace", args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "attached") {
			return func() {
				_ = cmd.Process.Signal(syscall.SIGINT) // it detaches
				for lines.Scan() {
				}
				_ = cmd.Wait()
			}, nil
		}
	}
	return nil, fmt.Errorf("strace does not attach: %w: %q; the server's log: %s", cmd.Wait(), said, p.Log())
}
