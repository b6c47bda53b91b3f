package content

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"pgregory.net/rapid"
)

// record is a record in memory.
type record []byte

func (r *record) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(*r)) {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, (*r)[off:]), nil
}

func (r *record) Append(p []byte) (int64, error) {
	at := len(*r)
	*r = append(*r, p...)
	return int64(at), nil
}

func (r *record) Self() recipe.BlobRef {
	ref := flow.Self
	ref.Length = int64(len(*r))
	return ref
}

// asked is a table that remembers what it was asked, and answers by a prefix.
type asked struct {
	lines   []string
	answers map[string]string
	err     error
}

func (a *asked) Lookup(_ context.Context, key string) (string, bool, error) {
	a.lines = append(a.lines, key)
	for prefix, answer := range a.answers {
		if strings.HasPrefix(key, prefix) {
			return answer, true, a.err
		}
	}
	return "", false, a.err
}

func (*asked) Pattern() bool { return true }

func examine(t interface{ Fatal(...any) }, c *Checks, text string) (string, *flow.Changes, error) {
	rec := record(text)
	p := mime.NewParser()
	_, _ = p.Write(rec)
	p.Close()
	head, h, whole := p.Top()
	m := gate.NewMessage(&rec, head, h, whole, int64(len(text)))
	c.Log = slog.New(slog.DiscardHandler)
	s, err := c.Connect(context.Background(), &gate.Conn{})
	if err != nil {
		t.Fatal(err)
	}
	tx := &gate.Transaction{Transaction: &flow.Transaction{}, Conn: &gate.Conn{}}
	err = s.Message(context.Background(), tx, m)
	b, rerr := io.ReadAll(m.Open())
	if rerr != nil {
		t.Fatal(rerr)
	}
	return string(b), &tx.Changes, err
}

const letter = "From: a@b.example\r\nSubject: one\r\n two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n" +
	"preamble\r\n--B\r\nContent-Type: text/plain;\r\n name=x.exe\r\nX-Odd: 1\r\n\r\nhello\r\n\r\nworld\r\n--B\r\nContent-Type: message/rfc822\r\n\r\n" +
	"From: inner@c.example\r\nContent-Type: text/html\r\nSubject: inner\r\n\r\n<p>text\r\n--B--\r\nepilogue\r\n"

// Each line comes to the table that Postfix gives it to, fields with their folds.
func TestWhoIsAsked(t *testing.T) {
	h, m, n, b := &asked{}, &asked{}, &asked{}, &asked{}
	text, _, err := examine(t, &Checks{Header: table.List{h}, MIME: table.List{m}, Nested: table.List{n}, Body: table.List{b}, BodyLimit: 1000}, letter)
	if err != nil || text != letter {
		t.Fatalf("%v %q", err, text)
	}
	for name, c := range map[string]struct {
		got  []string
		want string
	}{
		"header": {h.lines, "From: a@b.example|Subject: one\n two"},
		"mime": {m.lines, "MIME-Version: 1.0|Content-Type: multipart/mixed; boundary=B|Content-Type: text/plain;\n name=x.exe|X-Odd: 1|" +
			"Content-Type: message/rfc822|Content-Type: text/html"},
		"nested": {n.lines, "From: inner@c.example|Subject: inner"},
		"body":   {b.lines, "preamble|--B|hello||world|--B|<p>text|--B--|epilogue"},
	} {
		if got := strings.Join(c.got, "|"); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		line, action string
		want         string // of the text; empty: as it was
		code         string
		changes      func(*flow.Changes) bool
	}{
		{"Subject: one\n two", "REJECT", "", "550 5.7.1 message content rejected", nil},
		{"Subject: one", "reject no thanks", "", "550 5.7.1 no thanks", nil},
		{"Subject: one", "REJECT 4.2.1 later", "", "450 4.2.1 later", nil},
		{"Subject: one", "REJECT 554 5.9.9 never", "", "554 5.9.9 never", nil},
		{"Subject: one", "IGNORE", strings.Replace(letter, "Subject: one\r\n two\r\n", "", 1), "", nil},
		{"Subject: one", "STRIP because", strings.Replace(letter, "Subject: one\r\n two\r\n", "", 1), "", nil},
		{"Subject: one", "REPLACE Subject: three", strings.Replace(letter, "Subject: one\r\n two\r\n", "Subject: three\r\n", 1), "", nil},
		{"Subject: one", "REPLACE no field", "", "", nil},
		{"Subject: one", "PREPEND X-A: b", strings.Replace(letter, "Subject: one", "X-A: b\r\nSubject: one", 1), "", nil},
		{"Subject: one", "DUNNO", "", "", nil},
		{"Subject: one", "NONSENSE", "", "", nil},
		{"Subject: one", "WARN look", "", "", nil},
		{"Subject: one", "HOLD look", "", "", func(c *flow.Changes) bool { return c.Hold == "look" }},
		{"Subject: one", "DISCARD", "", "", func(c *flow.Changes) bool { return c.Discard == "header_checks" }},
		{"Subject: one", "PASS", "", "", func(c *flow.Changes) bool { return c.Pass }},
		{"Subject: one", "REDIRECT x@y.example", "", "", func(c *flow.Changes) bool { return c.Redirect.Domain == "y.example" }},
		{"Subject: one", "BCC x@y.example", "", "", func(c *flow.Changes) bool { return len(c.BCC) == 1 }},
		{"Subject: one", "FILTER smtp:[127.0.0.1]:10025", "", "", func(c *flow.Changes) bool { return c.Filter == "smtp:[127.0.0.1]:10025" }},
		{"Content-Type: text/plain;\n name=x.exe", "REPLACE Content-Type: text/plain", strings.Replace(letter, ";\r\n name=x.exe", "", 1), "", nil},
		{"X-Odd", "IGNORE", strings.Replace(letter, "X-Odd: 1\r\n", "", 1), "", nil},
		{"Subject: inner", "IGNORE", strings.Replace(letter, "Subject: inner\r\n", "", 1), "", nil},
		{"hello", "REPLACE good bye", strings.Replace(letter, "hello", "good bye", 1), "", nil},
		{"hello", "PREPEND first", strings.Replace(letter, "hello", "first\r\nhello", 1), "", nil},
		{"hello", "IGNORE", strings.Replace(letter, "hello\r\n", "", 1), "", nil},
		{"epilogue", "IGNORE", strings.Replace(letter, "epilogue\r\n", "", 1), "", nil},
		{"world", "REJECT bad word", "", "550 5.7.1 bad word", nil},
	} {
		a := table.List{&asked{answers: map[string]string{c.line: c.action}}}
		text, changes, err := examine(t, &Checks{Header: a, MIME: a, Nested: a, Body: a, BodyLimit: 1000}, letter)
		if c.want == "" {
			c.want = letter
		}
		if text != c.want {
			t.Errorf("%s %s:\n%q, not\n%q", c.line, c.action, text, c.want)
		}
		code := ""
		if err != nil {
			e := status.Of(err)
			e.Op, e.Err = "", nil
			code = e.Error()
		}
		if code != c.code || c.changes != nil && !c.changes(changes) {
			t.Errorf("%s %s: %q, %+v", c.line, c.action, code, changes)
		}
	}
}

func TestBodyLimitAndLongLines(t *testing.T) {
	b := &asked{}
	long := strings.Repeat("x", 5000)
	text := "Subject: s\r\n\r\n" + long + "\r\nshort\r\nbeyond\r\n"
	if _, _, err := examine(t, &Checks{Body: table.List{b}, BodyLimit: 5005}, text); err != nil {
		t.Fatal(err)
	}
	if len(b.lines) != 4 || len(b.lines[0]) != piece || len(b.lines[1]) != piece || len(b.lines[2]) != 5000-2*piece || b.lines[3] != "short" {
		t.Errorf("%d lines: %.100q", len(b.lines), b.lines)
	}
}

// On the way out lines of the header change, in what is sent only; what would concern the whole message is passed over.
func TestOutgoing(t *testing.T) {
	rec := record(letter)
	src := recipe.NewReader(bodies{&rec}, recipe.Whole(rec.Self()))
	for action, want := range map[string]string{
		"IGNORE": strings.Replace(letter, "Subject: one\r\n two\r\n", "", 1), "REPLACE Subject: x": strings.Replace(letter, "Subject: one\r\n two", "Subject: x", 1),
		"PREPEND X-A: b": strings.Replace(letter, "Subject: one", "X-A: b\r\nSubject: one", 1), "REJECT": letter, "DISCARD": letter, "HOLD": letter, "WARN x": letter,
	} {
		c := &Checks{Header: table.List{&asked{answers: map[string]string{"Subject: one": action, "Content-Type": "IGNORE"}}}, Log: slog.New(slog.DiscardHandler)}
		r, err := c.Outgoing(t.Context(), &flow.Job{}, src)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, r.Size())
		if _, err := r.ReadAt(got, 0); err != nil || string(got) != want {
			t.Errorf("%s: %v %q", action, err, got)
		}
	}
	for _, text := range []string{"", "just text\r\n", "\r\nbody\r\n"} {
		rec := record(text)
		src := recipe.NewReader(bodies{&rec}, recipe.Whole(rec.Self()))
		c := &Checks{Header: table.List{&asked{answers: map[string]string{"": "IGNORE"}}}, Log: slog.New(slog.DiscardHandler)}
		if r, err := c.Outgoing(t.Context(), &flow.Job{}, src); err != nil || r != src {
			t.Errorf("%q: %v", text, err)
		}
	}
}

type bodies struct{ *record }

func (b bodies) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	_, err := b.ReadAt(p, off)
	return err
}

// PASS ends it, and so does DISCARD.
func TestPassEnds(t *testing.T) {
	for _, action := range []string{"PASS", "DISCARD"} {
		h, b := &asked{answers: map[string]string{"From": action}}, &asked{}
		if _, _, err := examine(t, &Checks{Header: table.List{h}, Body: table.List{b}, BodyLimit: 1000}, letter); err != nil || len(h.lines) != 1 || len(b.lines) != 0 {
			t.Errorf("%s: %v, asked %q %q", action, err, h.lines, b.lines)
		}
	}
}

func TestTableFails(t *testing.T) {
	a := &asked{err: io.ErrUnexpectedEOF}
	if _, _, err := examine(t, &Checks{Body: table.List{a}, BodyLimit: 10}, letter); !status.IsTemporary(err) {
		t.Errorf("%v", err)
	}
}

// Whatever the message: what no table has an answer for stays as it is, octet by octet; and everything that is looked up stands
// in the message.
func TestNothingLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := []string{"Content-Type: multipart/mixed; boundary=B\r\n", "Content-Type: message/rfc822\r\n", "\r\n", "--B\r\n", "--B--\r\n", "text\r\n",
			"Subject: s\r\n fold\r\n", "hit\r\n", strings.Repeat("y", 2047) + "\r\n", strings.Repeat("z", 4096), "no end"}
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 30).Draw(t, "text"), "")
		a := &asked{}
		got, _, err := examine(t, &Checks{Header: table.List{a}, MIME: table.List{a}, Nested: table.List{a}, Body: table.List{a}, BodyLimit: 100_000}, text)
		if err != nil || got != text && got != "\r\n"+text {
			t.Fatalf("%v: %q, not %q", err, got, text)
		}
		b := &asked{answers: map[string]string{"hit": "REPLACE seen"}}
		got, _, err = examine(t, &Checks{Body: table.List{b}, BodyLimit: 100_000}, text)
		if err != nil || strings.ReplaceAll(strings.TrimPrefix(got, "\r\n"), "seen\r\n", "hit\r\n") != strings.TrimPrefix(text, "\r\n") {
			t.Fatalf("%v: %q of %q", err, got, text)
		}
	})
}
