package postcommands

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// side is one of the two systems.
type side struct {
	name    string
	smtp    string
	config  string // MAIL_CONFIG
	program func(name string) string
}

const patience = 30 * time.Second

// both starts the two, with a next hop that takes no recipient now, and one for down.example that is not there.
func both(t *testing.T) (theirs, ours *side) {
	t.Helper()
	busy, down := later(t), "[127.0.0.1]:"+postfix.FreePort(t)
	p := postfix.Start(t, postfix.Config{
		Main: "mynetworks = 127.0.0.0/8\nrelayhost = " + busy + "\nrelay_domains = far.example\nenable_long_queue_ids = yes\n" +
			"smtp_tls_security_level = none\nminimal_backoff_time = 4000s\ntransport_maps = inline:{down.example=smtp:" + down + "}\n",
		Instead: map[string]string{"pickup": "pickup unix n - n 60000 1 pickup"}, // what is requeued is left there
	})
	s := system.Start(t, system.Options{Set: []string{`routing.relayhost="` + busy + `"`, `access.mynetworks=["127.0.0.0/8"]`,
		`routing.transport_maps=["inline:{down.example=smtp:` + down + `}"]`}})
	links := t.TempDir()
	for _, name := range []string{"postqueue", "postsuper", "postcat", "qshape", "mailq"} {
		if err := os.Symlink(system.Binary(t), filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	return &side{"Postfix", p.Address, p.Dir, func(name string) string { return needs.Program(t, name) }},
		&side{"Postrider", s.Listeners["smtp"], s.Dir, func(name string) string { return filepath.Join(links, name) }}
}

// later is a next hop that answers 451 to every recipient.
func later(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				fmt.Fprint(c, "220 busy.example ESMTP\r\n")
				for in := bufio.NewScanner(c); in.Scan(); {
					answer := "250 2.0.0 Ok"
					switch verb, _, _ := strings.Cut(strings.ToUpper(in.Text()), " "); verb {
					case "EHLO":
						answer = "250-busy.example\r\n250-8BITMIME\r\n250 DSN"
					case "RCPT":
						answer = "451-4.3.0 not\r\n451 4.3.0 \"today\" <b>" // words that say nothing of us or of the site
					case "QUIT":
						fmt.Fprint(c, "221 2.0.0 Bye\r\n")
						return
					}
					fmt.Fprint(c, answer+"\r\n")
				}
			}()
		}
	}()
	return "[127.0.0.1]:" + l.Addr().(*net.TCPAddr).AddrPort().String()[len("127.0.0.1:"):]
}

// letter is a message with its envelope.
type letter struct {
	from string
	to   []string
	mail string // parameters
	rcpt string
	text string
}

// letters are in both queues; a sender is in one only, so that it can name the message.
func letters() []letter {
	head := func(from, subject string) string {
		return "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nFrom: " + from + "\r\nTo: x@far.example\r\nSubject: " + subject + "\r\nMessage-ID: <" + subject + "@away.example>\r\n"
	}
	return []letter{
		{"ann@away.example", []string{"x@far.example", "y@far.example", "z@far.example"}, "", "", head("ann@away.example", "one") + "\r\nline one\r\n..two\r\n"},
		{"", []string{"ben@far.example"}, "", "", head("<>", "two") + "\r\n\r\n\r\nempty lines\r\n"},
		{"cat@away.example", []string{"d@down.example"}, "", "", head("cat@away.example", "three") + "\tfolded\r\n\r\nbody: no header\r\n"},
		{`"odd name"@sub.away.example`, []string{`"quoted local"@a.b.far.example`}, "", "", head("o@away.example", "four") + "\r\n" + strings.Repeat("l", 5000) + "\r\nend\r\n"},
		{"dsn@away.example", []string{"n@other.example"}, " BODY=8BITMIME RET=HDRS ENVID=abc+3Dd", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first+2Bx@far.example",
			head("dsn@away.example", "five") + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"},
	}
}

// send gives one message to a system.
func (s *side) send(t *testing.T, l letter) {
	t.Helper()
	c, err := smtp.Dial(s.smtp)
	must(t, err)
	defer c.Close()
	must(t, c.Hello("client.example"))
	say := func(code int, format string, args ...any) {
		id, err := c.Text.Cmd(format, args...)
		must(t, err)
		c.Text.StartResponse(id)
		defer c.Text.EndResponse(id)
		if _, _, err := c.Text.ReadResponse(code); err != nil {
			t.Fatalf("%s: %s: %v", s.name, fmt.Sprintf(format, args...), err)
		}
	}
	say(250, "MAIL FROM:<%s>%s", l.from, l.mail)
	for _, to := range l.to {
		say(250, "RCPT TO:<%s>%s", to, l.rcpt)
	}
	say(354, "DATA")
	_, err = c.Text.W.WriteString(l.text + ".\r\n")
	must(t, err)
	must(t, c.Text.W.Flush())
	_, _, err = c.Text.ReadResponse(250)
	must(t, err)
	must(t, c.Quit())
}

// queued is a line of postqueue -j.
type queued struct {
	Name       string `json:"queue_name"`
	ID         string `json:"queue_id"`
	Sender     string `json:"sender"`
	Recipients []struct {
		Reason string `json:"delay_reason"`
	} `json:"recipients"`
}

// settled waits until so many messages have a reason to wait, or are on hold, and returns them.
func (s *side) settled(t *testing.T, n int) (list []queued) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		list = nil
		for line := range strings.Lines(s.run(t, "", "postqueue", "-j").Stdout) {
			var q queued
			must(t, json.Unmarshal([]byte(line), &q))
			list = append(list, q)
		}
		busy := slices.ContainsFunc(list, func(q queued) bool {
			return q.Name != "hold" && (q.Name != "deferred" || len(q.Recipients) == 0 || q.Recipients[0].Reason == "")
		})
		if len(list) == n && !busy {
			return list
		}
		if time.Now().After(end) {
			t.Fatalf("%s: want %d messages that wait: %+v", s.name, n, list)
		}
	}
}

func (s *side) run(t *testing.T, stdin, program string, args ...string) system.Result {
	t.Helper()
	return system.Run(t, system.Command{Name: s.program(program), Args: args, Stdin: strings.NewReader(stdin), AnyCode: true,
		Env: []string{"MAIL_CONFIG=" + s.config, "POSTRIDER_DIR=" + s.config}, Timeout: patience}) // each knows one of them, ours both
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
