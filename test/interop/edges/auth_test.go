package edges

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
	"time"
)

// login tries a password at an MTA by swaks and returns what was said.
func login(t *testing.T, address, mech, user, password string, code int) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return system.Run(t, system.Command{Name: "swaks", Code: code, Args: []string{"--server", host, "--port", port, "--tls", "--auth", mech,
		"--auth-user", user, "--auth-password", password, "--quit-after", "AUTH", "--helo", "client.far.example", "--local-interface", "127.0.7.1"}}).All()
}

const (
	swaksOK   = 0
	swaksAuth = 28
)

// certificate makes one for an MTA.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "edges")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := node.MakeCertificates(dir, "mx.here.example", time.Now()); err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, mode := range map[string]os.FileMode{dir: 0o755, cert: 0o644, key: 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func logins(t *testing.T, s *system.System, address string) {
	t.Helper()
	for _, mech := range []string{"PLAIN", "LOGIN"} {
		if out := login(t, address, mech, s.Alice.Address, s.Alice.Password, swaksOK); !strings.Contains(out, "235 ") {
			t.Errorf("%s:\n%s", mech, out)
		}
	}
	login(t, address, "PLAIN", s.Alice.Address, "wrong", swaksAuth)
	login(t, address, "LOGIN", "nobody@"+s.Domain, "wrong", swaksAuth)
	log := s.Log(1 << 20)
	if !strings.Contains(log, "service=auth") || !strings.Contains(log, "127.0.7.1") || strings.Count(log, "account="+s.Alice.Address+" mech=") < 3 {
		t.Error("the log does not tell of the logins and of where they came from")
	}
}

// Debian's Postfix asks us, with its client for Dovecot.
func TestPostfixAsks(t *testing.T) {
	port := postfix.FreePort(t)
	s := system.Start(t, system.Options{Set: []string{"listeners.auth.enabled=true", `listeners.auth.addresses=["127.0.0.1:` + port + `"]`, `log.format="text"`}})
	cert, key := certificate(t)
	p := postfix.Start(t, postfix.Config{Main: fmt.Sprintf("smtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\nsmtpd_tls_security_level = may\nsmtpd_sasl_auth_enable = yes\n"+
		"smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:%s\nsmtpd_tls_auth_only = no\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject\n", cert, key, port)})
	logins(t, s, p.Address)
	host, smtp, _ := net.SplitHostPort(p.Address)
	out := system.Run(t, system.Command{Name: "swaks", Code: swaksAuth, Args: []string{"--server", host, "--port", smtp, "--auth", "PLAIN", "--auth-user", s.Alice.Address,
		"--auth-password", s.Alice.Password, "--quit-after", "AUTH"}})
	if !strings.Contains(out.All(), "535 ") {
		t.Errorf("a login in the clear:\n%s", out.All())
	}
}

// Exim asks us over a socket. Debian's package excludes Postfix's; its files are unpacked.
func TestEximAsks(t *testing.T) {
	needs.Root(t, "Exim starts as root only")
	exim := needs.Unpacked(t, "exim4-daemon-heavy", "usr/sbin/exim4")
	dir, err := os.MkdirTemp("", "exim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "auth.sock")
	s := system.Start(t, system.Options{Set: []string{`edges.auth_socket="` + socket + `"`, `edges.auth_socket_group="mail"`, `log.format="text"`}})
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Fatalf("the socket: %v, %v", info, err)
	}
	cert, key := certificate(t)
	port := postfix.FreePort(t)
	conf := filepath.Join(dir, "exim.conf")
	text := fmt.Sprintf("primary_hostname = mx.here.example\nspool_directory = %[1]s\nlog_file_path = %[1]s/%%slog\npid_file_path = %[1]s/pid\nexim_user = root\nexim_group = root\nnever_users =\n"+
		"daemon_smtp_ports = %[2]s\nlocal_interfaces = 127.0.0.1\ntls_advertise_hosts = *\ntls_certificate = %[3]s\ntls_privatekey = %[4]s\nhost_lookup =\nrfc1413_hosts =\n"+
		"acl_smtp_rcpt = accept\nbegin acl\nbegin authenticators\n"+
		"plain:\n driver = dovecot\n public_name = PLAIN\n server_socket = %[5]s\n server_set_id = $auth1\n"+
		"login:\n driver = dovecot\n public_name = LOGIN\n server_socket = %[5]s\n server_set_id = $auth1\n", dir, port, cert, key, socket)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// The program wants a user of Debian's; it is told of one that the system does not have.
	for _, name := range []string{"passwd", "group"} {
		known, err := os.ReadFile("/etc/" + name)
		if err != nil {
			t.Fatal(err)
		}
		line := map[string]string{"passwd": "Debian-exim:x:65500:65500::/:/bin/false\n", "group": "Debian-exim:x:65500:\n"}[name]
		if err := os.WriteFile(filepath.Join(dir, name), append(known, line...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, port, "unshare", "--mount", "sh", "-c", `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && exec "$2" -C "$1/exim.conf" -bdf`, "sh", dir, exim)
	logins(t, s, "127.0.0.1:"+port)
}
