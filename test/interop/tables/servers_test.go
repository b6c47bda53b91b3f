package tables

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/test/needs"
)

// serve starts a server of its own for a test, which ends with it, and waits until its socket is there and ready says yes.
func serve(t *testing.T, socket string, ready func() bool, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(needs.Program(t, name), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // nothing of it is kept
		<-ended
	})
	patience := time.After(time.Minute)
	for {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			if ready == nil || ready() {
				return
			}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", name, err, said.String())
		case <-patience:
			t.Fatalf("%s is not ready", name)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// folder is a short-lived folder whose name is short enough for sockets.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// run feeds a program.
func run(t *testing.T, input, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(needs.Program(t, name), args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%.2000s", name, args, err, out)
	}
}

// postgres returns the folder of a server's socket.
func postgres(t *testing.T, sql string) (socket string) {
	u, err := url.Parse(needs.PostgreSQL(t))
	if err != nil {
		t.Fatal(err)
	}
	socket = u.Query().Get("host")
	run(t, sql, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", "postrider", "postgres")
	return socket
}

// mariadb returns the socket of a server whose sessions begin with a mode.
func mariadb(t *testing.T, mode, sql string) (socket string) {
	dir := folder(t)
	socket = filepath.Join(dir, "s")
	if out, err := exec.Command(needs.Program(t, "mariadb-install-db"), "--no-defaults", "--datadir="+dir+"/data", "--auth-root-authentication-method=normal",
		"--skip-test-db", "--user=root").CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	serve(t, socket, nil, "mariadbd", "--no-defaults", "--user=root", "--datadir="+dir+"/data", "--socket="+socket, "--skip-networking",
		"--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--sql-mode="+mode, "--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin")
	run(t, "CREATE DATABASE mail; USE mail;\nSET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';\n"+sql+
		"CREATE USER 'postfix'@'localhost' IDENTIFIED BY 'sec''ret'; GRANT SELECT ON mail.* TO 'postfix'@'localhost';\n",
		"mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-u", "root", "-S", socket)
	return socket
}

// slapd returns the URL of a directory with some entries below dc=example, and that of the same with TLS on a port of
// loopback, whose certificate the authority in ca made.
func slapd(t *testing.T, ldif string) (uri, secure, ca string) {
	dir := folder(t)
	if err := node.MakeCertificates(dir, "localhost", time.Now()); err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(dir, "ca.pem")
	conf := filepath.Join(dir, "slapd.conf")
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, conf, strings.ReplaceAll(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/pid
sizelimit unlimited
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/key.pem
database mdb
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw secret
directory DIR/db
`, "DIR", dir))
	run(t, ldif, "slapadd", "-q", "-f", conf)
	socket := filepath.Join(dir, "s")
	uri = "ldapi://" + url.PathEscape(socket)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port of the kernel's choice, given up for slapd to take
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	serve(t, socket, nil, "slapd", "-f", conf, "-h", uri+" ldap://127.0.0.1:"+port, "-d", "0")
	return uri, "ldap://127.0.0.1:" + port, ca
}

// redis returns the socket of a server that wants a password.
func redis(t *testing.T) (socket string) {
	dir := folder(t)
	socket = filepath.Join(dir, "s")
	serve(t, socket, nil, "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir, "--requirepass", "secret")
	return socket
}

// memcached returns the socket of a server.
func memcached(t *testing.T) (socket string) {
	socket = filepath.Join(folder(t), "s")
	args := []string{"-s", socket, "-m", "16"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	serve(t, socket, nil, "memcached", args...)
	return socket
}

// quoted is a string of standard SQL.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// sqlRows are the generated rows as statements.
func sqlRows(rows [][2]string) string {
	var b strings.Builder
	for i := 0; i < len(rows); i += 500 {
		b.WriteString("INSERT INTO virtual (address, goto) VALUES\n")
		part := rows[i:min(i+500, len(rows))]
		for j, r := range part {
			fmt.Fprintf(&b, "(%s, %s)%s\n", quoted(r[0]), quoted(r[1]), map[bool]string{true: ";", false: ","}[j == len(part)-1])
		}
	}
	return b.String()
}
