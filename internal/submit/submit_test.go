package submit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
)

func head(to ...string) *Head {
	return &Head{Token: NewToken(time.Unix(1763786042, 0)), Sender: "alice", Name: "Alice Liddell", Recipients: to, Size: 5}
}

func TestHeadThereAndBack(t *testing.T) {
	full := head("bob@example.org", "carol", `"a b"@example.org`, "grün@example.org")
	full.Notify, full.Ret, full.EnvID, full.VERP = envelope.NotifyDelay|envelope.NotifySuccess, envelope.RetHeaders, "job 17", "-="
	null := head("bob")
	null.Sender, null.Name = "", ""
	for _, h := range []*Head{full, null} {
		if err := h.Check(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(strings.NewReader(string(h.Append(nil)) + "Hello"))
		back, err := ReadHead(r)
		rest, _ := io.ReadAll(r)
		if err != nil || !reflect.DeepEqual(back, h) || string(rest) != "Hello" {
			t.Fatalf("%+v, %v, then %q", back, err, rest)
		}
	}
}

func TestReadHeadRefuses(t *testing.T) {
	const token = "token 17-0123456789abcdef0123456789abcdef\n"
	ok := first + "\n" + token + "to a\nsize 1\n\n"
	if _, err := ReadHead(bufio.NewReader(strings.NewReader(ok))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":            "",
		"another version":  strings.Replace(ok, "submit 1", "submit 2", 1),
		"no end":           strings.TrimSuffix(ok, "\n"),
		"no token":         strings.Replace(ok, token, "", 1),
		"no recipient":     strings.Replace(ok, "to a\n", "", 1),
		"no size":          strings.Replace(ok, "size 1\n", "", 1),
		"size twice":       strings.Replace(ok, "size 1\n", "size 1\nsize 2\n", 1),
		"size below zero":  strings.Replace(ok, "size 1", "size -1", 1),
		"size with zeros":  strings.Replace(ok, "size 1", "size 01", 1),
		"size too large":   strings.Replace(ok, "size 1", "size 1099511627777", 1),
		"unknown line":     strings.Replace(ok, "to a\n", "to a\nx-hello you\n", 1),
		"line without":     strings.Replace(ok, "to a\n", "to a\nhello\n", 1),
		"no address":       strings.Replace(ok, "to a\n", "to a@b@c\n", 1),
		"a control":        strings.Replace(ok, "to a\n", "to a\rb\n", 1),
		"a long address":   strings.Replace(ok, "to a\n", "to "+strings.Repeat("a", 300)+"@b\n", 1),
		"a long line":      strings.Replace(ok, "to a\n", "name "+strings.Repeat("a", 5000)+"\nto a\n", 1),
		"never and delay":  strings.Replace(ok, "to a\n", "to a\nnotify 9\n", 1),
		"ret":              strings.Replace(ok, "to a\n", "to a\nret 3\n", 1),
		"too many":         strings.Replace(ok, "to a\n", strings.Repeat("to a\n", MaxRecipients+1), 1),
		"a token of zeros": strings.Replace(ok, "0123456789abcdef0123456789abcdef", strings.Repeat("0", 32), 1),
	} {
		if h, err := ReadHead(bufio.NewReader(strings.NewReader(text))); !errors.Is(err, ErrHead) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice@here.example", "bob@Example.ORG": "bob@example.org", `"a b"`: `"a b"@here.example`, `"a@b"`: `"a@b"@here.example`,
		`"a@b"@x.example`: `"a@b"@x.example`, "ünï": "ünï@here.example", "a@grün.example": "a@xn--grn-ioa.example", "": "", "a@": "", "@b": "", "a\nb": "",
		"postmaster": "postmaster@here.example",
	} {
		a, err := ParseAddress(in, "here.example")
		if (err != nil) != (want == "") || a.String() != want {
			t.Errorf("%q: %s, %v", in, a, err)
		}
	}
}

// recorder is a Handler.
type recorder struct {
	some  int64 // of the message are read before the refusal; 0: all
	mu    sync.Mutex
	heads []*Head
	texts []string
	uids  []uint32
	err   error
	early bool // refuse before the message is read
}

func (r *recorder) Submit(_ context.Context, uid uint32, h *Head, body io.Reader) (string, error) {
	if r.early {
		return "", r.err
	}
	if r.some > 0 {
		_, err := io.CopyN(io.Discard, body, r.some)
		return "", errors.Join(err, r.err)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads, r.texts, r.uids = append(r.heads, h), append(r.texts, string(text)), append(r.uids, uid)
	return fmt.Sprintf("ID%d", len(r.heads)), r.err
}

func serve(t *testing.T, h Handler, l Limits) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 12)) // longer than a sockaddr_un
	if err := os.MkdirAll(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	s, err := Serve(dir, h, l, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, SocketName)); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return dir
}

func TestSend(t *testing.T) {
	r := &recorder{}
	dir := serve(t, r, Limits{})
	if info, err := os.Stat(filepath.Join(dir, SocketName)); err != nil || info.Mode().Perm() != 0o666 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	h := head("bob")
	h.Size = 200_000
	text := strings.Repeat("0123456789", 20_000)
	id, err := Send(t.Context(), dir, h, strings.NewReader(text+"not sent"))
	if err != nil || id != "ID1" || r.texts[0] != text || !reflect.DeepEqual(r.heads[0], h) || r.uids[0] != uint32(os.Getuid()) {
		t.Fatalf("%q, %v; %d bytes of user %d", id, err, len(r.texts[0]), r.uids[0])
	}
	for _, c := range []struct {
		err   error
		early bool
		want  string
	}{
		{status.Perm(550, 1, 1, "No such user\nhere"), false, "550 5.1.1 No such user here"},
		{status.Perm(552, 3, 4, "Too large"), true, "552 5.3.4 Too large"},
		{status.Temp(450, 7, 1, "Too many"), true, "450 4.7.1 Too many"},
		{status.ErrNoSpace, false, status.ErrNoSpace.Public}, // Later
		{status.ErrNoSpace, true, status.ErrNoSpace.Public},
		{errors.New("secret"), false, "Local error in processing; try again later"},
	} {
		r.err, r.early = c.err, c.early
		id, err := Send(t.Context(), dir, h, strings.NewReader(text))
		if err == nil || err.Error() != c.want || id != "" {
			t.Errorf("%v: %q, %v", c.err, id, err)
		}
		var later *Later
		if ours := status.Of(c.err).Enhanced.Subject == 3 && status.IsTemporary(c.err); errors.As(err, &later) != ours {
			t.Errorf("%v: later %v", c.err, !ours)
		}
	}
}

// The client hears of a refusal in the middle of a message that it is still sending.
func TestRefusedHalfway(t *testing.T) {
	dir := serve(t, &recorder{some: 10_000, err: status.Perm(554, 6, 0, "Enough")}, Limits{})
	h := head("bob")
	h.Size = 20 << 20
	_, err := Send(t.Context(), dir, h, io.LimitReader(zeros{}, h.Size))
	var refused *status.Error
	if !errors.As(err, &refused) || refused.Public != "Enough" {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A source that fails is not the server's fault, and nothing of it is taken.
func TestSendOfHalfAMessage(t *testing.T) {
	r := &recorder{}
	dir := serve(t, r, Limits{})
	_, err := Send(t.Context(), dir, head("bob"), strings.NewReader("Hi"))
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrNoServer) || len(r.texts) != 0 {
		t.Fatalf("%v; taken: %q", err, r.texts)
	}
}

func TestNoServer(t *testing.T) {
	dir := t.TempDir()
	if _, err := Send(t.Context(), dir, head("bob"), strings.NewReader("Hello")); !errors.Is(err, ErrNoServer) {
		t.Fatal(err)
	}
	l, err := Listen(dir) // a server that dies before it answers
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if _, err := Send(t.Context(), dir, head("bob"), strings.NewReader("Hello")); !errors.Is(err, ErrNoServer) {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Send(t.Context(), dir, head("bob"), strings.NewReader("Hello")); !errors.Is(err, ErrNoServer) {
		t.Fatalf("a socket that was left: %v", err)
	}
}

// blocker holds every submission until its channel is closed.
type blocker struct{ begun, end chan struct{} }

func (b *blocker) Submit(_ context.Context, _ uint32, _ *Head, body io.Reader) (string, error) {
	b.begun <- struct{}{}
	<-b.end
	_, err := io.Copy(io.Discard, body)
	return "ID", err
}

func TestLimits(t *testing.T) {
	b := &blocker{make(chan struct{}, 10), make(chan struct{})}
	dir := serve(t, b, Limits{Connections: 1, PerUser: 1})
	first := make(chan error, 1)
	go func() {
		_, err := Send(context.Background(), dir, head("bob"), strings.NewReader("Hello"))
		first <- err
	}()
	<-b.begun
	var later *Later
	var refused *status.Error
	_, err := Send(t.Context(), dir, head("bob"), strings.NewReader("Hello"))
	if root := os.Getuid() == 0; root != errors.As(err, &later) || !root != errors.As(err, &refused) {
		t.Errorf("the second at a time: %v", err)
	}
	close(b.end)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := Send(t.Context(), dir, head("bob"), strings.NewReader("Hello")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

type panicky struct{}

func (panicky) Submit(context.Context, uint32, *Head, io.Reader) (string, error) { panic("oh") }

func TestPanicIsAnAnswer(t *testing.T) {
	var later *Later
	if _, err := Send(t.Context(), serve(t, panicky{}, Limits{}), head("bob"), strings.NewReader("Hello")); !errors.As(err, &later) {
		t.Fatal(err)
	}
}

func TestDrop(t *testing.T) {
	dir := t.TempDir()
	h := head("bob")
	if err := Drop(dir, h, strings.NewReader("Hello")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !IsReady(entries[0].Name()) || IsDraft(entries[0].Name()) {
		t.Fatal(entries, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if info, _ := entries[0].Info(); err != nil || string(text) != string(h.Append(nil))+"Hello" || info.Mode().Perm() != 0o644 {
		t.Fatalf("%q, %v", text, err)
	}
	// What ends too early leaves nothing.
	if err := Drop(dir, head("bob"), strings.NewReader("Hi")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Fatal(entries)
	}
}

// FuzzReadHead: what is read is written the same, and is within the limits.
func FuzzReadHead(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ReadHead(bufio.NewReaderSize(strings.NewReader(text), 16))
		if err != nil {
			if !errors.Is(err, ErrHead) {
				t.Fatalf("%v is not ErrHead", err)
			}
			return
		}
		if err := h.Check(); err != nil {
			t.Fatal(err)
		}
		again, err := ReadHead(bufio.NewReader(strings.NewReader(string(h.Append(nil)))))
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

// FuzzTalk: whatever a server says, the client has an id, or an error of a known kind, and never both.
func FuzzTalk(f *testing.F) {
	f.Fuzz(func(t *testing.T, said string) {
		var sent strings.Builder
		id, err := talk(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(said), &sent}, head("bob"), strings.NewReader("Hello"))
		var later *Later
		var refused *status.Error
		if (id == "") == (err == nil) {
			t.Fatalf("%q: %q, %v", said, id, err)
		}
		if err != nil && !errors.Is(err, ErrNoServer) && !errors.As(err, &later) && !errors.As(err, &refused) {
			t.Fatalf("%q: %v", said, err)
		}
		if strings.HasSuffix(sent.String(), "Hello") != strings.HasPrefix(said, goAhead+"\n") {
			t.Fatalf("%q: the message was sent unasked, or not although asked for", said)
		}
	})
}

// A server that was killed before its answer looked like a head that nobody takes: the message was not left in the drop
// folder, and its program was told that it had failed.
func TestAnswerCutOffIsNoServer(t *testing.T) {
	h := &Head{Token: NewToken(time.Now()), Sender: "a", Recipients: []string{"b"}, Size: 1}
	for _, said := range []string{"", "go\n", "go\nque"} {
		conn := struct {
			io.Reader
			io.Writer
		}{strings.NewReader(said), io.Discard}
		if _, err := talk(conn, h, strings.NewReader("x")); !errors.Is(err, ErrNoServer) || errors.Is(err, ErrHead) {
			t.Errorf("%q: %v", said, err)
		}
	}
}
