package mtas

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/postrider/postrider/test/interop/system"
)

const password = "correct horse"

// rider is a Postrider run by `postrider serve`.
type rider struct {
	ns   namespace
	dir  string
	ip   string // where it listens
	cmd  *exec.Cmd
	gone chan error
}

// newRider sets one up; it runs from start on.
func newRider(t *testing.T, ns namespace, dir, ip, config string) *rider {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &rider{ns: ns, dir: dir, ip: ip}
	writeFile(t, r.file(), fmt.Sprintf("data_dir = %q\nrun_dir = %q\n%s", filepath.Join(dir, "data"), filepath.Join(dir, "run"), config))
	writeFile(t, r.secret(), password+"\n")
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", ip, tail(r.log()))
		}
	})
	return r
}

func (r *rider) file() string { return filepath.Join(r.dir, "postrider.toml") }

// secret is the file with the password for the smart host.
func (r *rider) secret() string { return filepath.Join(r.dir, "secret") }

func (r *rider) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = r.ns.command(system.Binary(t), "serve", "--config", r.file())
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.gone = make(chan error, 1)
	go func() { r.gone <- r.cmd.Wait() }()
	r.ns.await(t, r.ip+":25", "220")
}

// stop ends it by TERM and demands an orderly end.
func (r *rider) stop(t testing.TB) {
	t.Helper()
	if r.cmd == nil {
		return
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("%s ended by itself: %v", r.ip, err)
	}
	select {
	case err := <-r.gone:
		if err != nil {
			t.Errorf("%s: %v", r.ip, err)
		}
	case <-time.After(patience):
		t.Errorf("%s does not end", r.ip)
		_ = r.cmd.Process.Kill()
		<-r.gone
	}
	r.cmd = nil
}

// reload has a running server read its configuration.
func (r *rider) reload(t testing.TB) {
	t.Helper()
	before := strings.Count(r.log(), "configuration reloaded")
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "reload", func() string {
		if log := r.log(); strings.Count(log, "configuration reloaded") > before {
			return log
		}
		return ""
	})
}

func (r *rider) log() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// logged waits for a line of the log that has all the texts.
func (r *rider) logged(t testing.TB, texts ...string) string {
	t.Helper()
	return await(t, fmt.Sprintf("line with %q in the log of %s", texts, r.ip), func() string { return lineWith(r.log(), texts...) })
}

// operate runs a command of the operator and returns what it printed.
func (r *rider) operate(t testing.TB, input string, args ...string) string {
	t.Helper()
	return system.Run(t, system.Command{Name: system.Binary(t), Args: append(args, "--config", r.file()), Stdin: strings.NewReader(input)}).Stdout
}

func (r *rider) addAccount(t testing.TB, address string) {
	t.Helper()
	r.operate(t, password+"\n", "account", "add", address, "--password-stdin")
}

// job is a message in the queue, as `queue list --json` shows it.
type job struct {
	ID         string `json:"queue_id"`
	State      string `json:"state"`
	Sender     string `json:"sender"`
	Recipients []struct {
		Address  string `json:"address"`
		Attempts int    `json:"attempts"`
		Reason   string `json:"delay_reason"`
		Relay    string `json:"relay"`
	} `json:"recipients"`
}

// queued returns the job that has a recipient, nil if there is none.
func (r *rider) queued(t testing.TB, recipient string) *job {
	t.Helper()
	var jobs []job
	out := r.operate(t, "", "queue", "list", "--json")
	if err := json.Unmarshal([]byte(out), &jobs); err != nil {
		t.Fatalf("queue list --json: %v\n%s", err, out)
	}
	for i := range jobs {
		for _, rc := range jobs[i].Recipients {
			if rc.Address == recipient {
				return &jobs[i]
			}
		}
	}
	return nil
}

// waits until the queue has nothing for a recipient any more.
func (r *rider) waitGone(t testing.TB, recipient string) {
	t.Helper()
	await(t, "end of the job for "+recipient, func() string {
		if r.queued(t, recipient) == nil {
			return "gone"
		}
		return ""
	})
}

// letter is a message with its envelope.
type letter struct {
	from string
	to   []string
	text string
	utf8 bool
	body smtp.BodyType
}

// submit sends a letter as a user of this system.
func (r *rider) submit(t testing.TB, user string, l letter) {
	t.Helper()
	conn, err := r.ns.dial(r.ip + ":587")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := smtp.NewClientStartTLS(conn, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		err = c.Auth(sasl.NewPlainClient("", user, password))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.send(c); err != nil {
		t.Fatalf("submit %+v: %v", l.to, err)
	}
}

// deliver sends a letter to a port 25 as a stranger does; the error is the server's refusal.
func deliver(t testing.TB, ns namespace, ip string, l letter) error {
	t.Helper()
	conn, err := ns.dial(ip + ":25")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return l.send(smtp.NewClient(conn))
}

func (l letter) send(c *smtp.Client) error {
	if err := c.Mail(l.from, &smtp.MailOptions{Body: l.body, UTF8: l.utf8, Size: int64(len(l.text))}); err != nil {
		return err
	}
	for _, to := range l.to {
		if err := c.Rcpt(to, nil); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(l.text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// mail waits for a message with a text in a user's INBOX and returns its bytes.
func (r *rider) mail(t testing.TB, user, text string) string {
	t.Helper()
	conn, err := r.ns.dial(r.ip + ":993")
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), nil)
	defer c.Close()
	if err := c.Login(user, password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	return await(t, fmt.Sprintf("mail with %q for %s", text, user), func() string {
		found, err := c.UIDSearch(&imap.SearchCriteria{Text: []string{text}}, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		uids := found.AllUIDs()
		if len(uids) == 0 {
			return ""
		}
		all := &imap.FetchItemBodySection{Peek: true}
		msgs, err := c.Fetch(imap.UIDSetNum(uids[0]), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{all}}).Collect()
		if err != nil || len(msgs) != 1 {
			t.Fatalf("fetch: %v", err)
		}
		return string(msgs[0].FindBodySection(all))
	})
}

// count is how many messages a user's INBOX has.
func (r *rider) count(t testing.TB, user string) int {
	t.Helper()
	var accounts []struct {
		Address  string `json:"address"`
		Messages int    `json:"messages"`
	}
	if err := json.Unmarshal([]byte(r.operate(t, "", "account", "list", "--json")), &accounts); err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Address == user {
			return a.Messages
		}
	}
	t.Fatalf("no account %s", user)
	return 0
}
