package milter

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// contentFilter runs testdata/filter.py and returns its address, and the file that shall tell it where mail goes back.
func contentFilter(t *testing.T) (addr, back string) {
	t.Helper()
	needs.Program(t, "python3")
	const python = "/usr/bin/python3" // the one that Debian's modules are for
	back = filepath.Join(t.TempDir(), "back")
	cmd := exec.Command(python, "testdata/filter.py", back)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the filter does not start (python3-aiosmtpd): %v", err)
	}
	return "127.0.0.1:" + strings.TrimSpace(line), back
}

// returning starts a system to which filters bring mail back.
func returning(t *testing.T, back string, set ...string) *system.System {
	t.Helper()
	s := system.Start(t, system.Options{Set: append(set, "listeners.reinject.enabled=true", `listeners.reinject.addresses=["127.0.0.1:0"]`,
		`filters.reinject_networks=["127.0.0.1"]`)})
	write(t, back, s.Port(t, "reinject"))
	return s
}

// After the queue: the message is accepted, goes to the filter, which hears whose it is, and comes back.
func TestContentFilter(t *testing.T) {
	addr, back := contentFilter(t)
	host, port, _ := strings.Cut(addr, ":")
	s := returning(t, back, fmt.Sprintf(`filters.content_filter="smtp:[%s]:%s"`, host, port), `routing.always_bcc="bob+copy@here.example"`)
	swaks(t, s, "smtp", sent, "--from", "a@far.example", "--to", s.Alice.Address, "--header", "Subject: through")
	text := last(t, s, s.Alice, "INBOX", 1)
	contains(t, text, "X-Filtered: ", "ADDR=127.0.0.1", "HELO=client.far.example", "SOURCE=REMOTE", "Subject: through", "Return-Path: <a@far.example>")
	if n := strings.Count(text, "\nReceived: "); n != 2 {
		t.Errorf("%d Received fields:\n%s", n, text)
	}
	// Mail of users too, for elsewhere and for here; the filter's refusal is the sender's failure notice.
	swaks(t, s, "submission", sent, "--tls", "--auth", "PLAIN", "--auth-user", s.Alice.Address, "--auth-password", s.Alice.Password, "--from", s.Alice.Address,
		"--to", s.Bob.Address, "--body", "VIRUS")
	contains(t, last(t, s, s.Alice, "INBOX", 2), "the filter found a virus")
	contains(t, last(t, s, s.Bob, "INBOX", 1), "Subject: through", "Delivered-To: bob") // the copy, once
	if n := system.Count(t, s.IMAP(t, s.Bob), "INBOX"); n != 1 {
		t.Errorf("%d messages passed the filter", n)
	}
}

// Before the queue: the filter's answer is ours.
func TestProxyFilter(t *testing.T) {
	addr, back := contentFilter(t)
	s := returning(t, back, fmt.Sprintf(`filters.smtpd_proxy_filter=%q`, addr), `routing.always_bcc="bob+copy@here.example"`)
	out := swaks(t, s, "smtp", sent, "--from", "a@far.example", "--to", s.Alice.Address, "--header", "Subject: through")
	contains(t, out, "<-  250 2.0.0 Ok: filtered")
	contains(t, last(t, s, s.Alice, "INBOX", 1), "X-Filtered: ", "ADDR=127.0.0.1", "HELO=client.far.example", "Subject: through", "Return-Path: <a@far.example>")
	contains(t, swaks(t, s, "smtp", refused, "--from", "a@far.example", "--to", s.Alice.Address, "--body", "VIRUS"), "<** 550 5.7.1 the filter found a virus")
	contains(t, swaks(t, s, "smtp", refused, "--from", "a@far.example", "--to", s.Alice.Address+",bob+refused@here.example"), "<** 550 5.7.1 the filter does not like this recipient")
	for _, who := range []system.Account{s.Alice, s.Bob} { // Bob has the copy
		if n := system.Count(t, s.IMAP(t, who), "INBOX"); n != 1 {
			t.Errorf("%d messages", n)
		}
	}
	write(t, back, "1") // where nobody listens
	contains(t, swaks(t, s, "smtp", refused, "--from", "a@far.example", "--to", s.Alice.Address), "<** 451 4.3.0 cannot give it back")
	if strings.Contains(s.Log(100000), "level=ERROR") {
		t.Error("an error in the log")
	}
}
