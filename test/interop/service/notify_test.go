package service

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// next reads the manager's socket until something that begins so comes, and returns all that came.
func next(t testing.TB, conn *net.UnixConn, want string) []string {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var all []string
	for {
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("no %s among %q: %v", want, all, err)
		}
		all = append(all, string(buf[:n]))
		if strings.HasPrefix(string(buf[:n]), want) {
			return all
		}
	}
}

func TestNotify(t *testing.T) {
	p := newPlace(t)
	manager, path := notifySocket(t, p.dir)
	s := p.serve(t, "[limits]\nsandbox = \"require\"\n", "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=400000")
	ready := next(t, manager, "READY=1")
	if last := ready[len(ready)-1]; len(ready) != 1 || !strings.Contains(last, "\nSTATUS=serving imap, imaps") {
		t.Errorf("ready: %q", ready)
	}
	next(t, manager, "WATCHDOG=1")
	next(t, manager, "WATCHDOG=1")
	must(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGHUP))
	reloading := next(t, manager, "RELOADING=1")
	if last := reloading[len(reloading)-1]; !strings.Contains(last, "\nMONOTONIC_USEC=") {
		t.Errorf("reloading: %q", last)
	}
	next(t, manager, "READY=1")
	// A configuration that is refused ends the reload as well.
	must(t, os.WriteFile(s.data+"/postrider.toml", []byte("nonsense = 1\n"), 0o644), syscall.Kill(s.cmd.Process.Pid, syscall.SIGHUP))
	next(t, manager, "RELOADING=1")
	next(t, manager, "READY=1")
	if !strings.Contains(s.logFile(), "reload refused") {
		t.Errorf("log: %s", s.logFile())
	}
	must(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGTERM))
	next(t, manager, "STOPPING=1")
	<-s.gone
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A server that hangs is not pinged for: stopped by a signal here, it says nothing, and goes on when it goes on.
func TestWatchdogOfAHangingServer(t *testing.T) {
	p := newPlace(t)
	manager, path := notifySocket(t, p.dir)
	s := p.serve(t, "", "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=200000")
	next(t, manager, "WATCHDOG=1")
	must(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGSTOP))
	for { // what was under way
		must(t, manager.SetReadDeadline(time.Now().Add(time.Second)))
		if _, err := manager.Read(make([]byte, 100)); err != nil {
			break
		}
	}
	must(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGCONT))
	next(t, manager, "WATCHDOG=1")
}
