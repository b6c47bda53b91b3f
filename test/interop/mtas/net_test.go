package mtas

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
	"golang.org/x/sys/unix"
)

const prefix = "postrider-mtas-" // of the names of our namespaces; the process id follows

// Addresses, the same in every run.
const (
	riderIPv4, riderIPv6     = "10.99.0.1", "fd99::1"
	postfixIPv4, postfixIPv6 = "10.99.0.2", "fd99::2"
	customerIPv4             = "10.99.0.3"
	deadInA, deadInB         = "10.99.0.11", "10.99.0.12" // nobody listens there
	expiringInB              = "10.99.0.13"               // nor there
	dnsIPv4                  = "10.99.0.53"
)

// namespace is a network namespace by its name.
type namespace string

// namespaces makes the two, joined, until the test ends.
func namespaces(t *testing.T) (a, b namespace) {
	t.Helper()
	needs.Root(t, "network namespaces are made with ip netns")
	ip := needs.Program(t, "ip")
	removeStale(t)
	a, b = namespace(fmt.Sprintf("%s%d-a", prefix, os.Getpid())), namespace(fmt.Sprintf("%s%d-b", prefix, os.Getpid()))
	for _, n := range []namespace{a, b} {
		run(t, ip, "netns", "add", string(n))
		t.Cleanup(func() { n.remove(t) })
	}
	run(t, ip, "-n", string(a), "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b", "netns", string(b))
	for _, i := range []struct {
		ns        namespace
		link      string
		addresses []string
	}{
		{a, "veth-a", []string{riderIPv4 + "/24", riderIPv6 + "/64", deadInA + "/24", dnsIPv4 + "/24"}},
		{b, "veth-b", []string{postfixIPv4 + "/24", postfixIPv6 + "/64", customerIPv4 + "/24", deadInB + "/24", expiringInB + "/24"}},
	} {
		for _, addr := range i.addresses {
			args := []string{"-n", string(i.ns), "address", "add", addr, "dev", i.link}
			if strings.Contains(addr, ":") {
				args = append(args, "nodad") // else the address is tentative for a second or two
			}
			run(t, ip, args...)
		}
		run(t, ip, "-n", string(i.ns), "link", "set", "lo", "up")
		run(t, ip, "-n", string(i.ns), "link", "set", i.link, "up")
	}
	return a, b
}

// remove ends what still runs in the namespace, by process id, and removes it.
func (n namespace) remove(t testing.TB) {
	for end := time.Now().Add(10 * time.Second); n.kill() > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if out, err := exec.Command("ip", "netns", "delete", string(n)).CombinedOutput(); err != nil {
		t.Errorf("ip netns delete %s: %v: %s", n, err, out)
	}
	if err := os.RemoveAll(n.etc()); err != nil {
		t.Error(err)
	}
}

// kill ends the processes of the namespace and returns how many there were. A thread of our own may be among them.
func (n namespace) kill() (found int) {
	out, err := exec.Command("ip", "netns", "pids", string(n)).Output()
	if err != nil {
		return 0 // it is gone already
	}
	for p := range strings.FieldsSeq(string(out)) {
		if pid, err := strconv.Atoi(p); err == nil && pid > 1 && pid != os.Getpid() {
			found++
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
	}
	return found
}

// folder is where the run of a process keeps its files.
func folder(pid int) string { return filepath.Join(os.TempDir(), prefix+strconv.Itoa(pid)) }

// removeStale removes the namespaces and files of runs that were killed.
func removeStale(t testing.TB) {
	found, err := filepath.Glob("/run/netns/" + prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		name := filepath.Base(f)
		pid, err := strconv.Atoi(strings.TrimRight(strings.TrimPrefix(name, prefix), "-ab"))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			namespace(name).remove(t)
			if err := os.RemoveAll(folder(pid)); err != nil {
				t.Error(err)
			}
		}
	}
}

// etc is the folder that `ip netns exec` mounts over /etc.
func (n namespace) etc() string { return "/etc/netns/" + string(n) }

// command runs a program in the namespace; its process id is the program's own.
func (n namespace) command(name string, args ...string) *exec.Cmd {
	c := exec.Command("ip", append([]string{"netns", "exec", string(n), name}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

// do runs fn in the namespace: sockets that it opens in its own goroutine belong there for good.
func (n namespace) do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		done <- func() error {
			f, err := os.Open("/run/netns/" + string(n))
			if err != nil {
				return err
			}
			defer f.Close()
			if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("setns: %w", err)
			}
			return fn()
		}()
	}()
	return <-done
}

// dial connects from within the namespace.
func (n namespace) dial(address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		conn, err = net.DialTimeout("tcp", address, 10*time.Second)
		return err
	})
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(time.Minute))
	}
	return conn, err
}

// await waits for the greeting of a server.
func (n namespace) await(t testing.TB, address, greeting string) {
	t.Helper()
	var last error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		conn, err := n.dial(address)
		if err != nil {
			last = err
			continue
		}
		b := make([]byte, len(greeting))
		_, err = conn.Read(b)
		_ = conn.Close()
		if last = err; err == nil && string(b) == greeting {
			return
		}
	}
	t.Fatalf("%s does not answer: %v", address, last)
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
