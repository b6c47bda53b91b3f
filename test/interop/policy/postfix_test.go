package policy

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
)

// recorder is a policy server that keeps what it is asked.
type recorder struct {
	net.Listener
	mu       sync.Mutex
	requests [][]string // lines
}

func record(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &recorder{Listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var lines []string
				for in := bufio.NewScanner(c); in.Scan(); {
					if in.Text() != "" {
						lines = append(lines, in.Text())
						continue
					}
					r.mu.Lock()
					r.requests = append(r.requests, lines)
					r.mu.Unlock()
					lines = nil
					fmt.Fprint(c, "action=DUNNO\n\n")
				}
			}()
		}
	}()
	return r
}

func (r *recorder) taken() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// volatile are attributes whose values two servers cannot share.
var volatile = []string{"client_port", "server_port", "queue_id", "instance"}

// TestLikePostfix: the same dialogue makes Postfix and us send the same requests, at the same moments, with the same attributes in the
// same order.
func TestLikePostfix(t *testing.T) {
	theirs, ours := record(t), record(t)
	stages := []string{"client", "helo", "sender", "recipient", "data", "end_of_data"}
	main, sets := "relay_domains = here.example\nrelay_transport = discard\nsmtpd_relay_restrictions = permit_auth_destination reject\n", []string{}
	for _, stage := range stages {
		main += fmt.Sprintf("smtpd_%s_restrictions = check_policy_service { inet:%s, policy_context=at_%s }\n", stage, theirs.Addr(), stage)
		sets = append(sets, fmt.Sprintf(`access.smtp.smtpd_%s_restrictions=["check_policy_service { inet:%s, policy_context=at_%s }"]`, stage, ours.Addr(), stage))
	}
	p := postfix.Start(t, postfix.Config{Main: main})
	s := system.Start(t, system.Options{Set: sets})
	for _, address := range []string{p.Address, s.Listeners["smtp"]} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t, bufio.NewReader(conn), conn}
		c.reply()
		c.say("EHLO mx.far.example", "250")
		c.say("MAIL FROM:<Some.One+x@far.example> SIZE=1000", "250")
		c.say("RCPT TO:<"+s.Alice.Address+">", "250")
		c.say("RCPT TO:<"+s.Bob.Address+">", "250")
		c.say("DATA", "354")
		c.say("Subject: x\r\n\r\nHello.\r\n.", "250")
		c.say("MAIL FROM:<>", "250")
		c.say("RCPT TO:<"+s.Alice.Address+">", "250")
		c.say("DATA", "354")
		c.say("Subject: y\r\n\r\nHello again.\r\n.", "250")
		c.say("QUIT", "221")
	}
	want, got := theirs.taken(), ours.taken()
	if len(want) == 0 || len(want) != len(got) {
		t.Fatalf("Postfix asks %d times, we %d times:\n%s\n%s", len(want), len(got), stagesOf(want), stagesOf(got))
	}
	for i := range want {
		a, b := shared(want[i]), shared(got[i])
		if !slices.Equal(a, b) {
			for j := range a {
				if j >= len(b) || a[j] != b[j] {
					t.Errorf("request %d (%s): Postfix %q, we %q", i+1, stagesOf(want[i:i+1]), a[j:], b[min(j, len(b)):])
					break
				}
			}
		}
	}
}

// shared are the lines of a request that must agree: all but the values of volatile attributes, and what Postfix 3.8 adds to
// Debian's 3.7.
func shared(request []string) (lines []string) {
	for _, l := range request {
		name, _, _ := strings.Cut(l, "=")
		switch {
		case slices.Contains(volatile, name):
			l = name
		case name == "compatibility_level" || name == "mail_version":
			continue
		}
		lines = append(lines, l)
	}
	return lines
}

func stagesOf(requests [][]string) string {
	var all []string
	for _, r := range requests {
		for _, l := range r {
			for _, name := range []string{"protocol_state=", "policy_context=", "recipient="} {
				if value, ok := strings.CutPrefix(l, name); ok {
					all = append(all, value)
				}
			}
		}
		all = append(all, ";")
	}
	return strings.Join(all, " ")
}
