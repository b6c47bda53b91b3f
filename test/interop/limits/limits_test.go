// Package limits holds limits in time and bans against Debian's programs: Postfix, whose names and words the limits have, and
// curl, which guesses passwords.
package limits

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// dialogue is what one client does, after EHLO. Only the last reply counts.
type dialogue struct {
	name     string
	from     string
	connects int // in all; the last one speaks
	commands []string
}

func repeat(n int, commands ...string) (all []string) {
	for range n {
		all = append(all, commands...)
	}
	return all
}

// last has a dialogue with a server and returns its last reply, without the server's name.
func last(t *testing.T, server, hostname string, d dialogue) string {
	t.Helper()
	var in *bufio.Reader
	var c net.Conn
	reply := ""
	read := func() {
		t.Helper()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("%s at %s: %v after %q", d.name, server, err, reply)
			}
			if reply = strings.TrimRight(line, "\r\n"); len(reply) < 4 || reply[3] != '-' {
				return
			}
		}
	}
	for range d.connects {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(d.from)}}
		var err error
		if c, err = dialer.Dial("tcp", server); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		in = bufio.NewReader(c)
		read()
	}
	for _, command := range append([]string{"EHLO client.far.example"}, d.commands...) {
		if strings.HasPrefix(reply, "421") {
			break
		}
		if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
			t.Fatal(err)
		}
		read()
	}
	return strings.ReplaceAll(reply, hostname, "HOST")
}

// TestAsPostfix: by the same settings the same clients read the same words.
func TestAsPostfix(t *testing.T) {
	settings := map[string]string{"smtpd_client_connection_rate_limit": "3", "smtpd_client_message_rate_limit": "4", "smtpd_client_recipient_rate_limit": "5"}
	main, set := "mydestination = here.example\nlocal_transport = discard:\nanvil_rate_time_unit = 3600s\nsmtpd_client_event_limit_exceptions = 127.0.0.9\n",
		[]string{`rates.anvil_rate_time_unit="1h"`, `rates.smtpd_client_event_limit_exceptions=["127.0.0.9"]`}
	for name, value := range settings {
		main += name + " = " + value + "\n"
		set = append(set, "rates."+name+"="+value)
	}
	theirs := postfix.Start(t, postfix.Config{Main: main})
	ours := system.Start(t, system.Options{Set: set})
	mail, rcpt := "MAIL FROM:<a@far.example>", "RCPT TO:<alice@here.example>"
	for _, d := range []dialogue{
		{"as many connections as may be", "127.0.0.2", 3, nil},
		{"one more", "127.0.0.2", 1, nil},
		{"as many messages", "127.0.0.3", 1, append(repeat(3, mail, "RSET"), mail)},
		{"one more message", "127.0.0.3", 1, []string{mail}},
		{"as many recipients", "127.0.0.4", 1, append([]string{mail}, repeat(5, rcpt)...)},
		{"one more recipient", "127.0.0.4", 1, []string{mail, rcpt}},
		{"an exempt client's connections", "127.0.0.9", 9, nil},
		{"an exempt client's messages", "127.0.0.9", 1, append(repeat(9, mail, "RSET"), mail)},
		{"an exempt client's recipients", "127.0.0.9", 1, append([]string{mail}, repeat(9, rcpt)...)},
		{"somebody else", "127.0.0.5", 1, []string{mail, rcpt}},
	} {
		a, b := last(t, theirs.Address, "mx.here.example", d), last(t, ours.Listeners["smtp"], ours.Hostname, d)
		same := a == b
		if a[0] == '2' { // what is no refusal has other words here
			same = a[:3] == b[:3]
		}
		if !same {
			t.Errorf("%s:\nPostfix   %s\nPostrider %s", d.name, a, b)
		}
	}
}

// TestCurlGuesses: curl guesses at three protocols by turns until nobody speaks with it any more; the user does not notice.
func TestCurlGuesses(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{`bans.exempt_networks=[]`, `bans.max_login_delay="0s"`, `bans.max_auth_failures=6`}})
	curl := func(from, service, user string) system.Result {
		t.Helper()
		url := fmt.Sprintf("%s://localhost:%s/", map[string]string{"imaps": "imaps", "pop3s": "pop3s", "submissions": "smtps"}[service], s.Port(t, service))
		args := []string{"-sS", "-k", "--interface", from, "-u", user, "--login-options", "AUTH=PLAIN", url}
		if service == "submissions" {
			args = append(args, "-X", "NOOP")
		}
		return system.Run(t, system.Command{Name: "curl", Args: args, AnyCode: true})
	}
	right := s.Alice.Address + ":" + s.Alice.Password
	if r := curl("127.0.0.72", "imaps", right); r.Code != 0 {
		t.Fatalf("the user: %+v", r)
	}
	const denied = 67
	services := []string{"imaps", "pop3s", "submissions"}
	for i := range 6 {
		if r := curl("127.0.0.70", services[i%3], fmt.Sprintf("%s:guess%d", s.Alice.Address, i)); r.Code != denied && i < 5 {
			t.Errorf("guess %d: %+v", i, r)
		}
	}
	for _, service := range services {
		if r := curl("127.0.0.70", service, right); r.Code == 0 || r.Code == denied {
			t.Errorf("the guesser, by %s with the right password: %+v", service, r)
		}
		if r := curl("127.0.0.72", service, right); r.Code != 0 {
			t.Errorf("the user by %s: %+v", service, r)
		}
	}
	for range 8 { // a forgotten telephone
		if r := curl("127.0.0.73", "pop3s", s.Alice.Address+":old"); r.Code != denied {
			t.Errorf("the telephone: %+v", r)
		}
	}
}
