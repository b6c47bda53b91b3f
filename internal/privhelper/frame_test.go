package privhelper

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	for _, m := range []Message{
		{Op: "ping"},
		message("verify", "user", "al", "password", "pä\x00ss\n"),
		message("read-file", "path", ""),
		{Op: "x", Fields: []Field{{"data", bytes.Repeat([]byte{0xff}, 4000)}}},
	} {
		frame, err := encode(m, maxRequest)
		if err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		got, err := read(bytes.NewReader(frame), maxRequest)
		if err != nil || got.Op != m.Op || len(got.Fields) != len(m.Fields) {
			t.Fatalf("%v came back as %v: %v", m, got, err)
		}
		for _, f := range m.Fields {
			if !bytes.Equal(got.Get(f.Name), f.Value) {
				t.Errorf("%s: %q, want %q", f.Name, got.Get(f.Name), f.Value)
			}
		}
		for cut := range len(frame) {
			if _, err := read(bytes.NewReader(frame[:cut]), maxRequest); err == nil {
				t.Errorf("%v: a frame cut at %d is read", m, cut)
			}
		}
	}
}

func TestFrameRefusals(t *testing.T) {
	for name, body := range map[string]string{
		"empty":               "",
		"another version":     "\x02\x04ping\x00",
		"no operation":        "\x01\x00\x00",
		"capitals":            "\x01\x04PING\x00",
		"too many fields":     "\x01\x04ping\x11",
		"a field is missing":  "\x01\x04ping\x01",
		"more than said":      "\x01\x04ping\x00x",
		"value too long":      "\x01\x04ping\x01\x01a\xff\xff\xff\xffx",
		"a name twice":        "\x01\x04ping\x02\x01a\x00\x00\x00\x01x\x01a\x00\x00\x00\x01y",
		"an empty name twice": "\x01\x04ping\x01\x00\x00\x00\x00\x00",
		"name too long":       "\x01\x21" + strings.Repeat("a", 33) + "\x00",
	} {
		if m, err := parse([]byte(body)); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if _, err := read(strings.NewReader("\xff\xff\xff\xff"), maxRequest); !errors.Is(err, errFrame) {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
	if _, err := read(io.LimitReader(endless{}, 1<<30), maxRequest); err == nil {
		t.Error("an endless stream is a frame")
	}
	for _, m := range []Message{message(""), message("a b"), message("x", "A", ""), message("x", "a", strings.Repeat("x", maxRequest))} {
		if _, err := encode(m, maxRequest); !errors.Is(err, errFrame) {
			t.Errorf("encode %q: %v", m.Op, err)
		}
	}
}

// endless is what a hostile peer may send.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	return len(p), nil
}

// FuzzFrame: what is read is written as the same bytes again, within the bounds.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parse(body)
		if err != nil {
			return
		}
		if !isName(m.Op) || len(m.Fields) > maxFields {
			t.Fatalf("read %+v", m)
		}
		frame, err := encode(m, len(body))
		if err != nil || !bytes.Equal(frame[4:], body) {
			t.Fatalf("%q came back as %q: %v", body, frame, err)
		}
		if again, err := read(bytes.NewReader(frame), len(body)); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v came back as %+v: %v", m, again, err)
		}
	})
}
