package mta

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/internal/wire/smtp"
	"github.com/postrider/postrider/test/dialogue"
)

// relay is a real server of package smtp that takes mail from one user.
type relay struct {
	mu       sync.Mutex
	messages []string // "protocol recipients: body"
}

type relaySession struct {
	*relay
	p *smtp.Peer
}

func (r *relay) Connect(_ context.Context, p *smtp.Peer) (smtp.Session, error) {
	return &relaySession{r, p}, nil
}
func (s *relaySession) Hello(context.Context) error                    { return nil }
func (s *relaySession) Mail(context.Context, *envelope.Envelope) error { return nil }
func (s *relaySession) Rcpt(_ context.Context, e *envelope.Envelope, r *envelope.Recipient) error {
	if len(e.Recipients) == 2 {
		return status.Temp(452, 5, 3, "Two at a time")
	}
	if r.To.Local == "unknown" {
		return status.Perm(550, 1, 1, "No such user")
	}
	return nil
}
func (s *relaySession) Data(_ context.Context, e *envelope.Envelope, body io.Reader) (string, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, fmt.Sprintf("%s %d: %s", s.p.Protocol(e.UTF8), len(e.Recipients), b))
	return "Ok: taken", nil
}
func (*relaySession) Ready(context.Context, *envelope.Envelope) error { return nil }
func (s *relaySession) Reset(context.Context)                         {}
func (s *relaySession) Close(smtp.Stats)                              {}

func (r *relay) Password(_ context.Context, name, password string) (sasl.Identity, error) {
	if name != "user" || password != "pencil" {
		return sasl.Identity{}, sasl.ErrCredentials
	}
	return sasl.Identity{Account: 1, Name: "user@example.test"}, nil
}

func (r *relay) Keys(_ context.Context, name string) (sasl.Keys, sasl.Identity, error) {
	k, err := sasl.DeriveKeys("pencil", []byte("saltsalt"), 4096)
	return k, sasl.Identity{Account: 1, Name: name}, err
}

// TestRealServer goes over the loopback to Postrider's own server as smart host: STARTTLS verified, SCRAM, pipelining,
// chunking, a host that takes two recipients at a time.
func TestRealServer(t *testing.T) {
	server, client := dialogue.TLS(t, "relay.example")
	r := &relay{}
	s := smtp.NewServer(&smtp.Config{Hostname: "relay.example", Backend: r, TLS: server, Auth: sasl.NewServer(r, sasl.Options{}),
		RequireAuth: func(*smtp.Peer) error { return smtp.ErrAuthRequired }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(t.Context(), l, smtp.TLSStart) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
	}()

	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	body := strings.Repeat(".a line of the message\r\n", 20_000)
	a := New(Options{Source: &store{body: body}}, &Settings{Hello: "me.example", RootCAs: client.RootCAs, Idle: time.Minute,
		Resolver:  &zone{ip: map[string][]string{"relay.example": {"127.0.0.1"}}},
		SmartHost: SmartHost{Host: "relay.example", Port: port, User: "user", Password: "pencil", TLS: level("verify")}})
	defer a.Close()
	tk := task("a@example.com", "unknown@example.com", "b@example.net", "c@example.com", "d@example.com", "e@example.com")
	tk.Job.Message = recipe.Whole(recipe.BlobRef{Pack: 1, Length: int64(len(body))})
	relayed := 0
	for _, o := range a.Deliver(t.Context(), []*queue.Task{tk})[0] {
		switch {
		case o.Result == flow.Relayed && o.Relay == fmt.Sprintf("relay.example[127.0.0.1]:%d", port) && o.Reply == "250 2.0.0 Ok: taken":
			relayed++
		case o.Recipient == 1 && o.Result == flow.Failed && o.Reply == "550 5.1.1 No such user":
		default:
			t.Errorf("%+v", o)
		}
	}
	if relayed != 5 || len(r.messages) != 3 || r.messages[0] != "ESMTPSA 2: "+body {
		t.Errorf("%d relayed, %d messages", relayed, len(r.messages))
	}
}

func TestDialFromAnAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dial(t.Context(), netip.MustParseAddr("127.0.0.2"), l.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.LocalAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.2" {
		t.Error(got)
	}
	s := &Settings{SourceIPv4: netip.MustParseAddr("192.0.2.1")}
	if got, ok := s.source(nil, netip.MustParseAddr("192.0.2.9"), 0); !ok || got.Addr != s.SourceIPv4 {
		t.Error(got)
	}
	if got, ok := s.source(nil, netip.MustParseAddr("127.0.0.1"), 0); !ok || got.Addr.IsValid() {
		t.Errorf("from %v to the loopback", got)
	}
}
