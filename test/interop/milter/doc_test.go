// Package milter has real Postrider ask real filters: Debian's OpenDKIM and Rspamd, and emersion's go-milter as a second
// opinion on the protocol.
package milter

import (
	"net"
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

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// start runs a filter's program in the foreground until the test ends, and waits for its socket.
func start(t *testing.T, socket, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), filepath.Base(program)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
		}
		_ = log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%.4000s", program, b)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended", program)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s opens no socket: %v", program, err)
		}
	}
}

// folder is a short one: the names of sockets have a limit.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mi")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// swaks sends a message; code is the program's exit code.
func swaks(t *testing.T, s *system.System, service string, code int, args ...string) string {
	t.Helper()
	needs.Program(t, "swaks")
	base := []string{"--server", "127.0.0.1", "--port", s.Port(t, service), "--helo", "client.far.example", "--timeout", "60s"}
	return system.Run(t, system.Command{Name: "swaks", Args: append(base, args...), Code: code}).All()
}

const (
	sent    = 0
	refused = 26 // after the end of the message
)

// last is the newest message of a mailbox.
func last(t *testing.T, s *system.System, a system.Account, mailbox string, n int) string {
	t.Helper()
	s.Await(t, a, mailbox, n)
	bodies := system.Bodies(t, s.IMAP(t, a), mailbox)
	return string(bodies[len(bodies)-1])
}

func contains(t *testing.T, in string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(in, want) {
			t.Errorf("lacks %q:\n%s", want, in)
		}
	}
}
