package nexthops

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// peer is one of the mail servers.
type peer struct {
	name    string // also the word for it in its Received fields
	address string // where it listens
	domain  string // what it relays to the sink
	tls     bool   // whether its TLS works
}

// place is what the peers share.
type place struct {
	dir       string // that everybody can enter
	cert, key string // a certificate for mx.here.example
	print     string // its SHA-256
	rider     string // Postrider's port
	sink      *sink
}

func newPlace(t *testing.T) *place {
	t.Helper()
	needs.Root(t, "the mail servers start as root only")
	dir, err := os.MkdirTemp("", "nexthops") // not t.TempDir, which others than root cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &place{dir: dir, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), rider: postfix.FreePort(t), sink: newSink(t)}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.certify(t)
	// Exim and OpenSMTPD want users of Debian's packages.
	for name, lines := range map[string]string{
		"passwd": "Debian-exim:x:65500:65500::/:/bin/false\nopensmtpd:x:65501:65501::/var/lib/opensmtpd/empty:/bin/false\nopensmtpq:x:65502:65502::/var/lib/opensmtpd/empty:/bin/false\n",
		"group":  "Debian-exim:x:65500:\nopensmtpd:x:65501:\nopensmtpq:x:65502:\n"} {
		known, err := os.ReadFile("/etc/" + name)
		if err != nil {
			t.Fatal(err)
		}
		postfix.WriteFile(t, filepath.Join(dir, name), string(known)+lines)
	}
	return p
}

// certify makes the certificate.
func (p *place) certify(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.here.example"}, DNSNames: []string{"mx.here.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	postfix.WriteFile(t, p.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	postfix.WriteFile(t, p.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	sum := sha256.Sum256(der)
	p.print = hex.EncodeToString(sum[:])
}

// startPostfix starts one that wants TLS of everybody.
func (p *place) startPostfix(t *testing.T) peer {
	main := fmt.Sprintf("smtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\nsmtpd_tls_security_level = encrypt\nsmtp_tls_security_level = encrypt\n"+
		"smtpd_tls_received_header = yes\nrelay_domains = here.example, postfix.example\nsmtpd_relay_restrictions = reject_unauth_destination\ntransport_maps = inline:{here.example=smtp:[127.0.0.1]:%s, postfix.example=sink:[127.0.0.1]:%s}\n",
		p.cert, p.key, p.rider, p.sink.port())
	x := postfix.Start(t, postfix.Config{Main: main, Master: "sink unix - - n - - smtp -o smtp_tls_security_level=none\n"})
	return peer{"Postfix", x.Address, "postfix.example", true}
}

// startExim starts one that wants a login.
func (p *place) startExim(t *testing.T) peer {
	program := needs.Unpacked(t, "exim4-daemon-heavy", "usr/sbin/exim4")
	dir := filepath.Join(p.dir, "exim")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	port := postfix.FreePort(t)
	postfix.WriteFile(t, filepath.Join(dir, "exim.conf"), fmt.Sprintf(`primary_hostname = mx.exim.example
spool_directory = %[1]s
log_file_path = %[1]s/%%slog
pid_file_path = %[1]s/pid
exim_path = %[2]s
exim_user = mail
exim_group = mail
never_users =
daemon_smtp_ports = %[3]s
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = %[4]s
tls_privatekey = %[5]s
host_lookup =
rfc1413_hosts =
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
acl_smtp_rcpt = rcpt
begin acl
rcpt:
 accept authenticated = *
 accept domains = here.example
 deny
begin routers
rider:
 driver = manualroute
 domains = here.example
 route_list = * 127.0.0.1::%[6]s
 transport = rider
 self = send
sink:
 driver = manualroute
 route_list = * 127.0.0.1::%[7]s
 transport = sink
 self = send
begin transports
rider:
 driver = smtp
 allow_localhost
 hosts_require_tls = *
 hosts_try_dane =
 tls_verify_certificates =
 tls_try_verify_hosts =
sink:
 driver = smtp
 allow_localhost
 hosts_avoid_tls = *
 hosts_try_dane =
begin authenticators
plain:
 driver = plaintext
 public_name = PLAIN
 server_advertise_condition = ${if def:tls_in_cipher}
 server_condition = ${if and{{eq{$auth2}{rider}}{eq{$auth3}{pencil}}}}
 server_set_id = $auth2
`, dir, program, port, p.cert, p.key, p.rider, p.sink.port()))
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := os.ReadFile(filepath.Join(dir, "mainlog"))
			t.Logf("Exim's log:\n%s", said)
		}
	})
	p.run(t, port, "", program, "-C", filepath.Join(dir, "exim.conf"), "-bdf")
	return peer{"Exim", "127.0.0.1:" + port, "exim.example", true}
}

// startOpenSMTPD starts one whose TLS is out of order: Debian's (6.8.0p2, OpenSSL 3) offers STARTTLS and ends each handshake with
// an internal error. As a client it uses TLS.
func (p *place) startOpenSMTPD(t *testing.T) peer {
	program := needs.Unpacked(t, "opensmtpd", "usr/sbin/smtpd")
	port := postfix.FreePort(t)
	conf, key := filepath.Join(p.dir, "smtpd.conf"), filepath.Join(p.dir, "smtpd.key")
	text, err := os.ReadFile(p.key) // Exim's may be read by all
	if err == nil {
		err = os.WriteFile(key, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	postfix.WriteFile(t, conf, fmt.Sprintf(`pki mx.smtpd.example cert "%s"
pki mx.smtpd.example key "%s"
listen on 127.0.0.1 port %s tls pki mx.smtpd.example hostname mx.smtpd.example
action "rider" relay host "smtp+tls://127.0.0.1:%s" tls no-verify helo mx.smtpd.example
action "sink" relay host "smtp+notls://127.0.0.1:%s" helo mx.smtpd.example
match from any for domain "here.example" action "rider"
match from any for any action "sink"
`, p.cert, key, port, p.rider, p.sink.port()))
	p.run(t, port, "mount -t tmpfs none /var/spool && mkdir -m 711 -p /var/spool/smtpd && mount -t tmpfs none /var/lib && mkdir -p /var/lib/opensmtpd/empty && mount -t tmpfs none /run &&",
		program, "-d", "-v", "-f", conf)
	return peer{"OpenSMTPD", "127.0.0.1:" + port, "smtpd.example", false}
}

// run runs a program in a mount namespace of its own, in which its users exist, until the test ends.
func (p *place) run(t *testing.T, port, prepare, program string, args ...string) {
	t.Helper()
	script := `mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && ` + prepare + ` exec "$@"`
	cmd := exec.Command(needs.Program(t, "unshare"), append([]string{"--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, p.dir, program}, args...)...)
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
		_ = cmd.Process.Kill() // and with it all in its process namespace
		_ = cmd.Wait()
		_ = out.Close()
		if t.Failed() {
			said, _ := os.ReadFile(out.Name())
			t.Logf("%s said:\n%s", program, said)
		}
	})
	postfix.Await(t, "127.0.0.1:"+port)
}
