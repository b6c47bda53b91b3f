// Package postfix runs Debian's Postfix for tests: on loopback, with a configuration, a queue and a log of its own, stopped at
// the end of the test. It needs root, as Postfix's master does.
package postfix

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// Config is what a test says; the rest is as shipped.
type Config struct {
	Main   string // lines of main.cf, put behind ours. {dir} stands for the folder of the configuration, {port} for the port
	Master string // lines of master.cf, put behind ours
	// Instead has lines of master.cf to put in the place of ours, by the service's name.
	Instead map[string]string
	// Smtpd are options of the smtpd at Postfix.Address: "-o name=value".
	Smtpd string
	Files map[string]string // more files of the folder, by name
}

// Postfix is one that runs.
type Postfix struct {
	Dir     string // of the configuration
	Address string // of its smtpd
	root    string
}

// patience bounds every waiting; the machine may be busy.
const patience = 30 * time.Second

const mainCF = `compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/state
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {root}/maillog
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.here.example
mydomain = here.example
mydestination =
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
smtputf8_enable = yes
smtpd_peername_lookup = no
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 10000
smtpd_hard_error_limit = 10000
smtpd_junk_command_limit = 10000
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
`

const masterCF = `{port} inet n - n - - smtpd {smtpd}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// Start starts one.
func Start(t testing.TB, c Config) *Postfix {
	t.Helper()
	needs.Root(t, "Postfix's master starts as root only")
	root, err := os.MkdirTemp("", "postfix") // not t.TempDir, which others than root cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	p := &Postfix{Dir: filepath.Join(root, "etc"), root: root}
	owner := id(t, "postfix")
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"etc", "queue", "state"} {
		if err := os.Mkdir(filepath.Join(root, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(root, "state"), owner, -1); err != nil {
		t.Fatal(err)
	}
	port := FreePort(t)
	p.Address = "127.0.0.1:" + port
	r := strings.NewReplacer("{root}", root, "{dir}", p.Dir, "{port}", p.Address, "{smtpd}", c.Smtpd, "{daemons}", filepath.Dir(needs.Program(t, "master")))
	p.Write(t, "main.cf", r.Replace(c.parameters()))
	p.Write(t, "master.cf", r.Replace(c.services()+c.Master))
	for name, text := range c.Files {
		p.Write(t, name, r.Replace(text))
	}
	p.Control(t, "postfix", "start")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of Postfix's log:\n%s", tail(p.Log()))
		}
		p.stop(t)
	})
	Await(t, p.Address)
	return p
}

// stop ends it and all that it has started.
func (p *Postfix) stop(t testing.TB) {
	t.Helper()
	system.Run(t, system.Command{Name: "postfix", Args: []string{"-c", p.Dir, "abort"}, AnyCode: true, Timeout: patience})
}

// parameters are those of mainCF that the test does not set, and the test's. None may stand twice: each program would warn of
// that as it starts, the logger too, and that waits for itself once its socket is full.
func (c *Config) parameters() string {
	var b strings.Builder
	for line := range strings.Lines(mainCF) {
		name, _, _ := strings.Cut(line, " ")
		if !strings.Contains("\n"+c.Main, "\n"+name+" ") {
			b.WriteString(line)
		}
	}
	return b.String() + c.Main
}

// services are those of masterCF, but for Instead.
func (c *Config) services() string {
	var b strings.Builder
	for line := range strings.Lines(masterCF) {
		name, _, _ := strings.Cut(line, " ")
		if other, ok := c.Instead[name]; ok {
			line = other + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

func id(t testing.TB, name string) int {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Write writes a file of the configuration.
func (p *Postfix) Write(t testing.TB, name, text string) {
	t.Helper()
	WriteFile(t, filepath.Join(p.Dir, name), text)
}

// WriteFile makes a file that looks an hour old: each of Postfix's programs waits up to two seconds before it believes one
// that has just changed.
func WriteFile(t testing.TB, path, text string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
}

// Control runs one of Postfix's programs with this configuration.
func (p *Postfix) Control(t testing.TB, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(needs.Program(t, program), append([]string{"-c", p.Dir}, args...)...)
	cmd.Env = system.Environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s\n%s", program, args, err, out, p.Log())
	}
	return string(out)
}

// Log is its log so far.
func (p *Postfix) Log() string {
	b, err := os.ReadFile(filepath.Join(p.root, "maillog"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Logged waits for a line of the log that has all the texts, and returns it.
func (p *Postfix) Logged(t testing.TB, texts ...string) string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(p.Log()) {
			if has(line, texts) {
				return line
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no line with %q in Postfix's log", texts)
		}
	}
}

func has(line string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(line, text) {
			return false
		}
	}
	return true
}

// FreePort is a port of loopback that nobody has now.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Await waits until somebody listens at an address.
func Await(t testing.TB, address string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(fmt.Errorf("nobody listens: %w", err))
		}
	}
}

func tail(s string) string {
	const most = 20000
	return s[max(0, len(s)-most):]
}
