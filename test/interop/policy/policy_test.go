// Package policy asks Debian's policy servers, postgrey and policyd-spf, from real SMTP sessions with the whole system.
package policy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// folder is a short-lived folder whose name is short enough for sockets.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// client speaks SMTP for a stranger.
type client struct {
	t  *testing.T
	in *bufio.Reader
	net.Conn
}

func dial(t *testing.T, s *system.System, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listeners["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t, bufio.NewReader(conn), conn}
	c.reply()
	c.say("EHLO proxy.example", "250")
	c.say("XCLIENT ADDR="+address+" NAME=mx.far.example HELO=mx.far.example", "220")
	c.say("EHLO mx.far.example", "250")
	return c
}

func (c *client) reply() string {
	c.t.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if len(line) > 3 && line[3] == ' ' {
			return strings.TrimSpace(line)
		}
	}
}

// say says a line and wants a reply that begins so.
func (c *client) say(line, want string) string {
	c.t.Helper()
	fmt.Fprintf(c, "%s\r\n", line)
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Errorf("%s: %s, want %s", line, got, want)
	}
	return got
}

// mail sends a message to alice once its recipient is taken.
func (c *client) mail(s *system.System, from string) {
	c.t.Helper()
	c.say("MAIL FROM:<"+from+">", "250")
	c.say("RCPT TO:<"+s.Alice.Address+">", "250")
	c.say("DATA", "354")
	c.say("From: <"+from+">\r\nSubject: x\r\n\r\nHello.\r\n.", "250")
}

// stored is the newest message of alice's.
func stored(t *testing.T, s *system.System, n int) string {
	t.Helper()
	s.Await(t, s.Alice, "INBOX", n)
	c := s.IMAP(t, s.Alice)
	all := system.Bodies(t, c, "INBOX")
	return string(all[len(all)-1])
}

const xclient = `edges.smtpd_authorized_xclient_hosts=["127.0.0.1/32"]`

// TestPostgrey: refused for now, and taken later, with the header that postgrey wants to see.
func TestPostgrey(t *testing.T) {
	dir := folder(t)
	socket := filepath.Join(dir, "s")
	who := "postgrey"
	if os.Getuid() == 0 {
		u, err := user.Lookup(who)
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	} else if u, err := user.Current(); err == nil {
		who = u.Username
	}
	cmd := exec.Command(needs.Program(t, "postgrey"), "--unix="+socket, "--user="+who, "--group="+who, "--dbdir="+dir, "--delay=1", "--hostname=here.example",
		"--whitelist-clients=/dev/null", "--whitelist-recipients=/dev/null", "--pidfile="+dir+"/pid")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	await(t, func() bool { _, err := os.Stat(socket); return err == nil }, &said)

	s := system.Start(t, system.Options{Set: []string{xclient,
		`access.smtp.smtpd_recipient_restrictions=["reject_unauth_destination", "check_policy_service { unix:` + socket + `, timeout=20s }"]`}})
	c := dial(t, s, "192.0.2.9")
	c.say("MAIL FROM:<stranger@far.example>", "250")
	if got := c.say("RCPT TO:<"+s.Alice.Address+">", "450 4.2.0 "); !strings.Contains(got, "Recipient address rejected: Greylisted") {
		t.Errorf("the reply: %s", got)
	}
	await(t, func() bool {
		fmt.Fprintf(c, "RCPT TO:<%s>\r\n", s.Alice.Address)
		return strings.HasPrefix(c.reply(), "250")
	}, &said)
	c.say("DATA", "354")
	c.say("From: <stranger@far.example>\r\nSubject: x\r\n\r\nHello.\r\n.", "250")
	if got := stored(t, s, 1); !strings.Contains(got, "X-Greylist: delayed") {
		t.Errorf("no header of postgrey's:\n%s", got)
	}
	c.mail(s, "stranger@far.example") // known now
}

func await(t *testing.T, done func() bool, log fmt.Stringer) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not done within a minute\n%s", log)
		}
	}
}

// spawned runs a program for each connection to a socket, as Postfix's spawn(8) and systemd's Accept=yes do.
func spawned(t *testing.T, name string, args ...string) (socket string) {
	t.Helper()
	socket = filepath.Join(folder(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				cmd := exec.Command(name, args...)
				cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
				in, err := cmd.StdinPipe()
				if err != nil {
					return
				}
				cmd.Stdout = c
				if err := cmd.Start(); err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(in, c)
					in.Close()
				}()
				_ = cmd.Wait()
			}()
		}
	}()
	return socket
}

// TestPolicydSPF: a sender whose domain forbids the client is refused, one whose domain allows it gets Received-SPF; with the
// names of the domain from a server of DNS of the test's.
func TestPolicydSPF(t *testing.T) {
	needs.Program(t, "policyd-spf")
	zone := "good.example. TXT \"v=spf1 ip4:192.0.2.9 -all\"\nbad.example. TXT \"v=spf1 -all\"\n"
	host, port, err := net.SplitHostPort(dnstest.New(t, zone).Listen(t))
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(folder(t), "policyd-spf.conf")
	if err := os.WriteFile(conf, []byte("debugLevel = 0\nTestOnly = 1\nHELO_reject = False\nMail_From_reject = Fail\nPermError_reject = False\nTempError_Defer = False\nskip_addresses = 127.0.0.0/8\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Debian's program, with a resolver of ours.
	start := fmt.Sprintf("import sys, DNS; DNS.defaults['server'] = ['%s']; DNS.defaults['port'] = %s\nfrom spf_engine.policyd_spf import main\nsys.argv = ['policyd-spf', %q]\nmain()", host, port, conf)
	socket := spawned(t, "/usr/bin/python3", "-c", start)
	s := system.Start(t, system.Options{Set: []string{xclient,
		`access.smtp.smtpd_recipient_restrictions=["reject_unauth_destination", "check_policy_service unix:` + socket + `"]`}})
	c := dial(t, s, "192.0.2.9")
	c.mail(s, "a@good.example")
	if got := stored(t, s, 1); !strings.Contains(got, "Received-SPF: Pass") {
		t.Errorf("no Received-SPF:\n%s", got)
	}
	c.say("MAIL FROM:<a@bad.example>", "250")
	if got := c.say("RCPT TO:<"+s.Alice.Address+">", "550 5.7.23 "); !strings.Contains(got, "SPF") {
		t.Errorf("the reply: %s", got)
	}
	c.say("RSET", "250")
	c.mail(s, "a@good.example") // on the same connections
}

// TestNoPolicyServer: a server that is not there is a temporary failure; with default_action=DUNNO it is as if it was not asked.
func TestNoPolicyServer(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	s := system.Start(t, system.Options{Set: []string{xclient,
		`access.smtp.smtpd_sender_restrictions=["check_policy_service { unix:` + none + `, default_action=DUNNO, try_limit=1 }"]`,
		`access.smtp.smtpd_recipient_restrictions=["reject_unauth_destination", "check_policy_service unix:` + none + `"]`,
		`access.policy_service.smtpd_policy_service_try_limit=1`}})
	c := dial(t, s, "192.0.2.9")
	c.say("MAIL FROM:<a@far.example>", "250")
	if got := c.say("RCPT TO:<"+s.Alice.Address+">", "451 4.3.5 "); !strings.Contains(got, "Server configuration problem") {
		t.Errorf("the reply: %s", got)
	}
}
