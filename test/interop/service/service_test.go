// Package service tests postrider as a system service: an ordinary user's process, confined, watched, with sockets passed
// to it, and with the helper doing what needs root. systemd itself does not run here: its programs that work without it do,
// and a private mount namespace (unshare -m) stands for a machine with users of its own.
package service

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

const (
	nobody   = 65534
	patience = 30 * time.Second
)

// place is a folder that everybody may pass through, with a copy of the program.
type place struct {
	dir, binary string
}

func newPlace(t testing.TB) place {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	p := place{dir, filepath.Join(dir, "postrider")}
	from, err := os.Open(system.Binary(t))
	must(t, err)
	defer from.Close()
	to, err := os.OpenFile(p.binary, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err, to.Chmod(0o755), to.Close())
	return p
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// write makes a file in the place.
func (p place) write(t testing.TB, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode))
	return path
}

// process is a program that runs until the test ends.
type process struct {
	cmd  *exec.Cmd
	log  string
	gone chan struct{}
}

// launch starts a program; as root, as another user when uid is not 0.
func (p place) launch(t testing.TB, uid int, env []string, args ...string) *process {
	t.Helper()
	log, err := os.CreateTemp(p.dir, filepath.Base(args[0])+"-*.log")
	must(t, err)
	defer log.Close()
	r := &process{cmd: exec.Command(args[0], args[1:]...), log: log.Name(), gone: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.Dir = log, log, p.dir
	r.cmd.Env = append(system.Environment(), env...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 && uid != 0 {
		r.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	must(t, r.cmd.Start())
	go func() {
		_ = r.cmd.Wait() // ProcessState has it
		close(r.gone)
	}()
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() {
			t.Logf("%s:\n%s", args[0], r.text())
		}
	})
	return r
}

func (r *process) text() string {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop sends TERM to the program and what it started, and waits.
func (r *process) stop(t testing.TB) {
	t.Helper()
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	select {
	case <-r.gone:
	case <-time.After(patience):
		t.Errorf("%s does not end", r.cmd.Path)
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
		<-r.gone
	}
}

// eventually waits for something that a program does in its own time.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var services = []string{"smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s"}

// server is a running `postrider serve`.
type server struct {
	*process
	place
	data      string
	listeners map[string]string
}

// configure writes a configuration for an unprivileged server on free ports and returns its data directory.
func (p place) configure(t testing.TB, text string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mx.here.example\"\ndomain = \"here.example\"\n[log]\nfile = %q\n", filepath.Join(p.dir, "log", "postrider.log"))
	for _, s := range services {
		fmt.Fprintf(&b, "[listeners.%s]\nenabled = true\naddresses = [\"127.0.0.1:0\"]\n", s)
	}
	data := filepath.Join(p.dir, "data")
	p.write(t, "data/postrider.toml", b.String()+text, 0o644)
	must(t, os.Mkdir(filepath.Join(p.dir, "log"), 0o755))
	if os.Geteuid() == 0 {
		must(t, os.Chown(data, nobody, nobody), os.Chown(filepath.Join(p.dir, "log"), nobody, nobody))
	}
	return data
}

// serve starts a server and waits until it is ready.
func (p place) serve(t testing.TB, config string, env ...string) *server {
	t.Helper()
	data := p.configure(t, config)
	s := &server{process: p.launch(t, nobody, env, p.binary, "serve", "--dir", data), place: p, data: data}
	s.ready(t)
	return s
}

func (s *server) ready(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", s.logFile())
		}
	})
	eventually(t, "the server is ready", func() bool {
		select {
		case <-s.gone:
			t.Fatalf("the server ended: %s\n%s", s.text(), s.logFile())
		default:
		}
		out, err := exec.Command(s.binary, "status", "--json", "--dir", s.data).Output()
		var status struct {
			Running   bool
			Listeners map[string]string
		}
		if err != nil || json.Unmarshal(out, &status) != nil || !status.Running {
			return false
		}
		s.listeners = status.Listeners
		return true
	})
}

func (s *server) logFile() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log", "postrider.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// postrider runs one of the operator's commands.
func (s *server) postrider(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	return system.Run(t, system.Command{Name: s.binary, Args: append(args, "--dir", s.data), Stdin: strings.NewReader(stdin)}).Stdout
}

// swaks delivers a message for an account, by LMTP.
func (s *server) swaks(t testing.TB, to, subject string) {
	t.Helper()
	system.Run(t, system.Command{Name: "swaks", Args: []string{"--protocol", "LMTP", "--server", s.listeners["lmtp"], "--from", "far@away.example",
		"--to", to, "--header", "Subject: " + subject}})
}

// login fetches the list of mailboxes by IMAP, as curl does it, and returns curl's exit code: 67 is a refused login.
func (s *server) login(t testing.TB, address, password string) int {
	t.Helper()
	return s.curl(t, "imaps://"+s.listeners["imaps"]+"/", address, password, "--silent").Code
}

func (s *server) curl(t testing.TB, url, address, password string, args ...string) system.Result {
	t.Helper()
	// The password by a file: it would stand in the arguments.
	netrc := s.write(t, "curlrc", fmt.Sprintf("user = \"%s:%s\"\n", address, password), 0o600)
	return system.Run(t, system.Command{Name: "curl", AnyCode: true, Args: append([]string{"--config", netrc, "--insecure", "--max-time", "30",
		"--login-options", "AUTH=PLAIN", url}, args...)})
}

// freeSocket listens for datagrams like a service manager.
func notifySocket(t testing.TB, dir string) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err, os.Chmod(path, 0o666))
	t.Cleanup(func() { conn.Close() })
	return conn, path
}
