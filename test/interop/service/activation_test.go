package service

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

// freeAddress is a loopback address that nobody has now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// systemd's own program passes two sockets; the first client's connection starts the server and is answered by it.
func TestActivation(t *testing.T) {
	activate := needs.Program(t, "systemd-socket-activate")
	p := newPlace(t)
	data := p.configure(t, "[limits]\nsandbox = \"require\"\n")
	smtp, imap := freeAddress(t), freeAddress(t)
	run := p.launch(t, nobody, nil, activate, "-l", smtp, "-l", imap, "--fdname", "smtp:imap", p.binary, "serve", "--dir", data)
	var conn net.Conn
	eventually(t, "systemd-socket-activate listens", func() bool {
		var err error
		conn, err = net.Dial("tcp", smtp)
		return err == nil
	})
	defer conn.Close()
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 mx.here.example") {
		t.Fatalf("the connection that started it: %q, %v", line, err)
	}
	s := &server{process: run, place: p, data: data}
	s.ready(t)
	if s.listeners["smtp"] != smtp || s.listeners["imap"] != imap || s.listeners["imaps"] == "" {
		t.Errorf("listeners: %v; passed were %s, %s", s.listeners, smtp, imap)
	}
}

func TestActivationOfNobody(t *testing.T) {
	activate := needs.Program(t, "systemd-socket-activate")
	p := newPlace(t)
	data := p.configure(t, "")
	addr := freeAddress(t)
	run := p.launch(t, nobody, nil, activate, "-l", addr, "--fdname", "https", p.binary, "serve", "--dir", data)
	eventually(t, "systemd-socket-activate listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	<-run.gone
	if text := run.text(); run.cmd.ProcessState.ExitCode() == 0 || !strings.Contains(text, `passes a socket named "https", and no such service is enabled`) {
		t.Errorf("exit code %d: %s", run.cmd.ProcessState.ExitCode(), text)
	}
}

// The helper too takes a passed socket, and says when it is ready.
func TestActivationOfHelper(t *testing.T) {
	activate := needs.Program(t, "systemd-socket-activate")
	p := newPlace(t)
	manager, path := notifySocket(t, p.dir)
	socket := filepath.Join(p.dir, "helper.sock")
	p.launch(t, 0, []string{"NOTIFY_SOCKET=" + path}, activate, "-l", socket, "-E", "NOTIFY_SOCKET", p.binary, "privhelper", "--peer-uid", "65534",
		"--config", filepath.Join(p.dir, "none.toml"))
	eventually(t, "systemd-socket-activate listens", func() bool { _, err := os.Stat(socket); return err == nil })
	must(t, os.Chmod(socket, 0o666))
	s := p.serve(t, "[helper]\nenabled = true\nsocket = \""+socket+"\"\n[auth]\nsystem = \"shadow\"\n")
	next(t, manager, "READY=1")
	if strings.Contains(s.logFile(), "needs the helper fails") {
		t.Errorf("log: %s", s.logFile())
	}
	s.postrider(t, "", "account", "add", "nosuchuser@here.example", "--system")
	if code := s.login(t, "nosuchuser@here.example", "x"); code != 67 {
		t.Errorf("a user who does not exist: curl's exit code %d", code)
	}
}
