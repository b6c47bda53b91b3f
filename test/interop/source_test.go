package interop

import (
	"bytes"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
)

// Postfix's load generator: 2,000 messages over 20 sessions, every one acknowledged and every one in the mailbox.
func TestSMTPSource(t *testing.T) {
	const messages = "2000"
	s := system.Start(t, system.Options{})
	for _, c := range []struct {
		name    string
		service string
		to      system.Account
		args    []string
	}{
		{"SMTP", "smtp", s.Alice, nil},
		{"LMTP", "lmtp", s.Bob, []string{"-L"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Now()
			args := append([]string{"-s", "20", "-m", messages, "-l", "10240", "-f", "sender@far.example", "-t", c.to.Address}, c.args...)
			system.Run(t, system.Command{Name: "smtp-source", Args: append(args, "inet:"+s.Listeners[c.service])})
			acknowledged := time.Since(begin)
			s.Await(t, c.to, "INBOX", 2000)
			t.Logf("2000 acknowledged in %v, in the mailbox after %v", acknowledged.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
			client := s.IMAP(t, c.to)
			for i, b := range system.Bodies(t, client, "INBOX") {
				if len(b) < 10240 || !bytes.HasPrefix(b, []byte("Return-Path: <sender@far.example>\r\nDelivered-To: "+c.to.Address+"\r\nReceived: ")) {
					t.Fatalf("message %d: %d bytes, %.200q", i+1, len(b), b)
				}
			}
		})
	}
}
