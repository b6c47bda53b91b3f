package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// finder finds what its query asks for.
type finder struct{ API }

func (finder) SearchMail(ctx context.Context, q MailQuery, each func(Found) error) error {
	for i := range uint32(10_000) {
		if err := each(Found{Mailbox: q.Mailbox, Message: Message{UID: i}}); err != nil {
			return err
		}
		switch {
		case q.Criteria == "fail" && i == 5000:
			return Errorf(Invalid, "half way")
		case q.Criteria == "panic" && i == 5000:
			panic("half way")
		}
	}
	return ctx.Err()
}

// A stream arrives whole, or ends with the reason why it did not; who has seen enough ends it.
func TestStream(t *testing.T) {
	c := serve(t, filepath.Join(t.TempDir(), "run"), finder{})
	enough := errors.New("enough")
	for _, x := range []struct {
		criteria string
		stop     int
		want     int
		err      string
	}{
		{"all", 0, 10_000, ""},
		{"fail", 0, 5001, "half way"},
		{"panic", 0, 5001, "the operation failed: half way"},
		{"all", 7, 7, "enough"},
		{"all", 0, 10_000, ""}, // and goes on being served
	} {
		n := 0
		err := c.SearchMail(t.Context(), MailQuery{Mailbox: "INBOX", Criteria: x.criteria}, func(f Found) error {
			if f.UID != uint32(n) || f.Mailbox != "INBOX" {
				t.Fatalf("%+v after %d", f, n)
			}
			if n++; n == x.stop {
				return enough
			}
			return nil
		})
		if got := errorText(err); n != x.want || got != x.err {
			t.Errorf("%s: %d, %q; want %+v", x.criteria, n, got, x)
		}
	}
}

// checker finds one thing, and then looks for another for ever.
type checker struct {
	API
	ended chan struct{}
}

func (c checker) Check(ctx context.Context, _ CheckQuery, each func(CheckEvent) error) error {
	defer close(c.ended)
	if err := each(CheckEvent{Fault: &Fault{Kind: "x"}}); err != nil {
		return err
	}
	<-ctx.Done()
	return Errorf(Unavailable, "ended")
}

// A check's finds are seen as it makes them, and it ends with the server or with who asked for it.
func TestCheckIsLiveAndEnds(t *testing.T) {
	for _, end := range []string{"server", "client"} {
		api := checker{ended: make(chan struct{})}
		s, err := Listen(filepath.Join(t.TempDir(), "run"), api, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Dial(t.Context(), filepath.Dir(s.path))
		if err != nil {
			t.Fatal(err)
		}
		enough := errors.New("enough")
		closed := make(chan error, 1)
		err = c.Check(t.Context(), CheckQuery{}, func(e CheckEvent) error {
			if e.Fault == nil || e.Fault.Kind != "x" {
				t.Errorf("%+v", e)
			}
			if end == "client" {
				return enough
			}
			go func() { closed <- s.Close(context.Background()) }()
			return nil
		})
		<-api.ended
		c.Close()
		if end == "client" {
			if !errors.Is(err, enough) {
				t.Error(err)
			}
			closed <- s.Close(t.Context())
		} else if KindOf(err) != Unavailable {
			t.Error(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// An answer that ends too early is not taken for a whole one.
func TestStreamCutShort(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"item":{"mailbox":"INBOX","uid":1}}`+"\n"+`{"item":{"mai`)
	}))
	defer s.Close()
	c := &Client{http: &http.Client{Transport: redirect{s.Listener.Addr().String()}}}
	n := 0
	err := c.SearchMail(t.Context(), MailQuery{}, func(Found) error { n++; return nil })
	if KindOf(err) != Unavailable || !strings.Contains(errorText(err), "cut short") || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// redirect sends every request to one address.
type redirect struct{ addr string }

func (r redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	req.URL.Host = r.addr
	return http.DefaultTransport.RoundTrip(req)
}
