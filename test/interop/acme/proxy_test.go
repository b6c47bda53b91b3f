package acme

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

// The set-ups of docs/tls.md, on ports of the test. %[1]s is the folder, %[2]d the proxy's port, %[3]d Postrider's.
const (
	nginxConf = `daemon off; pid %[1]s/nginx.pid; error_log stderr notice;
events { }
http {
	access_log off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server {
		listen 127.0.0.1:%[2]d;
		server_name mx.acme.test;
		location /.well-known/acme-challenge/ {
			proxy_pass http://127.0.0.1:%[3]d;
			proxy_set_header Host $host;
		}
	}
}
`
	caddyConf = `{
	admin off
	auto_https off
	storage file_system %[1]s
}
http://mx.acme.test:%[2]d {
	bind 127.0.0.1
	reverse_proxy /.well-known/acme-challenge/* 127.0.0.1:%[3]d
}
`
)

// startProxy runs nginx or caddy until the test ends.
func startProxy(t testing.TB, program string, port, upstream int) {
	t.Helper()
	bin := needs.Program(t, program)
	dir := t.TempDir()
	file := filepath.Join(dir, "conf")
	text, args := nginxConf, []string{"-c", file, "-p", dir, "-e", "stderr"}
	if program == "caddy" {
		text, args = caddyConf, []string{"run", "--config", file, "--adapter", "caddyfile"}
	}
	if err := os.WriteFile(file, []byte(fmt.Sprintf(text, dir, port, upstream)), 0o644); err != nil {
		t.Fatal(err)
	}
	var log output
	c := exec.Command(bin, args...)
	c.Env = append(os.Environ(), "HOME="+dir)
	c.Stdout, c.Stderr = &log, &log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // nginx has workers
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait() // of the kill
		if t.Failed() {
			t.Logf("%s's log:\n%s", program, log.String())
		}
	})
	await(t, program+" to answer", func() error {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}
