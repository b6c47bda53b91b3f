package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake answers the calls that the tests make; the others are those of a nil API and would panic.
type fake struct {
	API
	err error
}

func (f fake) Domain(_ context.Context, name string) (Domain, error) {
	return Domain{Name: name}, f.err
}
func (f fake) Domains(context.Context) ([]Domain, error)  { return []Domain{}, f.err }
func (f fake) RemoveDomain(context.Context, string) error { return f.err }
func (f fake) AddAccount(_ context.Context, a NewAccount) (Account, error) {
	return Account{Address: a.Address, Quota: int64(len(a.Password))}, f.err
}

// text is a message of which the store has only a part.
type text struct {
	io.Reader
	size int64
}

func (t text) Size() int64 { return t.size }
func (text) Close() error  { return nil }

func (f fake) Message(_ context.Context, m MessageID) (io.ReadCloser, error) {
	return text{strings.NewReader("Subject: x\r\n\r\nx\r\n"), int64(m.UID)}, f.err
}

func serve(t *testing.T, dir string, api API) *Client {
	t.Helper()
	s, err := Listen(dir, api, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := Dial(context.Background(), dir); !errors.Is(err, ErrNoServer) {
			t.Errorf("after the end: %v", err)
		}
	})
	return c
}

func TestCallsCrossTheSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c := serve(t, dir, fake{})
	if d, err := c.Domain(t.Context(), "bücher.example"); err != nil || d.Name != "bücher.example" {
		t.Errorf("%+v, %v", d, err)
	}
	if list, err := c.Domains(t.Context()); err != nil || list == nil || len(list) != 0 {
		t.Errorf("an empty list: %v, %v", list, err)
	}
	if a, err := c.AddAccount(t.Context(), NewAccount{Address: "a@b.example", Password: "12345"}); err != nil || a.Quota != 5 {
		t.Errorf("%+v, %v", a, err)
	}
	if err := c.RemoveDomain(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	m, err := c.Message(t.Context(), MessageID{UID: 17})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(m); err != nil || string(got) != "Subject: x\r\n\r\nx\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	m.Close()
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAMessageCutShortIsAnError(t *testing.T) {
	c := serve(t, t.TempDir(), fake{})
	m, err := c.Message(t.Context(), MessageID{UID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := io.ReadAll(m); err == nil {
		t.Fatal("nobody noticed")
	}
}

func TestErrorsCrossTheSocket(t *testing.T) {
	for _, kind := range []Kind{NotFound, Exists, InUse, Invalid, Temporary, Unavailable, Denied, Internal} {
		c := serve(t, t.TempDir(), fake{err: Errorf(kind, "words about ä")})
		_, err := c.Domain(t.Context(), "x")
		if KindOf(err) != kind || err.Error() != "words about ä" {
			t.Errorf("%s: %s %v", kind, KindOf(err), err)
		}
	}
	c := serve(t, t.TempDir(), fake{err: errors.New("no kind")})
	if err := c.RemoveDomain(t.Context(), "x"); KindOf(err) != Internal || err.Error() != "no kind" {
		t.Errorf("%v", err)
	}
}

// An operation that fails in an unforeseen way is an error; the server goes on.
func TestPanicIsAnError(t *testing.T) {
	c := serve(t, t.TempDir(), fake{})
	if _, err := c.QueueStats(t.Context()); KindOf(err) != Internal {
		t.Errorf("%v", err)
	}
	if _, err := c.Domain(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func TestBadCalls(t *testing.T) {
	c := serve(t, t.TempDir(), fake{})
	for name, arg := range map[string]any{
		"no-such-operation": nil,
		"../v1/domain":      "x",
		"domain":            map[string]int{"a": 1},
		"account-add":       map[string]string{"adress": "a@b.example"},
	} {
		if _, err := c.post(t.Context(), name, arg); KindOf(err) != NotFound && KindOf(err) != Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.post(t.Context(), "domain", strings.Repeat("x", maxArgument)); KindOf(err) != Invalid && KindOf(err) != Unavailable {
		t.Errorf("a body without bounds: %v", err)
	}
	resp, err := c.http.Get("http://admin/v1/domains")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("GET: %s", resp.Status)
	}
}

func TestSocketWithALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	c := serve(t, dir, fake{})
	if _, err := c.Domain(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
}

func TestSocketLeftBehind(t *testing.T) {
	dir := t.TempDir()
	l, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // as a killed process leaves it
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoServer) {
		t.Fatalf("%v", err)
	}
	serve(t, dir, fake{})
}

// Every method of API is an operation, and nothing else is.
func TestEveryMethodIsAnOperation(t *testing.T) {
	methods := reflect.TypeFor[API]().NumMethod()
	if n := len(operations()); n != methods {
		t.Errorf("%d operations for %d methods: %v", n, methods, slices.Sorted(maps.Keys(operations())))
	}
}
