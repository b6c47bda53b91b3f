package metrics

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"testing"
	"time"

	server "github.com/emersion/go-smtp"

	"github.com/postrider/postrider/test/interop/system"
)

// sink is a next hop: never@ does not exist there, later@ has no room, all others get their mail.
type sink struct{}

func (sink) NewSession(*server.Conn) (server.Session, error) { return sink{}, nil }
func (sink) Reset()                                          {}
func (sink) Logout() error                                   { return nil }
func (sink) Mail(string, *server.MailOptions) error          { return nil }

func (sink) Rcpt(to string, _ *server.RcptOptions) error {
	switch local, _, _ := strings.Cut(to, "@"); local {
	case "never":
		return &server.SMTPError{Code: 550, EnhancedCode: server.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case "later":
		return &server.SMTPError{Code: 452, EnhancedCode: server.EnhancedCode{4, 2, 2}, Message: "mailbox full"}
	}
	return nil
}

func (sink) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

type running struct{ *system.System }

// traffic starts a system and sends mail until every metric has happened.
func traffic(t *testing.T) running {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	next := server.NewServer(sink{})
	next.Domain = "sink.example"
	go next.Serve(l)
	t.Cleanup(func() { next.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := running{system.Start(t, system.Options{Set: []string{`submission.trusted_networks=["127.0.0.1"]`, `mta.smart_host.host="[127.0.0.1]"`,
		"mta.smart_host.port=" + port, `mta.smart_host.tls="none"`}})}
	for _, to := range []string{"there@far.example", "later@far.example", "never@far.example", s.Alice.Address} {
		if err := send(s.Listeners["submission"], s.Alice.Address, to); err != nil {
			t.Fatal(to, err)
		}
	}
	if err := send(s.Listeners["smtp"], "x@far.example", "x@other.example"); err == nil {
		t.Fatal("relayed for a stranger")
	}
	s.Await(t, s.Alice, "INBOX", 2) // the second is the notification about never@
	for end := time.Now().Add(20 * time.Second); !strings.Contains(s.page(t), "postrider_deferrals_total{"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was deferred")
		}
	}
	return s
}

// send is a message in the clear.
func send(addr, from, to string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "From: "+from+"\r\nSubject: x\r\n\r\nx\r\n"); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

// page is /metrics.
func (s running) page(t *testing.T) string {
	t.Helper()
	r, err := http.Get("http://" + s.Listeners["http"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = errors.New(r.Status)
	}
	if err != nil {
		t.Fatal(err, string(bytes.TrimSpace(b)))
	}
	return string(b)
}
