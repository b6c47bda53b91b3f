package header

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/recipe"
)

const sample = "Received: from a\r\n\tby b; now\r\nSubject : folded\r\n \t subject \r\nno colon here\r\n" +
	"From:alice@example.org\nBad name: x\r\nX-Empty:\r\nsubject: second\r\n\r\nbody: no\r\n"

func TestParse(t *testing.T) {
	h, err := Parse([]byte(sample), 1<<20)
	if err != nil || !h.Ended || sample[h.Size:] != "body: no\r\n" {
		t.Fatalf("size %d %v", h.Size, err)
	}
	var got []string
	for _, f := range h.Fields {
		got = append(got, fmt.Sprintf("%s=%s", h.Name(f), h.Value(f)))
	}
	want := []string{"Received=from a\tby b; now", "Subject=folded \t subject", "=no colon here",
		"From=alice@example.org", "=Bad name: x", "X-Empty=", "subject=second"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	if v, ok := h.Get("SUBJECT"); v != "folded \t subject" || !ok || h.Count("Subject") != 2 {
		t.Fatalf("Get %q", v)
	}
	if _, ok := h.Get("Body"); ok {
		t.Fatal("the body was read as header")
	}
}

func TestParseEnds(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "\r\n": 2, "\nx": 1, "A: b": 4, "A: b\r\n": 6, "A: b\r\n\r": 7, "A: b\n\nx": 6, "A: b\r\n \r\n\r\nx": 11,
		"\rA: b\r\n\r\n": 9,
	} {
		if h, err := Parse([]byte(in), 100); err != nil || h.Size != want {
			t.Errorf("%q: %d %v", in, h.Size, err)
		}
	}
	if h, err := Parse([]byte("A: b\r\nC: d\r\n\r\n"), 8); !errors.Is(err, ErrTooLong) || len(h.Fields) != 2 {
		t.Errorf("limit: %v", err)
	}
}

func TestAppendField(t *testing.T) {
	long := "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
	for _, c := range []struct{ value, want string }{
		{"short", "X-Test: short\r\n"},
		{"", "X-Test: \r\n"},
		{"a\r\nBcc: evil", "X-Test: a  Bcc: evil\r\n"},
		{long, "X-Test: one two three four five six seven eight nine ten eleven twelve\r\n thirteen fourteen fifteen sixteen\r\n"},
	} {
		if got := string(AppendField(nil, "X-Test", c.value)); got != c.want {
			t.Errorf("%q: %q", c.value, got)
		}
	}
	for _, word := range []string{strings.Repeat("x", 5000), "a " + strings.Repeat("ü", 3000)} {
		got := string(AppendField(nil, "X-Test", word))
		for line := range strings.SplitSeq(got, "\r\n") {
			if len(line) > maxLine || strings.ToValidUTF8(line, "?") != line {
				t.Fatalf("line of %d octets", len(line))
			}
		}
		if strings.ReplaceAll(strings.TrimPrefix(got, "X-Test:"), "\r\n", "") == "" {
			t.Fatal("lost")
		}
	}
}

type body []byte

func (b body) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	copy(p, b[off:])
	return nil
}

func apply(t *testing.T, message string, e Edit) (string, recipe.Recipe) {
	t.Helper()
	h, err := Parse([]byte(message), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	r, block, err := e.Apply(h, recipe.BlobRef{Pack: 1, Length: int64(len(message))})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := recipe.NewReader(body(message), r).WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out.Bytes(), block) || out.Len()-len(block) != len(message)-h.Size {
		t.Fatalf("block %q of %q", block, out.String())
	}
	return out.String(), r
}

func TestEdit(t *testing.T) {
	e := Edit{Remove: []string{"Bcc", "X-Secret"}, Prepend: []byte("Received: x\r\n"), Append: []byte("Date: now\r\n")}
	for in, want := range map[string]string{
		"Bcc: a@b,\r\n c@d\r\nTo: x\r\nbcc: e\r\nCc: y\r\n\r\nbody": "Received: x\r\nTo: x\r\nCc: y\r\nDate: now\r\n\r\nbody",
		"To: x\r\nCc: y\r\n\r\nBcc: body":                           "Received: x\r\nTo: x\r\nCc: y\r\nDate: now\r\n\r\nBcc: body",
		"\r\nbody":                                                  "Received: x\r\nDate: now\r\n\r\nbody",
		"To: x":                                                     "Received: x\r\nTo: x\r\nDate: now\r\n",
		"":                                                          "Received: x\r\nDate: now\r\n",
		"To: x\r\nX-SECRET : y\r\n":                                 "Received: x\r\nTo: x\r\nDate: now\r\n",
	} {
		if got, _ := apply(t, in, e); got != want {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
	// Nothing to do is one range, and what touches is one range.
	if _, r := apply(t, "A: b\r\n\r\nbody", Edit{Remove: []string{"Bcc"}}); len(r) != 1 {
		t.Errorf("%d segments", len(r))
	}
	if _, r := apply(t, "A: b\r\nBcc: x\r\nBcc: y\r\nC: d\r\n\r\nbody", Edit{Remove: []string{"Bcc"}}); len(r) != 2 {
		t.Errorf("%d segments", len(r))
	}
	h, _ := Parse([]byte(strings.Repeat("A:\r\nBcc:\r\n", 1500)), 1<<20)
	if _, _, err := (Edit{Remove: []string{"Bcc"}}).Apply(h, recipe.BlobRef{Pack: 1, Length: 1 << 20}); !errors.Is(err, ErrTooManyRanges) {
		t.Errorf("hostile header: %v", err)
	}
}

// The fields cover the header without gap or overlap, and removing a name removes it and nothing else.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b, 4096)
		if err != nil && (!errors.Is(err, ErrTooLong) || len(b) <= 4096) {
			t.Fatal(err)
		}
		pos := 0
		for _, f := range h.Fields {
			if f.Start != pos || f.NameEnd < f.Start || f.Value < f.NameEnd || f.ValueEnd < f.Value || f.End < f.ValueEnd || f.End <= f.Start {
				t.Fatalf("field %+v after %d", f, pos)
			}
			pos = f.End
			if v := h.Value(f); strings.ContainsAny(v, "\r\n") {
				t.Fatalf("value %q", v)
			}
		}
		if h.Size-pos > 2 || h.Size < pos || h.Ended == (h.Size == pos) {
			t.Fatalf("size %d, fields end at %d", h.Size, pos)
		}
		if err != nil || len(h.Fields) == 0 || h.Fields[0].NameEnd == 0 {
			return
		}
		name := string(h.Name(h.Fields[0]))
		r, block, err := Edit{Remove: []string{name}}.Apply(h, recipe.BlobRef{Pack: 1, Length: int64(len(b))})
		if err != nil {
			return
		}
		var out bytes.Buffer
		if _, err := recipe.NewReader(body(b), r).WriteTo(&out); err != nil || !bytes.HasPrefix(out.Bytes(), block) {
			t.Fatalf("edit: %v", err)
		}
		again, err := Parse(block, 4096)
		if err != nil || again.Count(name) != 0 || len(again.Fields) != len(h.Fields)-h.Count(name) && h.Fields[len(h.Fields)-1].End != 0 && bytes.Count(block, []byte("\n ")) == 0 && bytes.Count(block, []byte("\n\t")) == 0 {
			t.Fatalf("%q without %q: %q", b, name, block)
		}
	})
}
