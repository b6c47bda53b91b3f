package policy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server answers each request with what say makes of it; say's false closes the connection.
type server struct {
	net.Listener
	connections atomic.Int64
	requests    atomic.Int64
}

func serve(t *testing.T, say func(n int64, request map[string]string) (answer string, goOn bool)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			group.Go(func() {
				defer c.Close()
				request := map[string]string{}
				for in := bufio.NewScanner(c); in.Scan(); {
					if name, value, ok := strings.Cut(in.Text(), "="); ok {
						request[name] = value
						continue
					}
					answer, goOn := say(s.requests.Add(1), request)
					if _, err := io.WriteString(c, answer); err != nil || !goOn {
						return
					}
					request = map[string]string{}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
	return s
}

func (s *server) client(t *testing.T, change func(*Options)) *Client {
	o := Options{Network: "tcp", Address: s.Addr().String(), Timeout: 5 * time.Second, RetryDelay: time.Millisecond, Tries: 2, MaxIdle: time.Minute, MaxTTL: time.Hour, Connections: 10}
	if change != nil {
		change(&o)
	}
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

var request = []Attribute{{"request", "smtpd_access_policy"}, {"sender", "a@b\nrecipient=x"}, {"size", "1"}}

func TestReuse(t *testing.T) {
	s := serve(t, func(n int64, r map[string]string) (string, bool) {
		if r["sender"] != "a@b?recipient=x" || r["recipient"] != "" || len(r) != 3 {
			t.Errorf("the request: %v", r)
		}
		return fmt.Sprintf("action=DEFER_IF_PERMIT number %d\n\n", n), true
	})
	for _, c := range []struct {
		limit       int
		connections int64
	}{{0, 1}, {2, 4}} { // 1, then 3 more
		client := s.client(t, func(o *Options) { o.Requests = c.limit })
		for range 5 {
			action, err := client.Ask(t.Context(), request)
			if err != nil || !strings.HasPrefix(action, "DEFER_IF_PERMIT number ") {
				t.Fatal(action, err)
			}
		}
		if n := s.connections.Load(); n != c.connections {
			t.Errorf("limit %d: %d connections, want %d", c.limit, n, c.connections)
		}
	}
}

// A server that closes after each answer, as spawned programs do, costs no attempt and no pause.
func TestServerThatCloses(t *testing.T) {
	s := serve(t, func(int64, map[string]string) (string, bool) { return "action=DUNNO\n\n", false })
	c := s.client(t, func(o *Options) { o.Tries, o.RetryDelay = 1, time.Hour })
	for range 5 {
		if action, err := c.Ask(t.Context(), request); err != nil || action != "DUNNO" {
			t.Fatal(action, err)
		}
	}
}

func TestSecondAttempt(t *testing.T) {
	s := serve(t, func(n int64, _ map[string]string) (string, bool) {
		if n == 1 {
			return "", false
		}
		return "action=OK\n\n", true
	})
	if action, err := s.client(t, nil).Ask(t.Context(), request); err != nil || action != "OK" {
		t.Error(action, err)
	}
}

func TestUnusable(t *testing.T) {
	for _, answer := range []string{"", "\n", "rubbish\n\n", "action=\n\n", "action=OK\naction=REJECT\n\n", "action=OK\n", "result=OK\n\n", "action=OK\n\naction=OK\n\n",
		"action=" + strings.Repeat("x", maxLine) + "\n\n", strings.Repeat("a=b\n", maxLines+1) + "action=OK\n\n"} {
		s := serve(t, func(int64, map[string]string) (string, bool) { return answer, false })
		if action, err := s.client(t, nil).Ask(t.Context(), request); err == nil {
			t.Errorf("%.40q: %q", answer, action)
		}
		if n := s.requests.Load(); n != 2 {
			t.Errorf("%.40q: %d attempts", answer, n)
		}
	}
	s := serve(t, func(int64, map[string]string) (string, bool) {
		return "action = x\nreason=y\naction=PREPEND X: =y\r\n\r\n", false
	})
	if action, err := s.client(t, nil).Ask(t.Context(), request); err != nil || action != "PREPEND X: =y" {
		t.Error(action, err)
	}
}

func TestHang(t *testing.T) {
	forever := make(chan struct{})
	s := serve(t, func(int64, map[string]string) (string, bool) { <-forever; return "", false })
	defer close(forever)
	c := s.client(t, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	if action, err := c.Ask(t.Context(), request); err == nil {
		t.Error(action)
	}
	if n := s.requests.Load(); n != 2 {
		t.Errorf("%d attempts", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	patient := s.client(t, func(o *Options) { o.Timeout = time.Hour })
	if _, err := patient.Ask(ctx, request); err == nil {
		t.Error("an answer of a server that hangs")
	}
	// All connections in use: who asks waits, as long as it likes.
	full := s.client(t, func(o *Options) { o.Connections = 0 })
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := full.Ask(ctx, request); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestIdleConnectionsClose(t *testing.T) {
	s := serve(t, func(int64, map[string]string) (string, bool) { return "action=OK\n\n", true })
	c := s.client(t, func(o *Options) { o.MaxIdle = 5 * time.Millisecond })
	if _, err := c.Ask(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		c.mu.Lock()
		n := len(c.idle)
		c.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("an idle connection stays")
}

// FuzzAnswer: any bytes are an action that is in them, or an error; a request has as many lines as attributes.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, answer []byte) {
		action, started, err := read(bufio.NewReaderSize(bytes.NewReader(answer), maxLine))
		switch {
		case err != nil && action != "":
			t.Fatalf("%q and %v", action, err)
		case err == nil && (action == "" || !bytes.Contains(answer, []byte("action="))):
			t.Fatalf("%q is an action of %q", action, answer)
		case err == nil && strings.ContainsAny(action, "\n"), len(action) > maxLine:
			t.Fatalf("the action %q", action)
		case started != (len(answer) > 0):
			t.Fatal("started")
		}
		var b bytes.Buffer
		if err := write(bufio.NewWriter(&b), []Attribute{{"name", string(answer)}, {string(answer), "value"}}); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b.Bytes(), []byte("\n")); n != 3 || bytes.IndexByte(b.Bytes(), 0) >= 0 {
			t.Fatalf("%d lines: %q", n, b.Bytes())
		}
	})
}
