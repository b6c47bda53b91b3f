package milter

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gomilter "github.com/emersion/go-milter"
	"github.com/postrider/postrider/test/interop/system"
)

// recorder is a filter by another's library, that writes down what it hears and does what the subject says.
type recorder struct {
	gomilter.NoOpMilter
	log     *journal
	subject string
	body    strings.Builder
}

type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := strings.Join(j.lines, "\n")
	j.lines = nil
	return s
}

func (r *recorder) Connect(host, family string, _ uint16, addr net.IP, m *gomilter.Modifier) (gomilter.Response, error) {
	r.log.add("connect %s %s %s j=%s", host, family, addr, m.Macros["j"])
	return gomilter.RespContinue, nil
}

func (r *recorder) Helo(name string, _ *gomilter.Modifier) (gomilter.Response, error) {
	r.log.add("helo %s", name)
	return gomilter.RespContinue, nil
}

func (r *recorder) MailFrom(from string, m *gomilter.Modifier) (gomilter.Response, error) {
	r.log.add("mail %s i=%t mail_addr=%s", from, m.Macros["i"] != "", m.Macros["{mail_addr}"])
	if from == "refused@far.example" {
		return gomilter.NewResponseStr('y', "550 5.7.1 not you"), nil
	}
	return gomilter.RespContinue, nil
}

func (r *recorder) RcptTo(to string, _ *gomilter.Modifier) (gomilter.Response, error) {
	r.log.add("rcpt %s", to)
	return gomilter.RespContinue, nil
}

func (r *recorder) Header(name, value string, _ *gomilter.Modifier) (gomilter.Response, error) {
	r.log.add("header %s: %s", name, value)
	if name == "Subject" {
		r.subject = value
	}
	return gomilter.RespContinue, nil
}

func (r *recorder) Headers(textproto.MIMEHeader, *gomilter.Modifier) (gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

func (r *recorder) BodyChunk(chunk []byte, _ *gomilter.Modifier) (gomilter.Response, error) {
	r.body.Write(chunk)
	return gomilter.RespContinue, nil
}

func (r *recorder) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	r.log.add("body %d", r.body.Len())
	r.body.Reset()
	switch r.subject {
	case "all and hold":
		return gomilter.RespAccept, errors.Join(m.ReplaceBody([]byte("another body\r\n")), m.AddHeader("X-Added", strings.Repeat("long ", 10_000)), m.Quarantine("odd"))
	case "all":
		return gomilter.RespAccept, errors.Join(m.AddHeader("X-Added", "1"), m.InsertHeader(1, "X-First", "2"), m.ChangeHeader(1, "Subject", "changed"),
			m.ChangeHeader(1, "X-Remove", ""), m.ReplaceBody([]byte("another body\r\n")), m.AddRecipient("bob@here.example"),
			m.DeleteRecipient("alice@here.example"), m.ChangeFrom("list-owner@far.example"))
	case "hold":
		return gomilter.RespAccept, m.Quarantine("odd")
	case "discard":
		return gomilter.RespDiscard, nil
	case "later":
		return gomilter.RespTempFail, nil
	}
	return gomilter.RespAccept, nil
}

func (r *recorder) Abort(*gomilter.Modifier) error { return nil }

// A message that a filter has changed survives a power cut, with the change.
func TestChangedMessageSurvives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &gomilter.Server{NewMilter: func() gomilter.Milter { return &recorder{log: &journal{}} }, Actions: gomilter.OptAddHeader | gomilter.OptChangeBody | gomilter.OptQuarantine}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	set := []string{fmt.Sprintf("filters.smtpd_milters=[%q]", "inet:"+l.Addr().String())}
	s := system.Start(t, system.Options{Set: set})
	swaks(t, s, "smtp", sent, "--from", "a@far.example", "--to", s.Alice.Address, "--data",
		"@"+write(t, filepath.Join(t.TempDir(), "m"), "Subject: all and hold\n\n"+strings.Repeat("line\n", 100_000)))
	s.Kill(t)
	s = system.Start(t, system.Options{Set: set, Dir: s.Dir})
	system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"queue", "release", "--all", "--dir", s.Dir}})
	text := last(t, s, s.Alice, "INBOX", 1)
	contains(t, text, "Subject: all and hold\r\nX-Added: long long", "long \r\n\r\nanother body\r\n")
	if strings.Contains(text, "line\r\n") || len(text) > 60_000 {
		t.Errorf("%d bytes", len(text))
	}
}

// A filter made with another's library hears each stage as it should and has each modification done.
func TestSecondOpinion(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &journal{}
	server := &gomilter.Server{NewMilter: func() gomilter.Milter { return &recorder{log: log} },
		Actions: gomilter.OptAddHeader | gomilter.OptChangeBody | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt | gomilter.OptChangeHeader |
			gomilter.OptQuarantine | gomilter.OptChangeFrom}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf("filters.smtpd_milters=[%q]", "inet:"+l.Addr().String())}})
	send := func(code int, from, subject string) string {
		return swaks(t, s, "smtp", code, "--from", from, "--to", s.Alice.Address, "--data", "From: a@far.example\nX-Remove: me\nSubject: "+subject+"\n\nbody\n")
	}

	send(sent, "a@far.example", "plain")
	contains(t, last(t, s, s.Alice, "INBOX", 1), "Subject: plain", "\r\n\r\nbody\r\n")
	contains(t, log.take(), "connect [127.0.0.1] tcp4 127.0.0.1 j="+s.Hostname, "helo client.far.example", "mail a@far.example i=true mail_addr=a@far.example",
		"rcpt "+s.Alice.Address, "header From: a@far.example", "header Subject: plain", "body 8")

	// Who does not exist is refused, and the filter does not hear of them.
	swaks(t, s, "smtp", 24, "--from", "a@far.example", "--to", "nobody-here@"+strings.SplitN(s.Alice.Address, "@", 2)[1])
	if heard := log.take(); strings.Contains(heard, "nobody-here") {
		t.Errorf("a refused recipient was told: %s", heard)
	}

	send(sent, "a@far.example", "all")
	text := last(t, s, s.Bob, "INBOX", 1)
	contains(t, text, "Return-Path: <list-owner@far.example>", "\r\nX-First: 2\r\nFrom: a@far.example\r\nSubject: changed\r\nX-Added: 1\r\n\r\nanother body\r\n")
	if strings.Contains(text, "X-Remove") {
		t.Errorf("a field stayed: %s", text)
	}
	contains(t, send(23, "refused@far.example", "x"), "<** 550 5.7.1 not you")
	contains(t, send(refused, "a@far.example", "later"), "<** 451 4.7.1 Service unavailable - try again later")
	send(sent, "a@far.example", "discard")
	send(sent, "a@far.example", "hold")
	out := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"queue", "list", "--json", "--dir", s.Dir}}).Stdout
	contains(t, out, "hold", "odd")
	if n := system.Count(t, s.IMAP(t, s.Alice), "INBOX"); n != 1 {
		t.Errorf("%d messages for alice", n)
	}

	// What the filter does not see does not pass.
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	out = swaks(t, s, "smtp", 21, "--from", "a@far.example", "--to", s.Alice.Address)
	contains(t, out, "451 4.7.1 Service unavailable - try again later")

	// What was changed is sound on the disk: the record has the client's bytes and the new body.
	s.Stop(t)
	contains(t, system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"check", "--dir", s.Dir}}).All(), "Nothing is wrong.")
}
