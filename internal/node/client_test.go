package node

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// talk is a hand-driven client of a line protocol.
type talk struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func dialTalk(t testing.TB, n *Node, service string) *talk {
	t.Helper()
	c, err := net.Dial("tcp", n.Addresses()[service].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	k := &talk{t, c, bufio.NewReader(c)}
	return k
}

// secure turns the connection to TLS.
func (k *talk) secure() *talk {
	k.t.Helper()
	c := tls.Client(k.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		k.t.Fatal(err)
	}
	k.Conn, k.in = c, bufio.NewReader(c)
	return k
}

// line reads one line, without its end; "" when there is no more.
func (k *talk) line() string {
	k.t.Helper()
	s, err := k.in.ReadString('\n')
	if err != nil && s == "" {
		return ""
	}
	return strings.TrimRight(s, "\r\n")
}

// until reads up to a line that begins so and returns it.
func (k *talk) until(prefix string) string {
	k.t.Helper()
	var seen []string
	for {
		s := k.line()
		if strings.HasPrefix(s, prefix) {
			return s
		}
		if s == "" {
			k.t.Fatalf("no line with %q after %q", prefix, seen)
		}
		seen = append(seen, s)
	}
}

// say sends a line, and returns the reply that begins so.
func (k *talk) say(line, want string) string {
	k.t.Helper()
	if _, err := fmt.Fprintf(k, "%s\r\n", line); err != nil {
		k.t.Fatal(err)
	}
	return k.until(want)
}

// submission is what a user's program needs to send.
type submission struct {
	service        string // "submission" or "submissions"
	user, password string
}

// submit sends a message as a user; the error is the first failure.
func submit(t testing.TB, n *Node, s submission, from, to, message string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := net.Dial("tcp", n.Addresses()[s.service].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	insecure := &tls.Config{InsecureSkipVerify: true}
	if s.service == "submissions" {
		conn = tls.Client(conn, insecure)
	}
	c := smtp.NewClient(conn, smtp.ClientOptions{Hello: "laptop.here.example"})
	if err := c.Hello(ctx); err != nil {
		return err
	}
	if s.service != "submissions" {
		if err := c.StartTLS(ctx, insecure); err != nil {
			return err
		}
	}
	if s.user != "" {
		if err := c.Auth(ctx, sasl.Credentials{Name: s.user, Password: s.password}); err != nil {
			return err
		}
	}
	e := &envelope.Envelope{From: mustAddress(t, from)}
	for one := range strings.SplitSeq(to, ",") {
		e.Recipients = append(e.Recipients, envelope.Recipient{To: mustAddress(t, one)})
	}
	out, err := c.Send(ctx, &smtp.Outgoing{Envelope: e, Body: strings.NewReader(message), Size: int64(len(message))})
	for _, o := range out {
		if err == nil && !o.Accepted() {
			err = fmt.Errorf("%s: %s", o.Phase, o.Reply)
		}
	}
	if err != nil {
		return err
	}
	return c.Quit(ctx)
}

func mustAddress(t testing.TB, s string) address.Address {
	t.Helper()
	if s == "" {
		return address.Address{}
	}
	a, err := address.Parse(s, true)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// logBuffer takes a log and hands it out while it grows.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
