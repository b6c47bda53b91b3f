package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/smtp"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/directory"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is a whole system on loopback with ports that the system chooses.
func testConfig(t testing.TB, dir string, sets ...string) *config.Config {
	t.Helper()
	all := []string{`hostname = "mail.here.example"`, `domain = "here.example"`, fmt.Sprintf("data_dir = %q", dir), `limits.disk_reserve = "0B"`}
	for _, s := range []string{"smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "http"} {
		all = append(all, "listeners."+s+".enabled = true", "listeners."+s+`.addresses = ["127.0.0.1:0"]`)
	}
	all = append(all, dbtest.Settings(t, dir)...)
	c, err := config.Load("", append(all, sets...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs a node until the test ends, or the returned function stops it.
func start(t testing.TB, c *config.Config) (*Node, func()) {
	t.Helper()
	var out io.Writer = io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	return startLogging(t, c, out)
}

// startLogging is start with a log, in the configured format.
func startLogging(t testing.TB, c *config.Config, out io.Writer) (*Node, func()) {
	t.Helper()
	log, err := obs.New(obs.Options{Out: out, Format: c.Log.Format, Level: c.Log.Level, Hostname: c.Hostname, PID: os.Getpid(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), Options{Config: c, Log: log, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	t.Cleanup(stop)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n, stop
}

func addUser(t testing.TB, n *Node, local, password string) {
	t.Helper()
	if _, err := n.addAccount(t.Context(), directory.NewAccount{Address: address.Address{Local: local, Domain: "here.example"}, Password: password}); err != nil {
		t.Fatal(err)
	}
}

func send(t testing.TB, n *Node, to, message string) error {
	t.Helper()
	c, err := smtp.Dial(n.Addresses()["smtp"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Mail("sender@far.example"), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, message); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

// login opens an IMAP session and selects INBOX.
func login(t testing.TB, n *Node, user, password string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(n.Addresses()["imaps"].String(), &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(user, password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// arrived waits until the mailbox has n messages.
func arrived(t testing.TB, c *imapclient.Client, mailbox string, n uint32) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		data, err := c.Select(mailbox, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if data.NumMessages == n {
			return
		}
	}
	t.Fatalf("%s never had %d messages", mailbox, n)
}

func bodyOf(t testing.TB, c *imapclient.Client, seq uint32) []byte {
	t.Helper()
	all := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(imap.SeqSetNum(seq), &imap.FetchOptions{Envelope: true, BodySection: []*imap.FetchItemBodySection{all}}).Collect()
	if err != nil || len(msgs) != 1 {
		t.Fatalf("fetch: %v", err)
	}
	return msgs[0].FindBodySection(all)
}

func TestOneMessageEndToEnd(t *testing.T) {
	n, stop := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "secret word")
	text := "Subject: hello\r\nMessage-ID: <1@far.example>\r\n\r\n.dots and äöü\r\nbye\r\n"
	if err := send(t, n, "Alice+tag@here.example", text); err != nil {
		t.Fatal(err)
	}
	if err := send(t, n, "nobody@here.example", text); err == nil || !strings.Contains(err.Error(), "5.1.1") {
		t.Fatalf("unknown recipient: %v", err)
	}
	if err := send(t, n, "x@elsewhere.example", text); err == nil || !strings.Contains(err.Error(), "5.7.1") {
		t.Fatalf("relay: %v", err)
	}
	c := login(t, n, "alice@here.example", "secret word")
	arrived(t, c, "INBOX", 1)
	got := bodyOf(t, c, 1)
	if !bytes.HasSuffix(got, []byte(text)) || !bytes.HasPrefix(got, []byte("Return-Path: <sender@far.example>\r\n")) || !bytes.Contains(got, []byte("\r\nReceived: ")) {
		t.Fatalf("got %q", got)
	}
	c.Close()
	stop()
}

func TestRestartKeepsMail(t *testing.T) {
	dir := t.TempDir()
	n, stop := start(t, testConfig(t, dir))
	addUser(t, n, "alice", "pw")
	for range 20 {
		if err := send(t, n, "alice@here.example", "Subject: x\r\n\r\nx\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	n, stop = start(t, testConfig(t, dir))
	c := login(t, n, "alice@here.example", "pw")
	arrived(t, c, "INBOX", 20)
	c.Close()
	stop()
	if err := verify(t, dir); err != nil {
		t.Fatal(err)
	}
}

// verify checks the store of a stopped node.
func verify(t testing.TB, dir string) error {
	c, err := config.Load("", append([]string{`hostname = "mail.here.example"`, fmt.Sprintf("data_dir = %q", dir)}, dbtest.Settings(t, dir)...))
	if err != nil {
		return err
	}
	n, err := Open(context.Background(), Options{Config: c, Log: &obs.Log{Logger: slog.New(slog.DiscardHandler)}, Version: "test"})
	if err != nil {
		return err
	}
	defer n.Stop(context.Background())
	return n.store.Verify(context.Background())
}

func TestTwoNodesInOneProcess(t *testing.T) {
	a, _ := start(t, testConfig(t, t.TempDir()))
	b, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, a, "alice", "pw")
	if err := send(t, a, "alice@here.example", "Subject: x\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := send(t, b, "alice@here.example", "Subject: x\r\n\r\nx\r\n"); err == nil {
		t.Fatal("the other node knows alice")
	}
	_, err := Open(t.Context(), Options{Config: a.Config(), Log: a.log})
	if err == nil || !strings.Contains(err.Error(), "in use by another postrider") {
		t.Fatalf("a second node on one directory: %v", err)
	}
}
