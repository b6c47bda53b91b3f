package nexthops

import (
	"crypto/tls"
	"fmt"
	"net/smtp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/postrider/postrider/test/interop/system"
)

// TestNextHops is one test, since all of it shares the running systems.
func TestNextHops(t *testing.T) {
	p := newPlace(t)
	peers := []peer{p.startPostfix(t), p.startExim(t), p.startOpenSMTPD(t)}
	transports, policies := "", ""
	for _, x := range peers {
		hop := "[127.0.0.1]:" + x.port()
		transports += fmt.Sprintf("%s=smtp:%s, ", x.domain, hop)
		if x.tls {
			policies += fmt.Sprintf("{%s=fingerprint match=%s}, ", hop, p.print)
		}
	}
	s := system.Start(t, system.Options{Set: []string{
		`listeners.smtp.addresses=["127.0.0.1:` + p.rider + `"]`, `log.format="text"`, `mta.retry=["1s"]`,
		`routing.transport_maps=["inline:{` + strings.TrimSuffix(transports, ", ") + `}"]`,
		`mta.smtp_tls_policy_maps=["inline:{` + strings.TrimSuffix(policies, ", ") + `}"]`,
		`mta.smtp_sasl_password_maps=["inline:{[127.0.0.1]:` + peers[1].port() + `=rider:pencil}"]`,
	}})
	for i, x := range peers {
		t.Run("to "+x.name, func(t *testing.T) {
			token := fmt.Sprintf("token%dto", i)
			text := letter(s.Alice.Address, "bob@"+x.domain, token)
			submit(t, s, "bob@"+x.domain, text)
			got := p.sink.mail(t, token)
			if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != bodyOf(text) {
				t.Errorf("the body has changed: %.300q", body)
			}
			if x.tls && !strings.Contains(got, "TLS") {
				t.Errorf("%s does not tell of TLS: %.1500s", x.name, got)
			}
			if log := s.Log(1 << 20); strings.Contains(log, `msg="TLS failed; the connection is made again in the clear" component=mta relay=127.0.0.1[127.0.0.1]:`+x.port()) == x.tls {
				t.Errorf("%s: %s", x.name, log)
			}
		})
		t.Run("from "+x.name, func(t *testing.T) {
			token := fmt.Sprintf("token%dfrom", i)
			text := letter("carl@"+x.domain, s.Alice.Address, token)
			inject(t, x, "carl@"+x.domain, s.Alice.Address, text)
			s.Await(t, s.Alice, "INBOX", i+1)
			got := newest(t, s.IMAP(t, s.Alice), token)
			if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != bodyOf(text) {
				t.Errorf("the body has changed: %.300q", body)
			}
			if !strings.Contains(got, "ESMTPS id") && !strings.Contains(got, "UTF8SMTPS id") {
				t.Errorf("no TLS from %s: %.1500s", x.name, got)
			}
		})
	}
}

func (x peer) port() string { return x.address[strings.LastIndexByte(x.address, ':')+1:] }

// letter has what is easily damaged: dots, 8-bit text, long lines, white space at the ends.
func letter(from, to, token string) string {
	return "From: " + from + "\r\nTo: " + to + "\r\nSubject: " + token + "\r\nDate: Sun, 01 Nov 2026 10:00:00 +0000\r\nMessage-ID: <" + token + "@here.example>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
		".a dot\r\n..\r\n.\r\nGrüße, 日本語\r\n" + strings.Repeat("x", 990) + "\r\nFrom here\r\nblanks  \r\n\r\nend\r\n"
}

func bodyOf(text string) string {
	_, body, _ := strings.Cut(text, "\r\n\r\n")
	return body
}

// submit sends as Alice.
func submit(t *testing.T, s *system.System, to, text string) {
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
	send(t, c, s.Alice.Address, to, text)
}

// inject gives a message to a peer, under TLS if that works.
func inject(t *testing.T, x peer, from, to, text string) {
	t.Helper()
	c, err := smtp.Dial(x.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if x.tls {
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
			t.Fatal(err)
		}
	}
	send(t, c, from, to, text)
}

func send(t *testing.T, c *smtp.Client, from, to, text string) {
	t.Helper()
	if err := c.Mail(from); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write([]byte(text)); err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Quit()
}

// newest is the message that has a token.
func newest(t *testing.T, c *imapclient.Client, token string) string {
	t.Helper()
	for _, b := range system.Bodies(t, c, "INBOX") {
		if strings.Contains(string(b), token) {
			return string(b)
		}
	}
	t.Fatalf("no message with %s", token)
	return ""
}
