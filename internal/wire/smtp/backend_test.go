package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

// backend is a Backend that judges by local parts and remembers what it took.
type backend struct {
	mu      sync.Mutex
	got     []message
	stats   []Stats
	resets  int
	peers   []*Peer
	connect func(*Peer) error
	data    func(io.Reader) error // nil: read all
}

type message struct {
	env  envelope.Envelope
	body string
	peer Peer
}

type backendSession struct {
	b *backend
	p *Peer
}

func (b *backend) Connect(_ context.Context, p *Peer) (Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers = append(b.peers, p)
	if b.connect != nil {
		if err := b.connect(p); err != nil {
			return nil, err
		}
	}
	return &backendSession{b, p}, nil
}

func (s *backendSession) Hello(context.Context) error { return nil }

func (s *backendSession) Mail(_ context.Context, e *envelope.Envelope) error {
	switch e.From.Local {
	case "refused":
		return status.Perm(550, 7, 1, "Not from you,\nand not in two lines").With("mail", errors.New("secret"))
	case "broken":
		return errors.New("a secret of the database")
	}
	return nil
}

func (s *backendSession) Rcpt(_ context.Context, _ *envelope.Envelope, r *envelope.Recipient) error {
	switch r.To.Local {
	case "unknown":
		return status.Perm(550, 1, 1, "No such user")
	case "full":
		return status.ErrQuota
	case "panic":
		panic("a bug")
	}
	return nil
}

func (s *backendSession) Data(_ context.Context, e *envelope.Envelope, body io.Reader) (string, error) {
	if e.Recipients[0].To.Local == "early" {
		return "", status.ErrNoSpace
	}
	if s.b.data != nil {
		return "", s.b.data(body)
	}
	all, err := io.ReadAll(body)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.got = append(s.b.got, message{*e, string(all), *s.p})
	each, failed := make(RecipientErrors, len(e.Recipients)), false
	for i, r := range e.Recipients {
		if r.To.Local == "late" {
			each[i], failed = status.ErrQuota, true
		}
	}
	text := fmt.Sprintf("Ok: %s %s %.300q", s.p.Protocol(e.UTF8), describe(e), all)
	if failed {
		return text, each
	}
	return text, nil
}

func describe(e *envelope.Envelope) string {
	text := e.From.Path()
	if e.Ret != 0 {
		text += fmt.Sprintf(" RET=%d", e.Ret)
	}
	if e.EnvID != "" {
		text += fmt.Sprintf(" ENVID=%q", e.EnvID)
	}
	text += " ->"
	for _, r := range e.Recipients {
		text += " " + r.To.Path()
		if r.Notify != 0 {
			text += fmt.Sprintf(" NOTIFY=%d", r.Notify)
		}
		if r.ORcpt != "" {
			text += fmt.Sprintf(" ORCPT=%q", r.ORcpt)
		}
	}
	return text
}

func (*backendSession) Ready(context.Context, *envelope.Envelope) error { return nil }

func (s *backendSession) Reset(context.Context) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.resets++
}

func (s *backendSession) Close(st Stats) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.stats = append(s.b.stats, st)
}

// Password and Keys make it an Authenticator with one user.
func (*backend) Password(_ context.Context, name, password string) (sasl.Identity, error) {
	if name == "user" && password == "pencil" {
		return sasl.Identity{Account: 7, Name: "user@example.test"}, nil
	}
	return sasl.Identity{}, sasl.ErrCredentials
}

func (*backend) Keys(ctx context.Context, name string) (sasl.Keys, sasl.Identity, error) {
	if name != "user" || !sasl.OriginOf(ctx).Remote.IsValid() {
		return sasl.Keys{}, sasl.Identity{}, sasl.ErrCredentials
	}
	k, err := sasl.DeriveKeys("pencil", []byte("saltsalt"), 4096)
	return k, sasl.Identity{Account: 7, Name: "user@example.test"}, err
}

// testServer makes a Server with small limits, shut down at the end of the test; name chooses a mode.
func testServer(t testing.TB, name string, b *backend, change func(*Config)) *Server {
	tlsConfig, _ := dialogue.TLS(t)
	c := &Config{Hostname: "mx.example.test", Backend: b, TLS: tlsConfig,
		Limits: Limits{MessageSize: 1000, Recipients: 3, Messages: 5, Errors: 10, Junk: 50, Drain: 5000}}
	c.Timeouts.Transaction = 14 * time.Minute
	switch {
	case strings.HasPrefix(name, "submission"):
		c.Auth = sasl.NewServer(b, sasl.Options{})
		c.RequireAuth = func(*Peer) error { return ErrAuthRequired }
	case strings.HasPrefix(name, "lmtp"):
		c.LMTP = true
	case strings.HasPrefix(name, "xclient"):
		trusted := netip.MustParsePrefix("192.0.2.0/24").Contains
		c.XClient, c.XForward = trusted, trusted
		c.Login = func(_ context.Context, name string) (sasl.Identity, error) {
			if name != "user" {
				return sasl.Identity{}, sasl.ErrCredentials
			}
			return sasl.Identity{Account: 7, Name: "user@example.test"}, nil
		}
	case strings.HasPrefix(name, "lax"):
		c.LaxNewlines = netip.MustParsePrefix("192.0.2.0/24").Contains
	}
	if change != nil {
		change(c)
	}
	s := NewServer(c)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
	})
	return s
}

func TestDialogues(t *testing.T) {
	dialogue.Files(t, "testdata/dialogue/*.txt", func(t *testing.T) func(net.Conn) {
		b := &backend{}
		name := t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]
		s := testServer(t, name, b, nil)
		t.Cleanup(func() {
			if len(b.peers) != len(b.stats) {
				t.Errorf("%d sessions, %d closed", len(b.peers), len(b.stats))
			}
			for _, m := range b.got {
				if strings.Contains(m.body, "evil") || m.env.From.Local == "evil" {
					t.Errorf("smuggled: %+v", m)
				}
			}
			if name == "lost" && len(b.got) != 0 {
				t.Errorf("half a message was taken: %+v", b.got)
			}
		})
		return func(c net.Conn) { s.ServeConn(context.Background(), c, TLSStart) }
	})
}
