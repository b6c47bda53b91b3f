package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// TestSetupProfile: what an Apple device gets is signed data that OpenSSL verifies against the system's authority, around
// a property list that another implementation reads; and the code that leads there is one that a reader reads.
func TestSetupProfile(t *testing.T) {
	s := system.Start(t, system.Options{})
	dir := t.TempDir()
	signed, plain, code := filepath.Join(dir, "signed"), filepath.Join(dir, "plain"), filepath.Join(dir, "code.png")
	url := "https://localhost:" + s.Port(t, "https") + "/profile.mobileconfig?addresses=" + s.Alice.Address
	system.Run(t, system.Command{Name: "curl", Args: []string{"-sS", "--fail", "--cacert", s.CA, "-o", signed, url + "&fullname=Alice+%26+Co"}})
	system.Run(t, system.Command{Name: "openssl", Args: []string{"cms", "-verify", "-inform", "DER", "-in", signed, "-CAfile", s.CA, "-purpose", "any", "-out", plain}})
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "<?xml") {
		t.Fatalf("signed: %q", text)
	}
	read := system.Run(t, system.Command{Name: "python3", Args: []string{"-c", "import plistlib, json, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))", plain}})
	var profile struct {
		PayloadType    string
		PayloadContent []map[string]any
	}
	if err := json.Unmarshal([]byte(read.Stdout), &profile); err != nil || len(profile.PayloadContent) != 1 {
		t.Fatalf("%v\n%s", err, read.Stdout)
	}
	mail := profile.PayloadContent[0]
	for key, want := range map[string]any{"PayloadType": "com.apple.mail.managed", "EmailAddress": s.Alice.Address, "EmailAccountName": "Alice & Co",
		"IncomingMailServerHostName": "localhost", "IncomingMailServerUseSSL": true, "OutgoingMailServerUsername": s.Alice.Address} {
		if mail[key] != want {
			t.Errorf("%s: %v, want %v", key, mail[key], want)
		}
	}
	if port := fmt.Sprint(mail["IncomingMailServerPortNumber"]); port != s.Port(t, "imaps") {
		t.Errorf("port %s, want %s", port, s.Port(t, "imaps"))
	}

	setup := system.Command{Name: system.Binary(t), Args: []string{"account", "setup", s.Alice.Address, "--dir", s.Dir, "--json", "--qr-png", code}}
	var told struct{ Records []string }
	if err := json.Unmarshal([]byte(system.Run(t, setup).Stdout), &told); err != nil || len(told.Records) < 9 {
		t.Fatalf("%v: %d records", err, len(told.Records))
	}
	for _, r := range told.Records {
		if _, err := dns.NewRR(r); err != nil {
			t.Errorf("%q: %v", r, err)
		}
	}
	if seen := system.Run(t, system.Command{Name: "zbarimg", Args: []string{"-q", "--raw", code}}); strings.TrimSpace(seen.Stdout) != url {
		t.Errorf("the code says %q, want %q", seen.Stdout, url)
	}
}

// TestSetupBehindProxies: the pages behind nginx, which ends TLS, and behind Caddy, both as their manuals configure them.
func TestSetupBehindProxies(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{`http.trusted_proxies=["127.0.0.1"]`, `metrics.networks=["127.0.0.1"]`}})
	for name, start := range map[string]func(testing.TB, *system.System) string{"nginx": nginx, "Caddy": caddy} {
		t.Run(name, func(t *testing.T) {
			front := start(t, s)
			get := func(path string, args ...string) string {
				t.Helper()
				args = append(args, "-sS", "--cacert", s.CA, "-w", "\n%{http_code} %{redirect_url}", front+path)
				return system.Run(t, system.Command{Name: "curl", Args: args}).Stdout
			}
			stranger := []string{"--interface", "127.0.0.2"}
			for _, c := range []struct {
				path string
				args []string
				want string
			}{
				{"/mail/config-v1.1.xml?emailaddress=" + s.Alice.Address, stranger, "<port>" + s.Port(t, "imaps") + "</port>"},
				{"/mail/config-v1.1.xml", append([]string{"-H", "Host: autoconfig." + s.Domain}, stranger...), `id="` + s.Domain + `"`},
				{"/metrics", stranger, "404"},
				{"/metrics", append([]string{"-H", "X-Forwarded-For: 127.0.0.1"}, stranger...), "404"},
				{"/metrics", append([]string{"-H", "Forwarded: for=127.0.0.1"}, stranger...), "404"},
				{"/metrics", []string{"--interface", "127.0.0.1"}, "postrider_build_info"},
			} {
				if out := get(c.path, c.args...); !strings.Contains(out, c.want) {
					t.Errorf("%s %q: no %q in\n%s", c.path, c.args, c.want, out)
				}
			}
			page, want := get("/setup", stranger...), "<h1>Mail settings</h1>"
			if strings.HasPrefix(front, "http:") { // the client has no TLS: it is sent to where there is some
				want = "302 https://localhost:" + s.Port(t, "https") + "/setup"
			}
			if !strings.Contains(page, want) {
				t.Errorf("no %q in\n%s", want, page)
			}
		})
	}
}

// nginx runs Debian's nginx with TLS in front of a system's http, and returns its URL.
func nginx(t testing.TB, s *system.System) string {
	dir, port := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr;
%[5]s
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]s ssl;
		ssl_certificate %[3]s/tls/cert.pem; ssl_certificate_key %[3]s/tls/key.pem;
		location / {
			proxy_pass http://%[4]s;
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
		}
	}
}
`, dir, port, s.Dir, s.Listeners["http"], map[bool]string{true: "user root;"}[os.Getuid() == 0])
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, port, needs.Program(t, "nginx"), "-p", dir, "-c", conf)
	return "https://localhost:" + port
}

// caddy runs Debian's Caddy without TLS in front of a system's http, and returns its URL.
func caddy(t testing.TB, s *system.System) string {
	dir, port := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\nhttp://:%s {\n\tbind 127.0.0.1\n\treverse_proxy %s\n}\n", port, s.Listeners["http"])
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, port, needs.Program(t, "caddy"), "run", "--adapter", "caddyfile", "--config", conf)
	return "http://127.0.0.1:" + port
}

// freePort is one that nobody had a moment ago: these programs cannot be given a socket.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// background runs a server until the test ends, and waits until it listens.
func background(t testing.TB, port, name string, args ...string) {
	t.Helper()
	var out strings.Builder
	c := exec.Command(name, args...)
	c.Env = append(system.Environment(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	c.Stdout, c.Stderr = &out, &out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		if t.Failed() {
			t.Logf("%s:\n%s", name, out.String())
		}
	})
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", name, out.String())
		default:
		}
	}
	t.Fatalf("%s does not listen", name)
}
