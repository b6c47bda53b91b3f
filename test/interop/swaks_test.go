package interop

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// Swaks's exit codes, as its manual lists them.
const (
	swaksOK   = 0
	swaksMail = 23 // the sender was refused
	swaksRcpt = 24 // no recipient was accepted
	swaksData = 26 // the message was refused after its end
	swaksAuth = 28 // no login
)

func swaks(t *testing.T, s *system.System, service string, code int, args ...string) string {
	t.Helper()
	base := []string{"--server", "localhost", "--port", s.Port(t, service), "--helo", "client.far.example", "--timeout", "60s",
		"--to", s.Alice.Address, "--from", "sender@far.example"}
	return system.Run(t, system.Command{Name: "swaks", Args: append(base, args...), Code: code}).All()
}

func contains(t *testing.T, in string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(in, want) {
			t.Errorf("lacks %q:\n%s", want, in)
		}
	}
}

func TestSwaksDelivers(t *testing.T) {
	s := system.Start(t, system.Options{})
	out := swaks(t, s, "smtp", swaksOK, "--header", "Subject: in clear")
	contains(t, out, "<-  220 "+s.Hostname, "<-  250 2.0.0 Ok: queued as ", "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "STARTTLS")
	out = swaks(t, s, "smtp", swaksOK, "--tls", "--tls-verify", "--tls-ca-path", s.CA, "--header", "Subject: under TLS")
	contains(t, out, "=== TLS started with cipher TLSv1.3", "<~  250 2.0.0 Ok: queued as ")
	swaks(t, s, "smtp", swaksOK, "--pipeline", "--header", "Subject: pipelined", "--from", "<>")
	s.Await(t, s.Alice, "INBOX", 3)
	text := curlFetch(t, s, s.Alice, "INBOX", 2)
	contains(t, text, "Return-Path: <sender@far.example>", "Delivered-To: "+s.Alice.Address, "with ESMTPS", "Subject: under TLS", "This is a test mailing")
	contains(t, curlFetch(t, s, s.Alice, "INBOX", 3), "Return-Path: <>\r\n")
}

// Each refusal comes in the session, with the reply that RFC 3463 gives a sender something to work with.
func TestSwaksIsRefused(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{`smtp.max_message_size="1MiB"`}})
	for _, c := range []struct {
		name, service string
		code          int
		args          []string
		want          string
	}{
		{"unknown user", "smtp", swaksRcpt, []string{"--to", "nobody@here.example"}, "<** 550 5.1.1 "},
		{"relay", "smtp", swaksRcpt, []string{"--to", "someone@elsewhere.example"}, " 5.7.1 "},
		{"relay under TLS", "smtp", swaksRcpt, []string{"--tls", "--to", "someone@elsewhere.example"}, " 5.7.1 "},
		{"too big", "smtp", swaksData, []string{"--suppress-data", "--body", "@" + randomFile(t, 1<<20, true)}, " 5.3.4 "},
		{"LMTP unknown user", "lmtp", swaksRcpt, []string{"--protocol", "LMTP", "--to", "nobody@here.example"}, "<** 550 5.1.1 "},
		{"submission in clear", "submission", swaksMail, nil, "<** 530 5.7.0 "},
		{"submission without AUTH", "submission", swaksMail, []string{"--tls"}, "530 5.7.0 "},
		{"wrong password", "submission", swaksAuth, auth(s.Alice.Address, "wrong", "PLAIN", "--tls"), "535 5.7.8 "},
		{"wrong password, LOGIN", "submissions", swaksAuth, auth(s.Alice.Address, "wrong", "LOGIN", "--tls-on-connect"), "535 5.7.8 "},
		{"no such account", "submission", swaksAuth, auth("nobody@here.example", "wrong", "PLAIN", "--tls"), "535 5.7.8 "},
		{"AUTH in clear", "submission", swaksAuth, auth(s.Alice.Address, s.Alice.Password, "PLAIN"), "Host did not advertise authentication"},
		{"AUTH on port 25", "smtp", swaksAuth, auth(s.Alice.Address, s.Alice.Password, "PLAIN", "--tls"), "Host did not advertise authentication"},
		{"another's sender", "submission", swaksMail, auth(s.Alice.Address, s.Alice.Password, "PLAIN", "--tls", "--from", s.Bob.Address), " 5.7.1 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			contains(t, swaks(t, s, c.service, c.code, c.args...), c.want)
		})
	}
	if n := system.Count(t, s.IMAP(t, s.Alice), "INBOX"); n != 0 {
		t.Errorf("%d refused messages arrived", n)
	}
}

func auth(user, password, mechanism string, more ...string) []string {
	return append([]string{"--auth", mechanism, "--auth-user", user, "--auth-password", password}, more...)
}

func TestSwaksSubmits(t *testing.T) {
	s := system.Start(t, system.Options{})
	n := 0
	for _, service := range []string{"submission", "submissions"} {
		tls := map[string]string{"submission": "--tls", "submissions": "--tls-on-connect"}[service]
		for _, mechanism := range []string{"PLAIN", "LOGIN"} {
			n++
			subject := fmt.Sprintf("%s %s", service, mechanism)
			args := auth(s.Alice.Address, s.Alice.Password, mechanism, tls, "--tls-verify", "--tls-ca-path", s.CA, "--from", s.Alice.Address,
				"--to", s.Bob.Address, "--header", "Subject: "+subject, "--header", "Bcc: hidden@here.example")
			contains(t, swaks(t, s, service, swaksOK, args...), "<~  235 2.7.0 ", "<~  250 2.0.0 Ok: queued as ")
			s.Await(t, s.Bob, "INBOX", n)
			text := curlFetch(t, s, s.Bob, "INBOX", n)
			contains(t, text, "Subject: "+subject, "with ESMTPSA", "Return-Path: <"+s.Alice.Address+">")
			if strings.Contains(text, "hidden@") {
				t.Error("Bcc was shown to the recipient")
			}
		}
	}
}

func TestSwaksLMTP(t *testing.T) {
	s := system.Start(t, system.Options{})
	out := swaks(t, s, "lmtp", swaksOK, "--protocol", "LMTP", "--to", s.Alice.Address+",nobody@here.example,"+s.Bob.Address)
	contains(t, out, "<** 550 5.1.1 ")
	if n := strings.Count(out, "<-  250 2.0.0 "); n < 2 { // RFC 2033 §4.2: a reply for each accepted recipient
		t.Errorf("%d replies after the data:\n%s", n, out)
	}
	s.Await(t, s.Alice, "INBOX", 1)
	s.Await(t, s.Bob, "INBOX", 1)
}

func TestSwaksBigAttachment(t *testing.T) {
	s := system.Start(t, system.Options{})
	file := randomFile(t, 12<<20, false)
	swaks(t, s, "smtp", swaksOK, "--attach", "@"+file, "--header", "Subject: big", "--suppress-data")
	s.Await(t, s.Alice, "INBOX", 1)
	part := system.Run(t, system.Command{Name: "curl", Args: append(imapsArgs(s, s.Alice, "INBOX;MAILINDEX=1;SECTION=2"), "--silent")}).Stdout
	got, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(part))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the attachment of %d bytes came back as %d other bytes", len(want), len(got))
	}
}

// randomFile holds size bytes, always the same; as text, lines of base64.
func randomFile(t *testing.T, size int, text bool) string {
	t.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	if text {
		var out []byte
		for len(b) > 0 {
			n := min(len(b), 54)
			out = append(base64.StdEncoding.AppendEncode(out, b[:n]), '\n')
			b = b[n:]
		}
		b = out
	}
	name := filepath.Join(t.TempDir(), "attachment.bin")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestSwaksOddly says things in ways that are unusual and allowed, or not allowed and harmless.
func TestSwaksOddly(t *testing.T) {
	s := system.Start(t, system.Options{})
	login := auth(s.Alice.Address, s.Alice.Password, "PLAIN", "--tls", "--from", s.Alice.Address)
	n := 0
	for _, c := range []struct {
		name, service string
		code          int
		args          []string
		want          string
	}{
		{"a name without a dot", "submission", swaksOK, append(login, "--helo", "DESKTOP-3507CDS"), "<~  250 2.0.0 Ok: queued as "},
		{"a name with underscores", "submission", swaksOK, append(login, "--helo", "web_1.app_default"), "<~  250 2.0.0 Ok: queued as "},
		{"an address for a name", "submission", swaksOK, append(login, "--helo", "[IPv6:2001:db8::1]"), "<~  250 2.0.0 Ok: queued as "},
		{"HELO on port 25", "smtp", swaksOK, []string{"--protocol", "SMTP"}, "<-  250 2.0.0 Ok: queued as "},
		{"a comment that is no address", "smtp", swaksMail, []string{"--from", "me (my name)"}, "501 5.1.7 "},
		{"no such mechanism", "submission", swaksAuth, auth(s.Alice.Address, "x", "CRAM-MD5", "--tls"), "requested type not available"},
		{"an empty name", "submission", swaksAuth, auth("", "x", "PLAIN", "--tls"), "<~* 5"},
		{"TLS where there is none yet", "smtp", 29, []string{"--tls-on-connect"}, "TLS startup failed"},
		{"only what TLS 1.1 knows", "smtp", 29, []string{"--tls", "--tls-protocol", "tlsv1_1"}, "TLS startup failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			contains(t, swaks(t, s, c.service, c.code, c.args...), c.want)
			if c.code == swaksOK {
				n++
			}
		})
	}
	s.Await(t, s.Alice, "INBOX", n)
}
