package differential

import (
	"context"
	"io"
	"net"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// sinks take whatever is sent to them, on a port for each way that mail can go, and remember it by the token in its subject.
type sinks struct {
	mu    sync.Mutex
	got   map[string][]string // token → "way <from> <to>"
	ports map[string]string   // way → port
}

// ways are the ends of the routes of the sites.
var ways = [...]string{"box", "relay", "other", "special", "smart"}

func newSinks(t *testing.T) *sinks {
	t.Helper()
	s := &sinks{got: map[string][]string{}, ports: map[string]string{}}
	for _, way := range ways {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, s.ports[way], _ = net.SplitHostPort(l.Addr().String())
		server := smtp.NewServer(&smtp.Config{Hostname: "sink." + way, Backend: sink{s, way}, Limits: smtp.Limits{PerAddress: 1000, Messages: 1 << 30, Commands: 1 << 30}})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = server.Serve(ctx, l, smtp.TLSStart) }()
		t.Cleanup(func() {
			cancel()
			end, stop := context.WithTimeout(context.Background(), time.Second)
			defer stop()
			_ = server.Shutdown(end) // what Postfix holds open is cut off
			<-done
		})
	}
	return s
}

// of returns what came of a token, sorted.
func (s *sinks) of(token string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append([]string{}, s.got[token]...)
	sort.Strings(list)
	return list
}

// count is how much has arrived.
func (s *sinks) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.got {
		n += len(list)
	}
	return n
}

type sink struct {
	*sinks
	way string
}

func (s sink) Connect(context.Context, *smtp.Peer) (smtp.Session, error) { return s, nil }

func (sink) Hello(context.Context) error { return nil }

func (sink) Mail(context.Context, *envelope.Envelope) error { return nil }

func (sink) Rcpt(context.Context, *envelope.Envelope, *envelope.Recipient) error { return nil }

func (sink) Ready(context.Context, *envelope.Envelope) error { return nil }

func (sink) Reset(context.Context) {}

func (sink) Close(smtp.Stats) {}

var tokens = regexp.MustCompile(`(?m)^Subject: token-([a-z0-9-]+)-end`)

func (s sink) Data(_ context.Context, e *envelope.Envelope, body io.Reader) (string, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	token := "none"
	if m := tokens.FindSubmatch(text); m != nil {
		token = string(m[1])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range e.Recipients {
		s.got[token] = append(s.got[token], strings.Join([]string{s.way, "<" + e.From.String() + ">", "<" + r.To.String() + ">"}, " "))
	}
	return "Ok", nil
}
