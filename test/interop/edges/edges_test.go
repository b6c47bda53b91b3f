package edges

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// run starts a program in the foreground until the test ends, and returns when it answers at a port.
func run(t *testing.T, port, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	cmd.Env = system.Environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = out.Close()
		if t.Failed() {
			said, _ := os.ReadFile(out.Name())
			t.Logf("%s said:\n%s", name, said)
		}
	})
	postfix.Await(t, "127.0.0.1:"+port)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// dialFrom opens a connection from an address of loopback and returns what a line-based server says to the lines.
func dialFrom(t *testing.T, from, to string, lines ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r, said := bufio.NewReader(c), ""
	reply := func() {
		for {
			line, err := r.ReadString('\n')
			said += line
			if err != nil || len(line) < 4 || line[3] != '-' {
				return
			}
		}
	}
	reply()
	for _, l := range lines {
		fmt.Fprintf(c, "%s\r\n", l)
		reply()
	}
	return said
}

const proxies = `edges.proxy_networks=["127.0.0.9"]`

// HAProxy in front of SMTP and IMAP, with both versions of its protocol: we see its clients.
func TestHAProxy(t *testing.T) {
	needs.Program(t, "haproxy")
	s := system.Start(t, system.Options{Set: []string{proxies, "listeners.smtp.proxy_protocol=true", "listeners.imaps.proxy_protocol=true", `log.format="text"`}})
	smtp, smtp1, imaps := postfix.FreePort(t), postfix.FreePort(t), postfix.FreePort(t)
	conf := "global\n\tmaxconn 50\ndefaults\n\tmode tcp\n\ttimeout connect 10s\n\ttimeout client 1m\n\ttimeout server 1m\n"
	for _, l := range []struct{ name, port, service, how string }{
		{"smtp", smtp, "smtp", "send-proxy-v2"}, {"smtp1", smtp1, "smtp", "send-proxy"}, {"imaps", imaps, "imaps", "send-proxy-v2"},
	} {
		conf += fmt.Sprintf("listen %s\n\tbind 127.0.0.1:%s\n\tserver one %s source 127.0.0.9 %s\n", l.name, l.port, s.Listeners[l.service], l.how)
	}
	run(t, smtp, "haproxy", "-db", "-f", write(t, "haproxy.cfg", conf))
	for i, port := range []string{smtp, smtp1} {
		from := fmt.Sprintf("127.0.7.%d", i+1)
		said := dialFrom(t, from, "127.0.0.1:"+port, "EHLO far", "MAIL FROM:<a@far.example>", "RCPT TO:<"+s.Alice.Address+">", "DATA", "Subject: x\r\n\r\n.", "QUIT")
		if !strings.Contains(said, "250 2.0.0 Ok: queued as") {
			t.Fatalf("through %s: %s", port, said)
		}
	}
	s.Await(t, s.Alice, "INBOX", 2)
	log := s.Log(1 << 20)
	for _, want := range []string{"127.0.7.1", "127.0.7.2"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not name %s", want)
		}
	}
	out := system.Run(t, system.Command{Name: "curl", Args: []string{"-s", "--interface", "127.0.7.3", "--cacert", s.CA, "--user", s.Alice.Address + ":" + s.Alice.Password,
		"--resolve", "localhost:" + imaps + ":127.0.0.1", "imaps://localhost:" + imaps + "/INBOX;MAILINDEX=1"}})
	if !strings.Contains(out.Stdout, "Received: from far") || !strings.Contains(out.Stdout, "[127.0.7.") {
		t.Errorf("the message has no trace of its client:\n%s", out.Stdout)
	}
	if !strings.Contains(s.Log(1<<20), "127.0.7.3") {
		t.Error("the log does not name the reader's address")
	}
	// A client that is no proxy is taken as it is, and cannot lie.
	if said := dialFrom(t, "127.0.7.9", s.Listeners["smtp"], "PROXY TCP4 198.51.100.7 192.0.2.25 4025 25"); !strings.HasPrefix(said, "220 ") || !strings.Contains(said, "\r\n500 ") {
		t.Errorf("a stranger's PROXY line: %q", said)
	}
}

// nginx asks its own service who may log in, and hands the session on with XCLIENT.
func TestNginxXClient(t *testing.T) {
	needs.Program(t, "nginx")
	s := system.Start(t, system.Options{Set: []string{`edges.smtpd_authorized_xclient_hosts=["127.0.0.1"]`, `submission.trusted_networks=[]`}})
	host, port, _ := net.SplitHostPort(s.Listeners["submission"])
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Auth-Status", "OK")
		if r.Header.Get("Auth-User") == "mallory" {
			w.Header().Set("Auth-Status", "Invalid login or password")
		}
		w.Header().Set("Auth-Server", host)
		w.Header().Set("Auth-Port", port)
	}))
	defer auth.Close()
	dir, listen := t.TempDir(), postfix.FreePort(t)
	conf := fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/pid;\nerror_log %[1]s/error.log notice;\nload_module /usr/lib/nginx/modules/ngx_mail_module.so;\nevents { worker_connections 64; }\n"+
		"mail { auth_http %[2]s/; server_name proxy.example; server { listen 127.0.0.1:%[3]s; protocol smtp; smtp_auth plain login none; xclient on; } }\n", dir, auth.URL, listen)
	run(t, listen, "nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", write(t, "nginx.conf", conf))
	out := system.Run(t, system.Command{Name: "swaks", Args: []string{"--server", "127.0.0.1", "--port", listen, "--local-interface", "127.0.7.5", "--helo", "client.far.example",
		"--auth", "plain", "--auth-user", s.Alice.Address, "--auth-password", "nginx knows", "--from", s.Alice.Address, "--to", s.Bob.Address}})
	if !strings.Contains(out.All(), "queued as") {
		t.Errorf("through nginx:\n%s", out.All())
	}
	s.Await(t, s.Bob, "INBOX", 1)
	text := string(system.Bodies(t, s.IMAP(t, s.Bob), "INBOX")[0])
	if !strings.Contains(text, "[127.0.7.5]") || !strings.Contains(text, "with ESMTPA") {
		t.Errorf("the trace does not name nginx's client:\n%s", text)
	}
	// Somebody else's address is no more alice's behind nginx than before it; and who has no account here has none.
	for from, user := range map[string]string{s.Bob.Address: s.Alice.Address, "x@far.example": "nobody@" + s.Domain} {
		out = system.Run(t, system.Command{Name: "swaks", AnyCode: true, Args: []string{"--server", "127.0.0.1", "--port", listen, "--helo", "client.far.example",
			"--auth", "plain", "--auth-user", user, "--auth-password", "x", "--from", from, "--to", s.Bob.Address}})
		if out.Code == 0 {
			t.Errorf("%s sent as %s:\n%s", user, from, out.All())
		}
	}
}

// swaks speaks XCLIENT itself, as a host that may and as one that may not.
func TestSwaksXClient(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{`edges.smtpd_authorized_xclient_hosts=["127.0.0.1"]`}})
	send := func(code int, from, attrs string) string {
		return system.Run(t, system.Command{Name: "swaks", Code: code, Args: []string{"--server", "127.0.0.1", "--port", s.Port(t, "smtp"), "--local-interface", from,
			"--xclient", attrs, "--helo", "client.far.example", "--from", "a@far.example", "--to", s.Alice.Address}}).All()
	}
	if out := send(0, "127.0.0.1", "NAME=spike.example ADDR=198.51.100.7 HELO=other"); !strings.Contains(out, "queued as") {
		t.Errorf("with XCLIENT:\n%s", out)
	}
	s.Await(t, s.Alice, "INBOX", 1)
	if text := string(system.Bodies(t, s.IMAP(t, s.Alice), "INBOX")[0]); !strings.Contains(text, "spike.example [198.51.100.7]") {
		t.Errorf("the trace does not name the client that was told:\n%s", text)
	}
	if said := dialFrom(t, "127.0.7.6", s.Listeners["smtp"], "EHLO far", "XCLIENT ADDR=198.51.100.7"); !strings.Contains(said, "550 5.7.0 Error: insufficient authorization") ||
		strings.Contains(said, "-XCLIENT") {
		t.Errorf("a stranger's XCLIENT: %s", said)
	}
}

// program finds one by its name, unless it is a path.
func program(t *testing.T, name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return needs.Program(t, name)
}
