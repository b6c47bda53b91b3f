package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// withUsers is a command line that runs a program where /etc/passwd and /etc/shadow have further users, in a mount
// namespace of its own: the machine's files stay as they are.
func (p place) withUsers(t testing.TB) []string {
	t.Helper()
	needs.Root(t, "a mount namespace with other users")
	hash := func(name string, args ...string) string {
		return strings.TrimSpace(system.Run(t, system.Command{Name: name, Args: args}).Stdout)
	}
	yescrypt := hash("mkpasswd", "-m", "yescrypt", "secret-y")
	files := map[string]string{"passwd": "", "shadow": ""}
	for name := range files {
		text, err := os.ReadFile("/etc/" + name)
		must(t, err)
		files[name] = string(text)
	}
	for i, u := range []struct{ name, hash, aging string }{
		{"prtest-al", yescrypt, "20000:0:99999:7:::"}, {"prtest-bob", hash("openssl", "passwd", "-6", "secret-6"), "20000:0:99999:7:::"},
		{"prtest-locked", "!" + yescrypt, "20000:0:99999:7:::"}, {"prtest-expired", yescrypt, "20000:0:99999:7::20001:"},
	} {
		files["passwd"] += u.name + ":x:" + []string{"4201", "4202", "4203", "4204"}[i] + ":100::/nowhere:/usr/sbin/nologin\n"
		files["shadow"] += u.name + ":" + u.hash + ":" + u.aging + "\n"
	}
	files["passwd"] += "postrider:x:4200:4200::/var/lib/postrider:/usr/sbin/nologin\n"
	passwd, shadow := p.write(t, "etc/passwd", files["passwd"], 0o644), p.write(t, "etc/shadow", files["shadow"], 0o600)
	return []string{needs.Program(t, "unshare"), "-m", "--", "sh", "-c",
		`mount --bind ` + passwd + ` /etc/passwd && mount --bind ` + shadow + ` /etc/shadow && exec "$0" "$@"`}
}

// addSystemUsers makes accounts for the users of withUsers, and one with a password of its own.
func (s *server) addSystemUsers(t testing.TB) {
	t.Helper()
	s.postrider(t, "", "account", "add", "prtest-al@here.example", "--system")
	s.postrider(t, "", "account", "add", "robert@here.example", "--user", "prtest-bob")
	s.postrider(t, "", "account", "add", "prtest-locked@here.example", "--system")
	s.postrider(t, "", "account", "add", "prtest-expired@here.example", "--system")
	s.postrider(t, "", "account", "add", "root@here.example", "--system")
	s.postrider(t, "own-one\n", "account", "add", "own@here.example", "--password-stdin")
}

type attempt struct {
	address, password string
	code              int // curl's: 0, or 67 for a refused login
}

func (s *server) attempts(t *testing.T, list ...attempt) {
	t.Helper()
	for _, a := range list {
		if code := s.login(t, a.address, a.password); code != a.code {
			t.Errorf("%s with %q: curl's exit code %d, want %d", a.address, a.password, code, a.code)
		}
	}
}

// auth is swaks's exit code for AUTH PLAIN on submission, and what the server said.
func (s *server) auth(t testing.TB, address, password string) string {
	t.Helper()
	return system.Run(t, system.Command{Name: "swaks", AnyCode: true, Args: []string{"--server", s.listeners["submissions"], "--tls-on-connect",
		"--auth", "PLAIN", "--auth-user", address, "--auth-password", password, "--quit-after", "AUTH"}}).All()
}

func TestShadow(t *testing.T) {
	p := newPlace(t)
	users := p.withUsers(t)
	socket := filepath.Join(p.dir, "run", "helper.sock")
	must(t, os.Mkdir(filepath.Dir(socket), 0o711), os.Chmod(filepath.Dir(socket), 0o711))
	startHelper := func() *process {
		h := p.launch(t, 0, nil, append(users, p.binary, "privhelper", "--socket", socket, "--peer-uid", "65534", "--config", filepath.Join(p.dir, "none.toml"))...)
		eventually(t, "the helper is ready", func() bool { return strings.Contains(h.text(), "msg=ready") })
		return h
	}
	helper := startHelper()
	s := p.serve(t, "[auth]\nsystem = \"shadow\"\n[helper]\nenabled = true\nsocket = \""+socket+"\"\n")
	s.addSystemUsers(t)
	s.attempts(t,
		attempt{"prtest-al@here.example", "secret-y", 0}, attempt{"robert@here.example", "secret-6", 0}, attempt{"own@here.example", "own-one", 0},
		attempt{"prtest-al@here.example", "secret-z", 67}, attempt{"robert@here.example", "secret-y", 67},
		attempt{"prtest-bob@here.example", "secret-6", 67}, // a user, and no account
		attempt{"prtest-locked@here.example", "secret-y", 67}, attempt{"prtest-expired@here.example", "secret-y", 67},
		attempt{"root@here.example", "x", 67})
	if said := s.auth(t, "prtest-al@here.example", "secret-y"); !strings.Contains(said, "235 ") {
		t.Errorf("submission: %s", said)
	}
	if show := s.postrider(t, "", "account", "show", "robert@here.example"); !strings.Contains(show, "as the system user prtest-bob") {
		t.Errorf("account show: %s", show)
	}
	for _, reason := range []string{"the account is locked", "the account has expired", "wrong password", "the user id 0 is not that of a person"} {
		if !strings.Contains(helper.text(), reason) {
			t.Errorf("the helper's log lacks %q: %s", reason, helper.text())
		}
	}
	// Killed, socket and all: what is remembered still works, the rest fails for now, others are not concerned.
	must(t, syscall.Kill(-helper.cmd.Process.Pid, syscall.SIGKILL))
	<-helper.gone
	if said := s.auth(t, "prtest-al@here.example", "secret-new"); !strings.Contains(said, "454 4.7.0") {
		t.Errorf("without the helper: %s", said)
	}
	s.attempts(t, attempt{"prtest-al@here.example", "secret-y", 0}, attempt{"own@here.example", "own-one", 0})
	if !strings.Contains(s.logFile(), "the helper does not answer") {
		t.Errorf("log: %s", s.logFile())
	}
	// Started again, it is found. Hanging, it holds up who asks it, and nobody else; killed meanwhile, that one is answered.
	helper = startHelper()
	s.attempts(t, attempt{"prtest-al@here.example", "secret-z", 67}, attempt{"robert@here.example", "secret-6", 0})
	if said := s.auth(t, "prtest-al@here.example", "secret-w"); !strings.Contains(said, "535 5.7.8") {
		t.Errorf("with the helper: %s", said)
	}
	must(t, syscall.Kill(-helper.cmd.Process.Pid, syscall.SIGSTOP))
	hung := make(chan string)
	go func() { hung <- s.auth(t, "prtest-al@here.example", "secret-v") }()
	s.attempts(t, attempt{"own@here.example", "own-one", 0})
	must(t, syscall.Kill(-helper.cmd.Process.Pid, syscall.SIGKILL))
	if said := <-hung; !strings.Contains(said, "454 4.7.0") {
		t.Errorf("with a helper that was killed while it hung: %s", said)
	}
	// A password of its own takes the place of the system's.
	s.postrider(t, "now-own\n", "account", "password", "prtest-al@here.example", "--password-stdin")
	s.attempts(t, attempt{"prtest-al@here.example", "now-own", 0}, attempt{"prtest-al@here.example", "secret-y", 67})
	for _, log := range []string{s.logFile(), s.text(), helper.text()} {
		if strings.Contains(log, "secret-") || strings.Contains(log, "$y$") {
			t.Errorf("a password stands in a log: %s", log)
		}
	}
}

// PAM by way of saslauthd, and saslauthd's own reading of shadow.
func TestSaslauthd(t *testing.T) {
	for _, mechanism := range []string{"pam", "shadow"} {
		t.Run(mechanism, func(t *testing.T) {
			p := newPlace(t)
			users := p.withUsers(t)
			dir := filepath.Join(p.dir, "saslauthd")
			must(t, os.Mkdir(dir, 0o711), os.Chmod(dir, 0o711))
			start := func() *process {
				d := p.launch(t, 0, nil, append(users, needs.Program(t, "saslauthd"), "-a", mechanism, "-m", dir, "-n", "2", "-d")...)
				t.Cleanup(func() { // it does not always end on TERM, when both of its processes get it
					select {
					case <-d.gone:
					default:
						_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
					}
				})
				eventually(t, "saslauthd listens", func() bool {
					return exec.Command("testsaslauthd", "-f", filepath.Join(dir, "mux"), "-u", "prtest-al", "-p", "secret-y", "-s", "smtp").Run() == nil
				})
				return d
			}
			daemon := start()
			s := p.serve(t, "[auth]\nsystem = \"saslauthd\"\nsaslauthd_socket = \""+dir+"/mux\"\n[limits]\nsandbox = \"auto\"\n")
			s.addSystemUsers(t)
			s.attempts(t,
				attempt{"prtest-al@here.example", "secret-y", 0}, attempt{"robert@here.example", "secret-6", 0},
				attempt{"robert@here.example", "secret-y", 67}, attempt{"prtest-locked@here.example", "secret-y", 67},
				attempt{"prtest-expired@here.example", "secret-y", 67}, attempt{"own@here.example", "own-one", 0})
			must(t, syscall.Kill(-daemon.cmd.Process.Pid, syscall.SIGKILL))
			<-daemon.gone
			if said := s.auth(t, "prtest-al@here.example", "secret-new"); !strings.Contains(said, "454 4.7.0") {
				t.Errorf("without saslauthd: %s", said)
			}
			if !strings.Contains(s.logFile(), "auth.saslauthd_socket") {
				t.Errorf("log: %s", s.logFile())
			}
			start()
			s.attempts(t, attempt{"prtest-al@here.example", "secret-z", 67}, attempt{"prtest-al@here.example", "secret-y", 0})
		})
	}
}

// selfSigned makes a certificate for mx.here.example; key and certificate may be one file.
func selfSigned(t testing.TB, name, key, cert string) {
	t.Helper()
	out := system.Run(t, system.Command{Name: "openssl", Args: []string{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
		"-days", "30", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:mx.here.example", "-keyout", key}}).Stdout
	have := []byte(nil)
	if key == cert {
		var err error
		have, err = os.ReadFile(key)
		must(t, err)
	}
	must(t, os.WriteFile(cert, append(have, out...), 0o600))
}

// Certificate files that only root may read come from the helper, as certbot lays them out.
func TestCertificatesOfRoot(t *testing.T) {
	needs.Root(t, "files that only root may read")
	p := newPlace(t)
	archive := filepath.Join(p.dir, "letsencrypt", "archive", "mx")
	live := filepath.Join(p.dir, "letsencrypt", "live", "mx")
	must(t, os.MkdirAll(archive, 0o700), os.MkdirAll(live, 0o700))
	for _, name := range []string{"cert1.pem", "cert2.pem"} {
		key := strings.Replace(name, "cert", "key", 1)
		selfSigned(t, name, filepath.Join(archive, key), filepath.Join(archive, name))
	}
	link := func(n string) {
		for _, kind := range []string{"cert", "key"} {
			name := filepath.Join(live, kind+".pem")
			must(t, os.RemoveAll(name), os.Symlink("../../archive/mx/"+kind+n+".pem", name))
		}
	}
	link("1")
	socket := filepath.Join(p.dir, "helper.sock")
	config := "[helper]\nenabled = true\nsocket = \"" + socket + "\"\n[tls]\ncert = \"" + live + "/cert.pem\"\nkey = \"" + live + "/key.pem\"\n"
	// The helper's own view of the configuration is a file of root's.
	own := p.write(t, "etc/postrider.toml", config, 0o644)
	h := p.launch(t, 0, nil, p.binary, "privhelper", "--socket", socket, "--peer-uid", "65534", "--config", own)
	eventually(t, "the helper is ready", func() bool { return strings.Contains(h.text(), "msg=ready") })
	s := p.serve(t, config)
	shown := func() string {
		return system.Run(t, system.Command{Name: "openssl", AnyCode: true, Stdin: strings.NewReader(""),
			Args: []string{"s_client", "-connect", s.listeners["imaps"], "-servername", "mx.here.example"}}).Stdout
	}
	if out := shown(); !strings.Contains(out, "CN = cert1.pem") {
		t.Errorf("the certificate: %s", out)
	}
	link("2")
	must(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGHUP))
	eventually(t, "the new certificate is shown", func() bool { return strings.Contains(shown(), "CN = cert2.pem") })
}
