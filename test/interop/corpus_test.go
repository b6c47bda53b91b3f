package interop

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/smtp"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// real is a message of the sample (testdata/README.md), with CR LF at each line's end as SMTP wants it.
type real struct {
	name string
	text []byte
}

// corpus reads the sample.
func corpus(t *testing.T) []real {
	t.Helper()
	f, err := os.Open("testdata/corpus.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []real
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, real{strings.TrimSuffix(h.Name, ".eml"), normalize(b)})
	}
	if len(out) < 400 {
		t.Fatalf("only %d messages in the sample", len(out))
	}
	return out
}

// normalize makes every line end in CR LF and nothing else: what a sender must do before SMTP (RFC 5321 §2.3.8).
func normalize(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), nil)
	if !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n')
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// stripDelivery removes what we put on top: Return-Path and Delivered-To of the delivery, Received of the message.
func stripDelivery(t *testing.T, b []byte) []byte {
	t.Helper()
	for _, name := range []string{"Return-Path: ", "Delivered-To: ", "Received: "} {
		if !bytes.HasPrefix(b, []byte(name)) {
			t.Fatalf("no %sin %.300q", name, b)
		}
		for {
			i := bytes.Index(b, []byte("\r\n"))
			b = b[i+2:]
			if len(b) == 0 || b[0] != ' ' && b[0] != '\t' {
				break
			}
		}
	}
	return b
}

// sendAll sends the messages in order, fifty over each connection.
func sendAll(t *testing.T, s *system.System, to string, messages []real) {
	t.Helper()
	const perConnection = 50
	for len(messages) > 0 {
		some := messages[:min(perConnection, len(messages))]
		messages = messages[len(some):]
		c, err := smtp.Dial(s.Listeners["smtp"])
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range some {
			if err := sendOne(c, to, m.text); err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
		}
		must(t, c.Quit())
	}
}

func sendOne(c *smtp.Client, to string, text []byte) error {
	if err := c.Mail("sender@far.example"); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}

// dialIMAPS opens a bare session.
func dialIMAPS(t *testing.T, s *system.System, a system.Account) *rawIMAP {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Listeners["imaps"], s.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := newRawIMAP(t, conn, conn)
	c.do(fmt.Sprintf("LOGIN %s %q", a.Address, a.Password))
	return c
}

// stored is a message as the server shows it.
type stored struct {
	name                string
	text                []byte // with what we put on top
	envelope, structure sexp
}

// TestRealMessages: 400 messages as people and spammers wrote them, in by SMTP, out by IMAP, not a byte different; and
// ENVELOPE and BODYSTRUCTURE as two other programs understand them.
func TestRealMessages(t *testing.T) {
	s := system.Start(t, system.Options{})
	messages := corpus(t)
	sendAll(t, s, s.Alice.Address, messages)
	s.Await(t, s.Alice, "INBOX", len(messages))

	byText := map[string]string{}
	for _, m := range messages {
		byText[string(m.text)] = m.name
	}
	if len(byText) != len(messages) {
		t.Fatal("the sample has doubles: they cannot be told apart")
	}
	c := dialIMAPS(t, s, s.Alice)
	c.do("EXAMINE INBOX")
	var all []stored
	for seq, items := range c.fetch("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[])") {
		body := []byte(items["BODY[]"].text)
		name, sent := byText[string(stripDelivery(t, body))]
		if !sent {
			t.Errorf("message %d is none that was sent: %.300q", seq, body)
			continue
		}
		delete(byText, string(stripDelivery(t, body)))
		all = append(all, stored{name, body, items["ENVELOPE"], items["BODYSTRUCTURE"]})
	}
	for _, name := range byText {
		t.Errorf("%s did not come out as it went in", name)
	}
	t.Run("Library", func(t *testing.T) { compareWithLibrary(t, all) })
	t.Run("Dovecot", func(t *testing.T) { compareWithDovecot(t, all) })
}
