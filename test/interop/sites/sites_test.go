// Package sites has Debian's Postfix be a site with limits of its own: Postrider finds out how much it takes, and why it takes
// something not now.
package sites

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/smtp"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

const messages = 200

// Postfix takes three connections of one address at once (smtpd_client_connection_count_limit) and answers 421 to the fourth.
// All mail arrives, and few connections are too many.
func TestConnectionLimit(t *testing.T) {
	p := postfix.Start(t, postfix.Config{Main: "relay_domains = there.example\nrelay_transport = discard:\nsmtpd_client_connection_count_limit = 3\n" +
		"smtpd_delay_reject = yes\n"})
	s := start(t, p)
	to := make([]string, messages)
	for i := range to {
		to[i] = fmt.Sprintf("user%d@there.example", i)
	}
	submit(t, s, to)
	await(t, p, func(log string) (string, bool) {
		n := strings.Count(log, "status=sent")
		return fmt.Sprintf("%d of %d arrived", n, messages), n >= messages
	})
	if n := strings.Count(p.Log(), "status=sent"); n != messages {
		t.Errorf("%d arrived of %d", n, messages)
	}
	refused := strings.Count(p.Log(), "Connection concurrency limit exceeded")
	t.Logf("%d connections were too many", refused)
	if refused == 0 || refused > messages/5 {
		t.Errorf("%d connections were too many for Postfix, of %d messages", refused, messages)
	}
}

// Postfix's own refusals for now, as the queue classes them.
func TestClasses(t *testing.T) {
	p := postfix.Start(t, postfix.Config{
		Main: "mydestination = there.example\nlocal_recipient_maps = inline:{known=x}\nunknown_local_recipient_reject_code = 450\n" +
			"relay_domains = other.example\nrelay_recipient_maps =\nlocal_transport = discard:\n" +
			"smtpd_relay_restrictions = permit_auth_destination, defer_unauth_destination\n" +
			"smtpd_recipient_restrictions = check_recipient_access inline:{{name@other.example=reject_unknown_reverse_client_hostname} " +
			"{full@other.example=452 4.2.2 Mailbox full}}\nunknown_client_reject_code = 450\nsmtpd_peername_lookup = yes\nmaps_rbl_reject_code = 450\n"})
	s := start(t, p)
	want := map[string]string{"nobody@there.example": "unknown", "full@other.example": "full", "user@third.example": "policy"}
	to := make([]string, 0, len(want))
	for address := range want {
		to = append(to, address)
	}
	submit(t, s, to)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got := classes(t, s)
		wrong := ""
		for address, class := range want {
			if got[address] != class {
				wrong += fmt.Sprintf("%s: %q, want %q\n", address, got[address], class)
			}
		}
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s%s", wrong, list(t, s))
		}
	}
}

// A relay that is down rests, and queue stats says why; queue flush ends the rest.
func TestRest(t *testing.T) {
	p := postfix.Start(t, postfix.Config{Main: "relay_domains = there.example\nrelay_transport = discard:\n"})
	p.Control(t, "postfix", "stop")
	s := start(t, p, `mta.retry=["10m"]`)
	to := []string{"a@there.example", "b@there.example", "c@there.example", "d@there.example"}
	submit(t, s, to)
	var stats struct {
		Limits []struct {
			Until  time.Time `json:"rests_until"`
			Reason string
		} `json:"site_limits"`
	}
	for end := time.Now().Add(20 * time.Second); len(stats.Limits) == 0 || stats.Limits[0].Until.IsZero(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the relay does not rest: %+v", stats)
		}
		if err := json.Unmarshal([]byte(operate(t, s, "queue", "stats", "--json")), &stats); err != nil {
			t.Fatal(err)
		}
	}
	if l := stats.Limits[0]; !strings.Contains(l.Reason, "refused") {
		t.Errorf("the reason is %q", l.Reason)
	}
	if text := operate(t, s, "queue", "stats"); !strings.Contains(text, "RESTS FOR") {
		t.Errorf("queue stats does not tell:\n%s", text)
	}
	p.Control(t, "postfix", "start")
	postfix.Await(t, p.Address)
	operate(t, s, "queue", "flush", "--all")
	await(t, p, func(log string) (string, bool) {
		n := strings.Count(log, "status=sent")
		return fmt.Sprintf("%d of %d arrived", n, len(to)), n == len(to)
	})
	if left := time.Until(stats.Limits[0].Until); left < 0 {
		t.Errorf("they arrived %s after the rest was over", -left)
	}
}

// start runs Postrider with a Postfix as its relay.
func start(t *testing.T, p *postfix.Postfix, set ...string) *system.System {
	t.Helper()
	return system.Start(t, system.Options{Set: append([]string{`routing.relayhost="[127.0.0.1]:` + p.Address[strings.LastIndexByte(p.Address, ':')+1:] + `"`,
		`mta.retry=["1s"]`, `mta.tls="none"`}, set...)})
}

// submit sends a message to each.
func submit(t *testing.T, s *system.System, to []string) {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Listeners["submissions"], s.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, s.Hostname)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", s.Alice.Address, s.Alice.Password, s.Hostname)); err != nil {
		t.Fatal(err)
	}
	for _, address := range to {
		if err := c.Mail(s.Alice.Address); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt(address); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: a test\r\n\r\nhello\r\n", s.Alice.Address, address)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}

// await waits for what Postfix's log shows.
func await(t *testing.T, p *postfix.Postfix, done func(log string) (string, bool)) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		state, ok := done(p.Log())
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatal(state)
		}
	}
}

func list(t *testing.T, s *system.System) string {
	t.Helper()
	return operate(t, s, "queue", "list", "--json")
}

// operate runs an operator's command.
func operate(t *testing.T, s *system.System, args ...string) string {
	t.Helper()
	return system.Run(t, system.Command{Name: system.Binary(t), Args: append(args, "--dir", s.Dir)}).Stdout
}

// classes is why each recipient in the queue waits.
func classes(t *testing.T, s *system.System) map[string]string {
	t.Helper()
	var jobs []struct {
		Recipients []struct{ Address, Class string }
	}
	if err := json.Unmarshal([]byte(list(t, s)), &jobs); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, job := range jobs {
		for _, r := range job.Recipients {
			out[r.Address] = r.Class
		}
	}
	return out
}
