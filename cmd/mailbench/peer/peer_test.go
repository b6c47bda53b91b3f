package peer

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigurationsAreFilled(t *testing.T) {
	values := map[string]any{
		"Dir": "/d/x", "Daemons": "/usr/lib/postfix/sbin", "Domain": Domain, "LMTP": "/d/lmtp", "Port": 4711, "Processes": 200,
		"MaxSize": 1, "Extra": []string{"in_flow_delay = 0"}, "Format": Maildir, "Folder": "Maildir", "TLSPort": 4712,
		"POP3Port": 4713, "Clients": 800, "RelayDomain": RelayDomain, "Sink": 4714,
	}
	for name, c := range map[string]struct{ text, want string }{
		"main.cf":      {mainCF, "virtual_transport = lmtp:unix:/d/lmtp\n"},
		"main.cf way":  {mainCF, "\nrelay_transport = smtp:[127.0.0.1]:4714\n"},
		"main.cf more": {mainCF, "\nin_flow_delay = 0\n"},
		"master.cf":    {masterCF, "\n127.0.0.1:4711 inet "},
		"dovecot POP3": {dovecotConf, "    port = 4713\n"},
		"dovecot.conf": {dovecotConf, "mail_location = maildir:~/Maildir\n"},
	} {
		got, err := fill(c.text, values)
		if err != nil || !strings.Contains(got, c.want) || strings.Contains(got, "<no value>") {
			t.Errorf("%s: %v: no %q in\n%s", name, err, c.want, got)
		}
	}
	if _, err := fill(mainCF, map[string]any{}); err == nil {
		t.Error("a value that is not there went unnoticed")
	}
}

func TestHideDir(t *testing.T) {
	if got := hideDir("a = /var/tmp/x/run\nb = /var/tmp/x", "/var/tmp/x"); got != "a = $DIR/run\nb = $DIR" {
		t.Errorf("%q", got)
	}
}

func imapServer(t *testing.T, answers map[string]string) Access {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "* OK ready\r\n")
		for r := bufio.NewScanner(c); r.Scan(); {
			f := strings.SplitN(r.Text(), " ", 3)
			fmt.Fprint(c, strings.ReplaceAll(answers[f[1]], "TAG", f[0]))
		}
	}()
	return Access{Addr: l.Addr().String(), Password: func(int) string { return "s" }}
}

func TestMessagesAreCountedByStatus(t *testing.T) {
	a := imapServer(t, map[string]string{
		"LOGIN":  "* CAPABILITY IMAP4rev1\r\nTAG OK in\r\n",
		"STATUS": "* 3 EXISTS\r\n* STATUS \"INBOX\" (MESSAGES 1234)\r\nTAG OK done\r\n",
		"LOGOUT": "* BYE\r\nTAG OK\r\n",
	})
	r, err := a.Open(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.Messages(); err != nil || n != 1234 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestRefusedLoginIsAnError(t *testing.T) {
	a := imapServer(t, map[string]string{"LOGIN": "TAG NO [AUTHENTICATIONFAILED] no\r\n"})
	if _, err := a.Open(context.Background(), 7); err == nil || !strings.Contains(err.Error(), "user7@example.test") {
		t.Errorf("%v", err)
	}
}

// What a program says before it fails must stand in the error.
func TestAProgramThatEndsAtOnceIsToldWithItsLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	d, err := launch(log, nil, nil, "sh", "-c", "echo no such table >&2; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	<-d.gone
	if err := d.await(context.Background(), "127.0.0.1:1", "220"); err == nil || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("%v", err)
	}
}

func TestStopEndsWhatWasStarted(t *testing.T) {
	dir := t.TempDir()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	d, err := launch(filepath.Join(dir, "log"), write, nil, "sh", "-c", "sleep 1000 & echo; wait")
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	read.Read(make([]byte, 1))
	d.patience = 30 * time.Millisecond
	if err := d.stop(); err == nil || !strings.Contains(err.Error(), "killed") { // the shell ends, its child stays
		t.Errorf("%v", err)
	}
	if n, _ := read.Read(make([]byte, 1)); n != 0 {
		t.Error("somebody still writes")
	}
}
