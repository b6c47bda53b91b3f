package system

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
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
)

const (
	startTimeout = time.Minute // generous: the machine may be busy with a dozen other tests
	stopTimeout  = 30 * time.Second
	logTail      = 6000 // bytes of the log shown when a test failed
)

// Services are the listeners that every system of a test has; each gets a port of the kernel's choice.
var services = [...]string{"smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "http", "https"}

// Options of Start.
type Options struct {
	Domain string   // default here.example
	Set    []string // key=value, as --set takes them
	Dir    string   // data directory, to start a system again; default a new one
	Exit   int      // the exit code that Stop demands
}

// Account is a user with a mailbox.
type Account struct {
	Address  string `json:"address"`
	Password string `json:"password"`
}

// System is one running Postrider.
type System struct {
	Dir       string
	Domain    string
	Hostname  string            `json:"hostname"`
	CA        string            `json:"ca"` // PEM file
	Listeners map[string]string `json:"listeners"`
	Ready     bool              `json:"ready"`
	Accounts  []Account         `json:"accounts"`
	Alice     Account
	Bob       Account

	options Options
	cmd     *exec.Cmd
	log     string
	gone    chan struct{} // closed when the process has ended
	stopped bool
}

// Start runs `postrider quickstart` until the test ends.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	lookAtSource(t)
	if o.Domain == "" {
		o.Domain = "here.example"
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "data")
	}
	s := &System{Dir: o.Dir, Domain: o.Domain, options: o, log: filepath.Join(t.TempDir(), "log"), gone: make(chan struct{})}
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("the end of postrider's log:\n%s", s.Log(logTail))
		}
	})
	s.launch(t)
	return s
}

func (s *System) launch(t testing.TB) {
	t.Helper()
	args := []string{"quickstart", "--json", "--dir", s.Dir, "--domain", s.Domain}
	for _, l := range services {
		args = append(args, "--set", "listeners."+l+".enabled=true", "--set", "listeners."+l+`.addresses=["127.0.0.1:0"]`)
	}
	for _, set := range s.options.Set {
		args = append(args, "--set", set)
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(Binary(t), args...)
	s.cmd.Stderr = log
	s.cmd.Dir = filepath.Dir(s.Dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for the test, which then stops it in order
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan error, 1)
	go func() {
		r := bufio.NewReader(stdout)
		line, err := r.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, s)
		}
		ready <- err
		_, _ = io.Copy(io.Discard, r)
		_ = s.cmd.Wait() // ProcessState holds what came of it
		close(s.gone)
	}()
	select {
	case err = <-ready:
	case <-time.After(startTimeout):
		err = fmt.Errorf("not ready after %v", startTimeout)
	}
	if err != nil || !s.Ready {
		t.Fatalf("postrider quickstart: ready %v: %v", s.Ready, err)
	}
	s.announced(t)
}

// announced checks the line that says "ready" (DESIGN §6).
func (s *System) announced(t testing.TB) {
	t.Helper()
	for _, l := range services {
		if s.Listeners[l] == "" {
			t.Fatalf("no %s listener announced: %v", l, s.Listeners)
		}
	}
	for _, a := range s.Accounts {
		switch a.Address {
		case "alice@" + s.Domain:
			s.Alice = a
		case "bob@" + s.Domain:
			s.Bob = a
		}
	}
	if s.Alice.Password == "" || s.Bob.Password == "" || !filepath.IsAbs(s.CA) {
		t.Fatalf("announced: accounts %d, ca %q", len(s.Accounts), s.CA)
	}
}

// Stop asks the process to end, as a service manager does, and demands that it ends in time and with exit code 0.
func (s *System) Stop(t testing.TB) {
	t.Helper()
	if s.stopped || s.cmd == nil || s.cmd.Process == nil {
		return
	}
	s.stopped = true
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("postrider ended before it was asked to: %v", err)
	}
	select {
	case <-s.gone:
	case <-time.After(stopTimeout):
		t.Errorf("postrider did not end within %v of TERM", stopTimeout)
		_ = s.cmd.Process.Kill()
		<-s.gone
	}
	if code := s.cmd.ProcessState.ExitCode(); code != s.options.Exit {
		t.Errorf("postrider ended with exit code %d: %v", code, s.cmd.ProcessState)
	}
}

// Kill ends the process as a power cut would: it hears nothing of it.
func (s *System) Kill(t testing.TB) {
	t.Helper()
	s.stopped = true
	if err := s.cmd.Process.Kill(); err != nil {
		t.Errorf("postrider ended before it was killed: %v", err)
	}
	<-s.gone
}

// Log is the end of what the server wrote, at most max bytes: quickstart's own log, and what else came to standard error.
func (s *System) Log(max int) string {
	var all []byte
	for _, name := range []string{filepath.Join(s.Dir, "postrider.log"), s.log} {
		b, err := os.ReadFile(name)
		if err != nil {
			b = []byte(err.Error() + "\n")
		}
		all = append(all, b...)
	}
	if len(all) > max {
		all = all[len(all)-max:]
		all = all[bytes.IndexByte(all, '\n')+1:]
	}
	return string(all)
}

// Pid is the server's process.
func (s *System) Pid() int { return s.cmd.Process.Pid }

// Port is the port number of a service.
func (s *System) Port(t testing.TB, service string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Listeners[service])
	if err != nil {
		t.Fatalf("%s: %v", service, err)
	}
	return port
}

// TLS is a client's configuration that trusts the system's own authority and nothing else.
func (s *System) TLS(t testing.TB) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", s.CA)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// AddAccount makes another account by the command line.
func (s *System) AddAccount(t testing.TB, local, password string) Account {
	t.Helper()
	a := Account{Address: local + "@" + s.Domain, Password: password}
	Run(t, Command{Name: Binary(t), Args: []string{"account", "add", a.Address, "--password-stdin", "--dir", s.Dir}, Stdin: strings.NewReader(password + "\n")})
	return a
}
