package needs

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// PostgreSQL starts a PostgreSQL server of its own and returns the URL of an empty database on it: in a folder in memory,
// reached by a Unix socket only, with its syncs on. It ends with the test. Not in the quick run.
func PostgreSQL(t testing.TB) string {
	t.Helper()
	Quick(t, "PostgreSQL")
	initdb, postgres := Program(t, "initdb"), Program(t, "postgres")
	dir, err := os.MkdirTemp(memory(), "pg") // t.TempDir's is too long for a socket, and closed to the server's user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	// The server ends with us, also when we are killed. It refuses to run as root.
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if os.Getuid() == 0 {
		id := unprivileged(t)
		as.Credential = id
		if err := os.Chown(dir, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	command := func(path string, args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.SysProcAttr, cmd.Dir, cmd.Env = as, dir, append(os.Environ(), "LC_ALL=C")
		return cmd
	}
	out, err := command(initdb, "-D", data, "-U", "postrider", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync",
		"--wal-segsize=4").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := command(postgres, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=200")
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan string)
	go read(bufio.NewScanner(stderr), ready, ended)
	t.Cleanup(func() {
		if err := server.Process.Signal(syscall.SIGINT); err != nil { // fast shutdown: sessions are cut
			t.Error(err)
		}
		log := <-ended
		if err := server.Wait(); err != nil {
			t.Errorf("postgres: %v\n%s", err, log)
		}
	})
	select {
	case <-ready:
	case log := <-ended:
		go func() { ended <- log }()
		t.Fatalf("postgres did not start:\n%s", log)
	}
	q := url.Values{"host": {dir}, "user": {"postrider"}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + q.Encode()
}

// memory is a folder where files cost no disk, "" for the usual one.
func memory() string {
	const dir = "/dev/shm"
	if unix.Access(dir, unix.W_OK) != nil {
		return ""
	}
	return dir
}

// read reads the server's log to its end, and tells when it is ready.
func read(lines *bufio.Scanner, ready chan<- struct{}, ended chan<- string) {
	var log strings.Builder
	for lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if ready != nil && strings.Contains(lines.Text(), "ready to accept connections") {
			close(ready)
			ready = nil
		}
	}
	ended <- log.String()
}

// unprivileged is a user that may run a server.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
