package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func landlocked(t testing.TB) {
	t.Helper()
	_, _, errno := syscall.Syscall(444, 0, 0, 1) // landlock_create_ruleset: its version
	needs.Kernel(t, "Landlock", errno == 0)
}

// Who takes the server over reads and writes what the server needs, and nothing else; not even as root.
func TestConfined(t *testing.T) {
	landlocked(t)
	p := newPlace(t)
	data := p.configure(t, "[tls]\ncert = \""+p.dir+"/live/cert.pem\"\nkey = \""+p.dir+"/live/key.pem\"\n")
	must(t, os.Mkdir(filepath.Join(data, "run"), 0o700))
	secret := p.write(t, "home/al/secret", "x", 0o666)
	p.write(t, "archive/cert1.pem", "x", 0o644)
	p.write(t, "live/key.pem", "x", 0o644)
	must(t, os.Symlink("../archive/cert1.pem", filepath.Join(p.dir, "live/cert.pem")))
	program := filepath.Join(p.dir, "probe")
	build := exec.Command("go", "build", "-o", program, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const denied = "permission denied"
	args := []string{data}
	want := ""
	for _, c := range [][3]string{
		{"read", secret, denied}, {"write", secret, denied}, {"read", filepath.Join(data, "../home/al/secret"), denied},
		{"write", filepath.Join(p.dir, "new"), denied}, {"read", p.dir, denied}, {"read", "/", denied}, {"read", "/root", denied}, {"read", "/home", denied},
		{"read", "/usr/bin/env", denied}, {"exec", "/usr/bin/env", denied}, {"exec", program, denied}, {"write", "/etc/postrider-probe", denied},
		{"write", "/tmp/postrider-probe", denied}, {"read", "/dev/zero", denied}, {"write", "/dev/null", "ok"},
		{"write", filepath.Join(data, "new"), "ok"}, {"read", filepath.Join(data, "postrider.toml"), "ok"},
		{"write", filepath.Join(data, "run", "new"), "ok"}, {"write", filepath.Join(p.dir, "log", "postrider.log"), "ok"},
		{"read", filepath.Join(p.dir, "live/cert.pem"), "ok"}, {"read", filepath.Join(p.dir, "archive/cert2.pem"), "no such file or directory"},
		{"write", filepath.Join(p.dir, "live/cert.pem"), denied}, {"read", "/etc/resolv.conf", "ok"}, {"read", "/proc/self/stat", "ok"},
	} {
		args = append(args, c[0], c[1])
		want += fmt.Sprintf("%s %s: %s\n", c[0], c[1], c[2])
	}
	got := system.Run(t, system.Command{Name: program, Args: args}).Stdout
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// Confined, and as an ordinary user, the server does all it does: mail in, mail out, logins, certificates, rotation of its
// log, reloads; and a reload that would need more is refused with the mend.
func TestWorkWhileConfined(t *testing.T) {
	landlocked(t)
	p := newPlace(t)
	s := p.serve(t, "[limits]\nsandbox = \"require\"\n")
	if log := s.logFile(); !strings.Contains(log, "confined by Landlock") {
		t.Fatalf("log: %s", log)
	}
	s.postrider(t, "secret-1\n", "account", "add", "al@here.example", "--password-stdin")
	for _, subject := range []string{"first", "second"} {
		s.swaks(t, "al@here.example", subject)
	}
	// Submission, with a message larger than what is collected in memory.
	body := p.write(t, "body", strings.Repeat(strings.Repeat("x", 70)+"\n", 6000), 0o644)
	system.Run(t, system.Command{Name: "swaks", Args: []string{"--server", s.listeners["submissions"], "--tls-on-connect", "--auth-user", "al@here.example",
		"--auth-password", "secret-1", "--from", "al@here.example", "--to", "al@here.example", "--header", "Subject: third", "--body", "@" + body}})
	for i, subject := range []string{"first", "second", "third"} {
		eventually(t, subject+" can be read by POP3", func() bool {
			r := s.curl(t, fmt.Sprintf("pop3s://%s/%d", s.listeners["pop3s"], i+1), "al@here.example", "secret-1", "--silent")
			return strings.Contains(r.Stdout, "Subject: "+subject)
		})
	}
	// The log is moved away, as logrotate does it.
	log := filepath.Join(p.dir, "log", "postrider.log")
	must(t, os.Rename(log, log+".1"), syscall.Kill(s.cmd.Process.Pid, syscall.SIGHUP))
	eventually(t, "the log is opened anew", func() bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), "configuration reloaded")
	})
	// A certificate outside of what the process may read: refused, and said how to mend it.
	outside := p.write(t, "elsewhere/cert.pem", "x", 0o644)
	config := filepath.Join(s.data, "postrider.toml")
	text, err := os.ReadFile(config)
	must(t, err, os.WriteFile(config, append(text, fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", outside, outside)...), 0o644),
		syscall.Kill(s.cmd.Process.Pid, syscall.SIGHUP))
	eventually(t, "the reload is refused", func() bool {
		return strings.Contains(s.logFile(), "lies outside of what the running server may read (limits.sandbox); a restart lets it in")
	})
	if code := s.login(t, "al@here.example", "secret-1"); code != 0 {
		t.Errorf("after the refused reload: curl's exit code %d", code)
	}
	s.stop(t)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
