//go:build linux

package gauge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// syncCalls are the system calls that make data durable.
const syncCalls = "fsync,fdatasync,sync,syncfs,sync_file_range,msync"

// Syncs is a strace that counts syncs of the trees below some processes.
type Syncs struct {
	cmd  *exec.Cmd
	log  string
	said bytes.Buffer
}

// CountSyncs attaches strace to every process of the trees and returns when it holds them all; what they start later
// is followed. strace slows its victims down by far: never measure a rate meanwhile. dir takes its log.
func CountSyncs(ctx context.Context, dir string, roots []int) (*Syncs, error) {
	ps, err := tree(roots)
	if err != nil {
		return nil, err
	}
	s := &Syncs{log: filepath.Join(dir, "strace.log")}
	args := []string{"-f", "-c", "-U", "name,calls", "-e", "trace=" + syncCalls, "-o", s.log}
	for _, p := range ps {
		args = append(args, "-p", strconv.Itoa(p.pid))
	}
	s.cmd = exec.Command("strace", args...)
	s.cmd.Stderr = &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT} // ^C is for us; without us it lets go
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for _, p := range ps {
		if err := s.held(ctx, p.pid); err != nil {
			s.cmd.Process.Signal(os.Interrupt)
			s.cmd.Wait()
			return nil, fmt.Errorf("strace: %w: %s", err, strings.TrimSpace(s.said.String()))
		}
	}
	return s, nil
}

// held waits until every thread of the process has a tracer.
func (s *Syncs) held(ctx context.Context, pid int) error {
	for range 1000 {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil {
			return err
		}
		free := false
		for _, t := range threads {
			b, err := os.ReadFile(t)
			free = free || (err == nil && bytes.Contains(b, []byte("TracerPid:\t0\n")))
		}
		if !free {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("process %d was not taken", pid)
}

// Stop detaches and returns the number of calls, by name.
func (s *Syncs) Stop() (map[string]int, error) {
	s.cmd.Process.Signal(os.Interrupt)
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	if exit != nil {
		if ws, ok := exit.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGINT {
			return nil, fmt.Errorf("strace: %w: %s", err, strings.TrimSpace(s.said.String()))
		}
	}
	b, err := os.ReadFile(s.log)
	if err != nil {
		return nil, err
	}
	os.Remove(s.log)
	return parseSummary(string(b)), nil
}

// parseSummary reads the table of strace -c -U name,calls.
func parseSummary(table string) map[string]int {
	calls := map[string]int{}
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) != 2 || !strings.Contains(","+syncCalls+",", ","+f[0]+",") {
			continue
		}
		if n, err := strconv.Atoi(f[1]); err == nil {
			calls[f[0]] += n
		}
	}
	return calls
}
