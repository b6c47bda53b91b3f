// Package roles runs the examples of docs/roles.md as they are, but for addresses and ports, with the programs that they are
// made for: Postfix as hub, as first MX and as host behind, Dovecot as store.
package roles

import (
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dns/dnstest"
	peer "github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

const patience = time.Minute

// node is a server that runs one of the examples.
type node struct {
	dir, smtp string
}

// start runs an example. change has pairs of what stands there and what a test puts in its place; files are those beside it.
func start(t *testing.T, example string, change []string, files map[string]string) *node {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../packaging/examples", example+".toml"))
	must(t, err)
	n := &node{dir: t.TempDir(), smtp: "127.0.0.1:" + peer.FreePort(t)}
	for i := 0; i+1 < len(change); i += 2 {
		if !strings.Contains(string(text), change[i]) {
			t.Fatalf("%s lacks %q", example, change[i])
		}
	}
	must(t, os.WriteFile(n.path("postrider.toml"), []byte(strings.NewReplacer(change...).Replace(string(text))), 0o644))
	for name, text := range files {
		must(t, os.WriteFile(n.path(name), []byte(text), 0o644))
	}
	resolver := dnstest.New(t, "example.org. MX 10 mail.example.org.\nexample.org. MX 20 mx2.example.org.\nmail.example.org. A 127.0.0.1\nmx2.example.org. A 127.0.0.9\n").Listen(t)
	log, err := os.Create(n.path("log"))
	must(t, err)
	cmd := exec.Command(system.Binary(t), "serve", "--dir", n.dir, "--set", `listeners.smtp.addresses=["`+n.smtp+`"]`, "--set", `dns.resolvers=["`+resolver+`"]`,
		"--set", "screen.enabled=false", "--set", "limits.sandbox=\"off\"", "--set", "http.max_connections=10", "--set", "log.format=\"maillog\"")
	cmd.Env, cmd.Stderr = system.Environment(), log
	must(t, cmd.Start(), log.Close())
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(n.path("log"))
			t.Logf("the server's log:\n%s", text)
		}
	})
	eventually(t, "the server runs", func() bool {
		return system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"status", "--dir", n.dir}, AnyCode: true}).Code == 0
	})
	return n
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) postrider(t *testing.T, args ...string) string {
	t.Helper()
	return system.Run(t, system.Command{Name: system.Binary(t), Args: append(args, "--dir", n.dir)}).Stdout
}

// send gives the node a message by SMTP, as a stranger.
func (n *node) send(to, subject string) error {
	c, err := smtp.Dial(n.smtp)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Hello("far.test"), c.Mail("stranger@far.test"), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write([]byte("From: <stranger@far.test>\r\nTo: <" + to + ">\r\nSubject: " + subject + "\r\n\r\nbody of " + subject + "\r\n"))
	return errors.Join(err, w.Close(), c.Quit())
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// hub is a Postfix that takes mail for example.org and keeps it in Maildirs.
func hub(t *testing.T) *peer.Postfix {
	return peer.Start(t, peer.Config{Main: "virtual_mailbox_domains = example.org, web1.example.org\nvirtual_mailbox_base = {dir}/mail\nvirtual_mailbox_maps = static:box/\n" +
		"virtual_uid_maps = static:8\nvirtual_gid_maps = static:8\nvirtual_minimum_uid = 1\nsmtpd_relay_restrictions = reject_unauth_destination\n"})
}

// stored returns the messages of a hub.
func stored(t *testing.T, p *peer.Postfix) (all []string) {
	files, err := filepath.Glob(filepath.Join(p.Dir, "mail/box/new/*"))
	must(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		must(t, err)
		all = append(all, string(text))
	}
	return all
}

func makeStore(t *testing.T, p *peer.Postfix) {
	must(t, os.Mkdir(filepath.Join(p.Dir, "mail"), 0o777), os.Chmod(filepath.Join(p.Dir, "mail"), 0o777))
}

func refused(t *testing.T, n *node, to, with string) {
	t.Helper()
	if err := n.send(to, "nobody"); err == nil || !strings.Contains(err.Error(), with) {
		t.Errorf("mail to %s: %v, want %s", to, err, with)
	}
}

// A program's mail on a null client reaches the hub, whether it is to a bare name, to the host itself, or to the hub's domain.
func TestNullClient(t *testing.T) {
	p := hub(t)
	makeStore(t, p)
	n := start(t, "null-client", []string{"[mail.example.org]", "[127.0.0.1]:" + strings.Split(p.Address, ":")[1]}, nil)
	for i, to := range []string{"root", "al@example.org", "bo@web1.example.org"} {
		cmd := exec.Command(system.Binary(t), "sendmail", "-i", "-f", "cron", to)
		cmd.Env = append(system.Environment(), "POSTRIDER_DIR="+n.dir)
		cmd.Stdin = strings.NewReader(fmt.Sprintf("To: %s\nSubject: job %d\n\nout\n", to, i))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("sendmail %s: %v\n%s", to, err, out)
		}
	}
	eventually(t, "three messages are at the hub", func() bool { return len(stored(t, p)) == 3 })
	all := strings.Join(stored(t, p), "")
	for _, want := range []string{"Return-Path: <cron@example.org>", "Delivered-To: root@example.org", "Delivered-To: al@example.org", "Delivered-To: bo@web1.example.org"} {
		if !strings.Contains(all, want) {
			t.Errorf("the hub lacks %q:\n%s", want, all)
		}
	}
}

// A backup MX keeps mail while the first is away, refuses who is nobody there, and hands on to the first by its MX record.
func TestBackupMX(t *testing.T) {
	p := hub(t)
	makeStore(t, p)
	port := strings.Split(p.Address, ":")[1]
	p.Control(t, "postfix", "stop")
	n := start(t, "backup-mx", []string{"[mta]\n", "[mta]\nport = " + port + "\n"}, map[string]string{"relay_recipients": "al@example.org OK\n"})
	refused(t, n, "nobody@example.org", "550")
	refused(t, n, "al@elsewhere.example", "554")
	must(t, n.send("al@example.org", "kept"))
	eventually(t, "the mail waits", func() bool { return strings.Contains(n.postrider(t, "queue", "list", "--json"), `"deferred"`) })
	p.Control(t, "postfix", "start")
	peer.Await(t, p.Address)
	eventually(t, "the first MX has it", func() bool {
		n.postrider(t, "queue", "flush")
		return len(stored(t, p)) == 1
	})
	if text := stored(t, p)[0]; !strings.Contains(text, "Delivered-To: al@example.org") || !strings.Contains(text, "by mx2.example.org") {
		t.Errorf("%s", text)
	}
	eventually(t, "nothing is left", func() bool { return strings.TrimSpace(n.postrider(t, "queue", "list", "--json")) == "[]" })
}

// An edge node hands on by SMTP to the host that transport_maps name.
func TestEdgeSMTP(t *testing.T) {
	p := hub(t)
	makeStore(t, p)
	n := start(t, "edge-smtp", nil, map[string]string{"relay_recipients": "@example.org OK\n", "transport": "example.org smtp:[127.0.0.1]:" + strings.Split(p.Address, ":")[1] + "\n"})
	refused(t, n, "al@elsewhere.example", "554")
	must(t, n.send("al@example.org", "through"))
	eventually(t, "the host behind has it", func() bool { return len(stored(t, p)) == 1 })
}

// An edge node hands on to Dovecot by LMTP, keeps mail while that is away, and returns what it refuses.
func TestEdgeLMTP(t *testing.T) {
	port := peer.FreePort(t)
	n := start(t, "edge-lmtp", []string{"store.example.org:24", "127.0.0.1:" + port}, map[string]string{"mailboxes": "al@example.org x\nbo@example.org x\n"})
	refused(t, n, "nobody@example.org", "550")
	must(t, n.send("al@example.org", "early"))
	eventually(t, "the mail waits", func() bool { return strings.Contains(n.postrider(t, "queue", "list", "--json"), `"deferred"`) })
	dir := dovecot(t, port)
	must(t, n.send("bo@example.org", "late"))
	for _, name := range []string{"al", "bo"} {
		eventually(t, name+" has his mail in Dovecot", func() bool {
			n.postrider(t, "queue", "flush")
			files, err := filepath.Glob(filepath.Join(dir, "mail", name+"@example.org", "new", "*"))
			must(t, err)
			return len(files) == 1
		})
	}
}

// dovecot runs Dovecot's LMTP server; its folder is returned.
func dovecot(t *testing.T, port string) string {
	t.Helper()
	needs.Root(t, "Dovecot's master starts as root only")
	dir, err := os.MkdirTemp("", "dovecot") // not t.TempDir, which others than root cannot enter
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "mail"), 0o777), os.Chmod(filepath.Join(dir, "mail"), 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "conf"), []byte(strings.NewReplacer("DIR", dir, "PORT", port).Replace(`protocols = lmtp
base_dir = DIR/run
log_path = DIR/log
ssl = no
auth_mechanisms = plain
first_valid_uid = 1
mail_location = maildir:DIR/mail/%u
passdb {
  driver = static
  args = nologin=yes
}
userdb {
  driver = static
  args = uid=mail gid=mail home=DIR/mail/%u allow_all_users=yes
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = PORT
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`)), 0o644))
	cmd := exec.Command(needs.Program(t, "dovecot"), "-F", "-c", filepath.Join(dir, "conf"))
	cmd.Env = system.Environment()
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("Dovecot's log:\n%s", text)
		}
	})
	peer.Await(t, "127.0.0.1:"+port)
	return dir
}
