package gate

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
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

// begin makes the message of a text.
func begin(text string) (*Message, *mime.Message, *record) {
	rec := record(text)
	p := mime.NewParser()
	_, _ = p.Write(rec)
	index := p.Close()
	head, h, whole := p.Top()
	return NewMessage(&rec, head, h, whole, int64(len(text))), index, &rec
}

func read(t interface{ Fatal(...any) }, r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const sample = "Received: from a\r\n\tby b\r\nFrom: a@example.net\r\nSubject: one\r\nX-Spam: no\r\nSubject: two\r\n\r\nHello\r\nworld\r\n"

func TestEdit(t *testing.T) {
	for _, c := range []struct {
		name  string
		edits []Edit
		want  string // with TOP in front
	}{
		{"nothing", nil, "TOP: x\r\n" + sample},
		{"append", []Edit{{Append, "X-A", " 1", 0}}, "TOP: x\r\n" + strings.Replace(sample, "\r\n\r\n", "\r\nX-A: 1\r\n\r\n", 1)},
		{"insert on top", []Edit{{Insert, "X-A", " 1", 0}}, "TOP: x\r\nX-A: 1\r\n" + sample},
		{"insert above Received", []Edit{{Above, "X-A", " 1", 0}, {Above, "X-B", " 2", 0}}, "X-B: 2\r\nX-A: 1\r\nTOP: x\r\n" + sample},
		{"insert far down", []Edit{{Insert, "X-A", " 1", 99}}, "TOP: x\r\n" + strings.Replace(sample, "\r\n\r\n", "\r\nX-A: 1\r\n\r\n", 1)},
		{"change the second", []Edit{{Change, "subject", " new", 2}}, "TOP: x\r\n" + strings.Replace(sample, "Subject: two", "subject: new", 1)},
		{"remove the first", []Edit{{Change, "Subject", "", 1}}, "TOP: x\r\n" + strings.Replace(sample, "Subject: one\r\n", "", 1)},
		{"remove both by going on", []Edit{{Change, "Subject", "", 1}, {Change, "Subject", "", 1}},
			"TOP: x\r\n" + strings.NewReplacer("Subject: one\r\n", "", "Subject: two\r\n", "").Replace(sample)},
		{"remove what is not there", []Edit{{Change, "X-None", "", 1}}, "TOP: x\r\n" + sample},
		{"change what is not there", []Edit{{Change, "X-None", " a", 3}}, "TOP: x\r\n" + strings.Replace(sample, "\r\n\r\n", "\r\nX-None: a\r\n\r\n", 1)},
		{"without", []Edit{{Without, "SUBJECT", "", 0}}, "TOP: x\r\n" + strings.NewReplacer("Subject: one\r\n", "", "Subject: two\r\n", "").Replace(sample)},
		{"folds stay, other line ends become such", []Edit{{Insert, "X-A", " 1\n\t2\nBcc: x\r\n\r\nbody\r", 0}},
			"TOP: x\r\nX-A: 1\r\n\t2\r\n\tBcc: x\r\n\t\r\n\tbody\r\n" + sample},
		{"a name of which nothing is left", []Edit{{Insert, " \r\n", " 1", 0}, {Append, "ü", " 2", 0}, {Above, ":", " 3", 0}}, "TOP: x\r\n" + sample},
		{"a name that is none", []Edit{{Insert, "X A:\r\nB", " 1", 0}}, "TOP: x\r\nXAB: 1\r\n" + sample},
	} {
		m, index, rec := begin(sample)
		if err := m.Edit(c.edits...); err != nil {
			t.Fatal(err)
		}
		r, index, err := m.Finish([]byte("TOP: x\r\n"), index)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, recipe.NewReader(source{rec}, r))
		if got != c.want {
			t.Errorf("%s:\n%q, not\n%q", c.name, got, c.want)
		}
		if want := mime.Parse([]byte(got)); !reflect.DeepEqual(index, want) {
			t.Errorf("%s: index %+v, not %+v", c.name, index, want)
		}
		if string(*rec) != sample {
			t.Errorf("%s: the client's bytes were changed", c.name)
		}
	}
}

func TestReplaceBody(t *testing.T) {
	const multi = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n"
	m, index, rec := begin(multi)
	b := m.ReplaceBody()
	for _, s := range []string{"--b\r\n\r\nfirst\r\n", "--b\r\n\r\nsecond\r\n--b--\r\n"} {
		if _, err := io.WriteString(b, s); err != nil {
			t.Fatal(err)
		}
		if got := read(t, m.Open()); got != multi {
			t.Fatalf("not in force yet: %q", got)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	const want = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\n\r\nsecond\r\n--b--\r\n"
	if got := read(t, m.Open()); got != want || m.Size != int64(len(want)) {
		t.Fatalf("%d %q", m.Size, got)
	}
	r, index, err := m.Finish(nil, index)
	if err != nil || !reflect.DeepEqual(index, mime.Parse([]byte(want))) || len(index.Root.Children) != 2 {
		t.Fatalf("%v %+v", err, index)
	}
	if got := read(t, recipe.NewReader(source{rec}, r)); got != want {
		t.Fatalf("%q", got)
	}
}

// A header that is too long for literals goes into the record, behind the client's bytes.
func TestLongHeader(t *testing.T) {
	m, index, rec := begin(sample)
	for i := range 100 {
		if err := m.Edit(Edit{Kind: Insert, Name: fmt.Sprint("X-", i), Value: " " + strings.Repeat("x", 900)}); err != nil {
			t.Fatal(err)
		}
	}
	want := read(t, m.Open())
	r, index, err := m.Finish(nil, index)
	if err != nil || len(r) != 2 {
		t.Fatal(r, err)
	}
	if got := read(t, recipe.NewReader(source{rec}, r)); got != want || !reflect.DeepEqual(index, mime.Parse([]byte(got))) {
		t.Fatal("not what was seen")
	}
	if !bytes.HasPrefix(*rec, []byte(sample)) {
		t.Fatal("the client's bytes moved")
	}
	if err := m.Edit(Edit{Name: "X", Value: strings.Repeat("y", maxHeaderSize)}); err == nil {
		t.Error("a header without bound")
	}
}

// A header longer than what is looked at is not changed, and keeps its place in the index when something is put in front.
func TestCutHeader(t *testing.T) {
	text := strings.Repeat("X-Field: "+strings.Repeat("v", 500)+"\r\n", 600) + "\r\nbody\r\n"
	m, index, rec := begin(text)
	if m.Edit(Edit{Name: "X"}) != ErrHeader || m.Complete() != ErrHeader {
		t.Error("changed")
	}
	if err := m.Prepend([]byte("X-Above: 1\r\n")); err != nil {
		t.Fatal(err)
	}
	r, index, err := m.Finish([]byte("TOP: x\r\n"), index)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, recipe.NewReader(source{rec}, r))
	if want := mime.Parse([]byte(got)); got != "X-Above: 1\r\nTOP: x\r\n"+text || index.Root.Body != want.Root.Body || index.Root.End != want.Root.End {
		t.Errorf("body at %d, not %d", index.Root.Body, want.Root.Body)
	}
}

// What was put on top by earlier stages is seen by later judges, stands above our own field, and is changed like any other.
func TestPrependIsSeen(t *testing.T) {
	m, index, rec := begin(sample)
	if err := m.Prepend([]byte("Received-SPF: pass\r\n\tx\r\nX-P: 2\r\n")); err != nil {
		t.Fatal(err)
	}
	if v, ok := m.Header.Get("Received-SPF"); !ok || !strings.Contains(string(v), "pass") || int64(len(read(t, m.Open()))) != m.Size {
		t.Fatalf("%q %v", v, ok)
	}
	if err := m.Edit(Edit{Insert, "X-Q", " 3", 1}, Edit{Change, "X-P", "", 1}, Edit{Insert, "X-R", " 4", 2}); err != nil {
		t.Fatal(err)
	}
	r, index, err := m.Finish([]byte("TOP: x\r\n"), index)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, recipe.NewReader(source{rec}, r))
	if got != "Received-SPF: pass\r\n\tx\r\nX-Q: 3\r\nTOP: x\r\nX-R: 4\r\n"+sample || !reflect.DeepEqual(index, mime.Parse([]byte(got))) {
		t.Errorf("%q", got)
	}
}

// A header of very many fields costs whoever looks into it a time that grows with their square: it is refused to them, and
// passes where nobody looks.
func TestManyFields(t *testing.T) {
	text := strings.Repeat("X:\r\n", maxFields+1) + "\r\nbody\r\n"
	m, index, rec := begin(text)
	if m.Complete() != ErrFields || m.Edit(Edit{Name: "X"}) != ErrFields || m.Prepend([]byte("P: 1\r\n")) != nil {
		t.Error("looked at")
	}
	r, index, err := m.Finish([]byte("TOP: x\r\n"), index)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, recipe.NewReader(source{rec}, r))
	if got != "P: 1\r\nTOP: x\r\n"+text || !reflect.DeepEqual(index, mime.Parse([]byte(got))) {
		t.Error("not as it came")
	}
	m, _, _ = begin(sample)
	grow := slices.Repeat([]Edit{{Name: "X"}}, 3*maxFields)
	if err := m.Edit(grow...); err == nil {
		t.Error("fields without bound")
	}
}

// A message without a header gets one; mbox's first line does not end it.
func TestHeadless(t *testing.T) {
	for text, want := range map[string]string{
		"just text\r\nSubject: no\r\n": "TOP: x\r\nX-A: 1\r\n\r\njust text\r\nSubject: no\r\n",
		"From a Mon\r\nSubject: s\r\n": "TOP: x\r\nFrom a Mon\r\nSubject: s\r\nX-A: 1\r\n",
		"":                             "TOP: x\r\nX-A: 1\r\n",
		"Subject: cut off":             "TOP: x\r\nSubject: cut off\r\nX-A: 1\r\n",
	} {
		m, index, rec := begin(text)
		if err := m.Edit(Edit{Name: "X-A", Value: " 1"}); err != nil {
			t.Fatal(err)
		}
		r, index, err := m.Finish([]byte("TOP: x\r\n"), index)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, recipe.NewReader(source{rec}, r)); got != want || !reflect.DeepEqual(index, mime.Parse([]byte(got))) {
			t.Errorf("%q:\n%q, not\n%q", text, got, want)
		}
	}
}

// Whatever is done, the next one sees what the last one left, and what is stored in the end is what was seen.
func TestEditModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		for range rapid.IntRange(0, 8).Draw(t, "fields") {
			text.WriteString(rapid.SampledFrom([]string{"A: 1\r\n", "B: 2\r\n fold\r\n", "Content-Type: text/html\r\n", "no field\r\n", "B: 3\r\n"}).Draw(t, "field"))
		}
		text.WriteString(rapid.SampledFrom([]string{"\r\n", "\r\nbody\r\n", "", "A: end"}).Draw(t, "rest"))
		m, index, rec := begin(text.String())
		for range rapid.IntRange(0, 6).Draw(t, "edits") {
			if rapid.IntRange(0, 5).Draw(t, "body") == 0 {
				b := m.ReplaceBody()
				if _, err := b.Write([]byte(rapid.SampledFrom([]string{"", "new\r\n", "--x\r\n"}).Draw(t, "new"))); err != nil {
					t.Fatal(err)
				}
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if rapid.IntRange(0, 5).Draw(t, "prepend") == 0 {
				if err := m.Prepend([]byte(rapid.SampledFrom([]string{"A: top\r\n", "P: 1\r\nB: 2\r\n w\r\n", "Content-Type: multipart/mixed; boundary=x\r\n"}).Draw(t, "top"))); err != nil {
					t.Fatal(err)
				}
				continue
			}
			e := Edit{EditKind(rapid.IntRange(0, int(Without)).Draw(t, "kind")), rapid.SampledFrom([]string{"A", "b", "Content-Type", "X"}).Draw(t, "name"),
				rapid.SampledFrom([]string{"", " v", " v\n w", " multipart/mixed; boundary=x"}).Draw(t, "value"), rapid.IntRange(-1, 5).Draw(t, "index")}
			if err := m.Edit(e); err != nil {
				t.Fatal(err)
			}
		}
		seen := read(t, m.Open())
		if int64(len(seen)) != m.Size {
			t.Fatalf("size %d, message %q", m.Size, seen)
		}
		above := string(m.above)
		r, index, err := m.Finish([]byte("T: x\r\n"), index)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, recipe.NewReader(source{rec}, r))
		tops := ""
		for _, p := range m.fields[:m.tops] {
			tops += string(p.text)
		}
		if rest, ok := strings.CutPrefix(seen, tops); !ok || got != above+tops+"T: x\r\n"+rest {
			t.Fatalf("stored %q, seen %q", got, seen)
		}
		if want := mime.Parse([]byte(got)); !reflect.DeepEqual(index, want) {
			t.Fatalf("%q: index %+v, not %+v", got, index, want)
		}
		if !strings.HasPrefix(string(*rec), text.String()) {
			t.Fatal("the client's bytes were changed")
		}
	})
}
