package interop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// household is a Postrider with programs of its host, which run as ordinary users and find it as `sendmail`.
type household struct {
	*system.System
	bin string // a folder with sendmail
}

// Users of the host: one that every Debian knows, and two that no file does.
const (
	nobody   = 65534
	cronUser = 31001
	webUser  = 31002
)

func newHousehold(t *testing.T, o system.Options) *household {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil { // above all folders of this test
		t.Fatal(err)
	}
	// The built binary lies where only its maker may look.
	copyFile(t, system.Binary(t), filepath.Join(bin, "sendmail"))
	if err := os.Symlink("sendmail", filepath.Join(bin, "mailq")); err != nil {
		t.Fatal(err)
	}
	return &household{System: system.Start(t, o), bin: bin}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func (h *household) sendmail() string { return filepath.Join(h.bin, "sendmail") }

// as runs a program as a user of the host; as an ordinary user of the test machine it is always that one.
func (h *household) as(t testing.TB, uid int, c system.Command) system.Result {
	t.Helper()
	if os.Getuid() == 0 {
		if !strings.Contains(c.Name, "/") {
			c.Name = needs.Program(t, c.Name)
		}
		id := strconv.Itoa(uid)
		c.Args = append([]string{"--reuid", id, "--regid", id, "--clear-groups", c.Name}, c.Args...)
		c.Name = "setpriv"
	}
	c.Env = append([]string{"POSTRIDER_DIR=" + h.Dir, "LOGNAME=user" + strconv.Itoa(uid)}, c.Env...)
	return system.Run(t, c)
}

// home makes a folder of a user's own.
func home(t *testing.T, uid int) string {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() == 0 {
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeText(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// sending is one program that sends a message to alice.
type sending struct {
	name    string
	uid     int
	command system.Command
	subject string
	has     []string // in the message that arrives
}

// sendings are the programs of a host that send mail, each in its own way.
func sendings(t *testing.T, h *household) []sending {
	alice, bob := h.Alice.Address, h.Bob.Address
	dir := home(t, nobody)
	at := func(name string) string { return filepath.Join(dir, name) }
	patch := writeText(t, at("0001-change.patch"), "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\nFrom: Nobody <bob@"+h.Domain+
		">\nDate: Sun, 22 Nov 2026 04:00:00 +0000\nSubject: [PATCH] by git\n\nWhy: because.\n---\n a | 1 +\n\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -0,0 +1 @@\n+x\n-- \n2.39\n")
	mail := func(name string, args ...string) system.Command {
		return system.Command{Name: name, Args: args, Dir: dir, Env: []string{"HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "MAILRC=" + at("mailrc")},
			Stdin: strings.NewReader("text\n.\ntext\n")}
	}
	writeText(t, at("mailrc"), "set sendmail="+h.sendmail()+"\n")
	stdin := func(text string, args ...string) system.Command {
		return system.Command{Name: h.sendmail(), Args: args, Stdin: strings.NewReader(text)}
	}
	list := []sending{
		{"cron", cronUser, stdin("From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> by cron\nMIME-Version: 1.0\n"+ // Debian's do_command.c
			"Content-Type: text/plain; charset=UTF-8\nX-Cron-Env: <SHELL=/bin/sh>\n\n.\nGrüße\n", "-i", "-FCronDaemon", "-B8BITMIME", "-oem", alice),
			"Cron <root@host> by cron", []string{"From: Cron Daemon <root@" + h.Domain + ">\r\n", "\r\n\r\n.\r\nGrüße\r\n"}},
		{"php", webUser, mail("php", "-d", "sendmail_path="+h.sendmail()+" -t -i", "-r",
			`exit(mail($argv[1], "by PHP", "line\n.\nline\n", "From: www@shop.example\r\nBcc: $argv[2]\r\nX-Shop: 1") ? 0 : 1);`, "--", alice, bob),
			"by PHP", []string{"From: www@shop.example\r\n", "X-Shop: 1\r\n", "line\r\n.\r\nline\r\n"}},
		{"php -f", webUser, mail("php", "-d", "sendmail_path="+h.sendmail()+" -t -i", "-r",
			`exit(mail($argv[1], "by PHP -f", "text", "", "-fbounces@shop.example") ? 0 : 1);`, "--", alice),
			"by PHP -f", []string{"Return-Path: <bounces@shop.example>"}},
		{"git", nobody, mail("git", "-c", "user.name=Bob", "-c", "user.email=bob@here.example", "send-email", "--quiet", "--smtp-server="+h.sendmail(), "--from=bob@"+h.Domain, "--to="+alice, "--suppress-cc=all",
			"--confirm=never", patch), "[PATCH] by git", []string{"X-Mailer: git-send-email", "+x\r\n-- \r\n"}},
		{"mutt", nobody, mail("mutt", "-n", "-F", "/dev/null", "-e", "set sendmail=\""+h.sendmail()+" -oem -oi\"",
			"-e", "set use_envelope_from=yes from=bob@"+h.Domain+" realname=Bob copy=no", "-s", "by mutt", "--", alice),
			"by mutt", []string{"Return-Path: <bob@", "text\r\n.\r\ntext\r\n"}},
		{"bsd-mailx", nobody, mail("bsd-mailx", "-s", "by bsd-mailx", alice), "by bsd-mailx", []string{"From: "}},
		{"s-nail", nobody, mail("s-nail", "-:/", "-S", "mta="+h.sendmail(), "-r", "bob@"+h.Domain, "-s", "by s-nail", alice), "by s-nail",
			[]string{"Return-Path: <bob@", "s-nail", "text\r\n.\r\ntext\r\n"}},
		{"smartd", 0, stdin("To: "+alice+"\nSubject: by smartd\n\nThis message was generated by the smartd daemon\n", "-t"), "by smartd", nil},
		{"mdadm", 0, stdin("From: mdadm monitoring <root@host.example>\nTo: "+alice+"\nSubject: by mdadm\n\nThis is an automatically generated mail message\n", "-t"),
			"by mdadm", []string{"From: mdadm monitoring <root@host.example>"}},
	}
	if os.Getuid() == 0 {
		list = append(list, h.logwatch(t, "by-logwatch"))
	}
	return list
}

// logwatch knows /usr/sbin/sendmail only: it gets a view of the machine where that is ours.
func (h *household) logwatch(t *testing.T, host string) sending {
	return sending{"logwatch", 0, system.Command{Name: "unshare", Args: []string{"--mount", "sh", "-c", `mount --bind "$0" /usr/sbin/sendmail && exec "$@"`, h.sendmail(),
		needs.Program(t, "logwatch"), "--output", "mail", "--mailto", h.Alice.Address, "--service", "zz-sys", "--detail", "high", "--range", "today", "--hostname", host}},
		"Logwatch for " + host, []string{"System Configuration"}}
}

func TestSendmailPrograms(t *testing.T) {
	h := newHousehold(t, system.Options{})
	all := sendings(t, h)
	for _, s := range all {
		h.as(t, s.uid, s.command)
	}
	h.Await(t, h.Alice, "INBOX", len(all))
	h.Await(t, h.Bob, "INBOX", 1) // PHP's Bcc
	bodies := system.Bodies(t, h.IMAP(t, h.Alice), "INBOX")
	for _, s := range all {
		found := 0
		for _, b := range bodies {
			text := string(b)
			if !strings.Contains(text, "Subject: "+s.subject+"\r\n") && !strings.Contains(text, "Subject: "+s.subject+" (") {
				continue
			}
			found++
			uid := s.uid
			if os.Getuid() != 0 {
				uid = os.Getuid()
			}
			for _, part := range append(s.has, fmt.Sprintf("(from user id %d) with local id", uid), "\r\nDate: ", "\r\nMessage-I", "\r\nFrom: ") {
				if !strings.Contains(text, part) {
					t.Errorf("%s: no %q in\n%s", s.name, part, text)
				}
			}
			if strings.Contains(text, "Bcc") {
				t.Errorf("%s: Bcc in\n%s", s.name, text)
			}
		}
		if found != 1 {
			t.Errorf("%s: %d messages", s.name, found)
		}
	}
}

// What ordinary users may not do, and what they may not see.
func TestSendmailOfAnOrdinaryUser(t *testing.T) {
	needs.Root(t, "it becomes other users")
	h := newHousehold(t, system.Options{Set: []string{"sendmail.max_messages_per_hour=5", "smtp.max_message_size=\"1MiB\""}})
	says := func(code int, part, name string, stdin io.Reader, args ...string) {
		t.Helper()
		r := h.as(t, nobody, system.Command{Name: filepath.Join(h.bin, name), Args: args, Stdin: stdin, Code: code})
		if !strings.Contains(r.Stderr, part) {
			t.Errorf("it said %q, not %q", r.Stderr, part)
		}
	}
	says(69, "permission denied", "mailq", nil) // as postqueue -p
	says(77, "permission denied", "sendmail", nil, "-q")
	says(69, "552 5.3.4", "sendmail", io.LimitReader(zeros{}, 2<<20), h.Alice.Address)
	for range 4 { // the one that was too large counts
		says(0, "", "sendmail", strings.NewReader("Subject: x\n\n"), h.Alice.Address)
	}
	says(75, "sendmail.max_messages_per_hour", "sendmail", strings.NewReader("Subject: x\n\n"), h.Alice.Address)
	h.Await(t, h.Alice, "INBOX", 4)
	h.as(t, 0, system.Command{Name: h.sendmail(), Args: []string{h.Alice.Address}, Stdin: strings.NewReader("x")})

	// Nothing of the system can be listed, read or talked to, but for the socket and the drop folder.
	for _, path := range []string{"", "run", "drop", "packs", "tls", "drop-rubbish"} {
		h.as(t, nobody, system.Command{Name: "ls", Args: []string{filepath.Join(h.Dir, path)}, Code: 2})
	}
	for _, path := range []string{"postrider.toml", "accounts", "store.db", "postrider.log"} {
		h.as(t, nobody, system.Command{Name: "cat", Args: []string{filepath.Join(h.Dir, path)}, Code: 1})
	}
	if log := h.Log(1 << 20); !strings.Contains(log, "uid=65534") || !strings.Contains(log, "via=socket") {
		t.Error("the log does not tell who sent")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Rubbish of other users in the drop folder stops nobody's mail.
func TestSendmailDropOfStrangers(t *testing.T) {
	needs.Root(t, "it becomes other users")
	h := newHousehold(t, system.Options{})
	h.Stop(t)
	drop := filepath.Join(h.Dir, "drop")
	h.as(t, nobody, system.Command{Name: "sh", Args: []string{"-c", `cd "$1" && ln -s /etc/shadow 1-link.msg && mkfifo fifo && mkdir -p full/inside empty &&
		echo rubbish > file && dd if=/dev/zero of=huge bs=1M count=8 status=none && touch -d '3 days ago' new.old.msg &&
		for i in $(seq 300); do : > junk$i; done`, "sh", drop}})
	for _, uid := range []int{nobody, cronUser, 0} {
		h.as(t, uid, system.Command{Name: h.sendmail(), Args: []string{h.Alice.Address}, Stdin: strings.NewReader("Subject: dropped\n\n" + strconv.Itoa(uid) + "\n")})
	}
	// The sticky bit: another user cannot take away what is there, though he knew its name.
	entries, err := os.ReadDir(drop)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".msg") {
			h.as(t, webUser, system.Command{Name: "rm", Args: []string{"-f", filepath.Join(drop, e.Name())}, Code: 1})
		}
	}
	again := system.Start(t, system.Options{Dir: h.Dir})
	again.Await(t, again.Alice, "INBOX", 3)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if entries, err = os.ReadDir(drop); err != nil || time.Now().After(end) {
			t.Fatal(entries, err)
		}
		if len(entries) == 1 && entries[0].Name() == "full" {
			break
		}
	}
	if log := again.Log(1 << 20); !strings.Contains(log, "rubbish in the drop folder") || !strings.Contains(log, "uid=65534") {
		t.Error("the log does not tell whose rubbish it was")
	}
	for _, b := range system.Bodies(t, again.IMAP(t, again.Alice), "INBOX") {
		if !strings.Contains(string(b), "(from user id ") || !strings.Contains(string(b), "Subject: dropped") {
			t.Errorf("%s", b)
		}
	}
}
