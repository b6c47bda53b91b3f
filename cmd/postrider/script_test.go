package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postrider": main})
}

// TestScripts runs testdata/script. Beside testscript's own commands:
//
//	start NAME ARGS...    starts postrider in the background, waits until it is ready; its services' addresses are
//	                      then in $SMTP, $IMAPS, … and its output in NAME.out and NAME.err
//	end NAME SIGNAL CODE  sends a signal and waits for that exit code, or for "killed"
//	signal NAME SIGNAL    sends a signal
//	code N ARGS...        runs a program that must exit with N
//	send FROM TO          sends a message to $SMTP
//	await TEXT ARGS...    runs a program again and again until a line of its output matches
//	offset VAR            puts a port offset into VAR at which all services' ports are free
//	mode FILE PERM        checks a file's permissions
//
// and those of clients that stay connected, in session_test.go.
func TestScripts(t *testing.T) {
	s := &scripts{}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Values[runs{}] = map[string]*background{}
			e.Values[clients{}] = map[string]*client{}
			e.Setenv("NO_COLOR", "1")
			// A server that root starts as another user must get to its data.
			return errors.Join(os.Chmod(e.WorkDir, 0o755), os.Chmod(filepath.Dir(e.WorkDir), 0o755))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": s.start, "end": s.end, "signal": s.signal, "code": s.code, "send": s.send, "await": s.await, "offset": s.offset,
			"mode": s.mode, "connect": s.connect, "say": s.say, "hear": s.hear, "password": s.password,
		},
		RequireExplicitExec: true,
	})
}

const patience = 20 * time.Second

type (
	scripts    struct{}
	runs       struct{}
	background struct {
		cmd   *exec.Cmd
		ended chan error
	}
)

func (*scripts) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME ARGS...")
	}
	name, args := args[0], args[1:]
	if !strings.Contains(strings.Join(args, " "), "--port-offset") {
		for _, service := range services() {
			args = append(args, "--set", "listeners."+service+`.addresses=["127.0.0.1:0"]`)
		}
	}
	program, err := lookPath(ts.Getenv("PATH"), "postrider")
	ts.Check(err)
	b := &background{cmd: exec.Command(program, args...), ended: make(chan error, 1)}
	b.cmd.Dir = ts.MkAbs(".")
	for _, k := range []string{"PATH", "HOME", "TMPDIR", "WORK", "NO_COLOR", "POSTRIDER_DIR"} {
		b.cmd.Env = append(b.cmd.Env, k+"="+ts.Getenv(k))
	}
	stdout, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	stderr, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	b.cmd.Stdout, b.cmd.Stderr = stdout, stderr
	ts.Check(b.cmd.Start())
	ts.Check(errors.Join(stdout.Close(), stderr.Close()))
	go func() { b.ended <- b.cmd.Wait() }()
	ts.Value(runs{}).(map[string]*background)[name] = b
	ts.Defer(func() { _ = b.cmd.Process.Kill() })

	listeners := waitReady(ts, b, program, args)
	for service, addr := range listeners {
		ts.Setenv(strings.ToUpper(service), addr)
	}
}

func lookPath(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); exec.Command(file, "version").Run() == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("no %s in %s", name, path)
}

// waitReady asks the server, as an operator would, until it says that it runs.
func waitReady(ts *testscript.TestScript, b *background, program string, args []string) map[string]string {
	var where []string
	for i, a := range args {
		if a == "--dir" || a == "--config" {
			where = append(where, a, args[i+1])
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-b.ended:
			b.ended <- err
			ts.Fatalf("it ended: %v\n%s", err, ts.ReadFile(nameOf(ts, b)+".err"))
		default:
		}
		ask := exec.Command(program, append([]string{"status", "--json"}, where...)...)
		ask.Dir, ask.Env = b.cmd.Dir, b.cmd.Env
		out, err := ask.Output()
		var status struct {
			Running   bool
			PID       int
			Listeners map[string]string
		}
		if err == nil && json.Unmarshal(out, &status) == nil && status.Running && status.PID == b.cmd.Process.Pid {
			return status.Listeners
		}
	}
	ts.Fatalf("not ready after %v", patience)
	return nil
}

func nameOf(ts *testscript.TestScript, b *background) string {
	for name, other := range ts.Value(runs{}).(map[string]*background) {
		if other == b {
			return name
		}
	}
	return ""
}

func signalOf(ts *testscript.TestScript, name string) syscall.Signal {
	s, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[name]
	if !ok {
		ts.Fatalf("no signal %s here", name)
	}
	return s
}

func (*scripts) running(ts *testscript.TestScript, name string) *background {
	b := ts.Value(runs{}).(map[string]*background)[name]
	if b == nil {
		ts.Fatalf("%s was not started", name)
	}
	return b
}

func (s *scripts) signal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	ts.Check(s.running(ts, args[0]).cmd.Process.Signal(signalOf(ts, args[1])))
}

func (s *scripts) end(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: end NAME SIGNAL CODE")
	}
	b := s.running(ts, args[0])
	ts.Check(b.cmd.Process.Signal(signalOf(ts, args[1])))
	select {
	case <-b.ended:
	case <-time.After(patience):
		ts.Fatalf("%s did not end after %v", args[0], patience)
	}
	state := b.cmd.ProcessState
	got := strconv.Itoa(state.ExitCode())
	if w := state.Sys().(syscall.WaitStatus); w.Signaled() {
		got = w.Signal().String()
	}
	if got != args[2] {
		ts.Fatalf("%s ended with %s, not %s\n%s", args[0], got, args[2], ts.ReadFile(args[0]+".err"))
	}
}

func (*scripts) code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARGS...")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, not %s", got, args[0])
	}
}

func (*scripts) send(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: send FROM TO")
	}
	text := "From: " + args[0] + "\r\nTo: " + args[1] + "\r\nSubject: hello from a script\r\n\r\nIt works.\r\n"
	if err := sendText(ts.Getenv("SMTP"), args[0], args[1], text); neg == (err == nil) {
		ts.Fatalf("send: %v", err)
	}
}

func sendText(addr, from, to, text string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Mail(from), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(text))
	return errors.Join(err, w.Close(), c.Quit())
}

func (*scripts) await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await TEXT PROGRAM ARGS...")
	}
	want, err := regexp.Compile(`(?m)` + args[0])
	ts.Check(err)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%q was never seen", args[0])
}

func (*scripts) offset(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: offset VAR")
	}
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		offset := l.Addr().(*net.TCPAddr).Port - 25
		ts.Check(l.Close())
		if offset+993 < 65536 && allFree(offset) {
			ts.Setenv(args[0], strconv.Itoa(offset))
			ts.Setenv(args[0]+"_SMTP", strconv.Itoa(offset+25))
			return
		}
	}
	ts.Fatalf("no free range of ports")
}

func allFree(offset int) bool {
	for _, s := range standardPorts() {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", offset+s.port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

func (*scripts) mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE PERM")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%03o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has the mode %s, not %s", args[0], got, args[1])
	}
}
