package mime

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestCodecSize(t *testing.T) {
	m := Parse([]byte(crlf(alternative)))
	b := m.Encode()
	if len(b) > 1024 {
		t.Errorf("%d bytes for an ordinary message", len(b))
	}
	for i := range b {
		if _, err := Decode(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Decode(append(b, 0)); !errors.Is(err, ErrCorrupt) {
		t.Error("more than was written")
	}
	if f, err := DecodeFacts(b); err != nil || f.Preview != m.Preview || !reflect.DeepEqual(f.References, m.References) {
		t.Errorf("facts: %v", err)
	}
}

func TestCommonStringsAreFrozen(t *testing.T) {
	if len(commonIndex) != len(commonStrings) {
		t.Error("a common string stands there twice")
	}
	// The places of some; a change of any of them makes stored mail unreadable.
	for s, i := range map[string]int{"": 0, "multipart": 4, "rfc822": 18, "boundary": 26, "quoted-printable": 38, "undisclosed-recipients": 75} {
		if commonIndex[s] != i {
			t.Errorf("%q is at %d, not %d", s, commonIndex[s], i)
		}
	}
}

func TestShift(t *testing.T) {
	text := crlf(alternative)
	m := Parse([]byte(text))
	added := "Received: from x\r\n"
	shifted := m.Clone()
	if err := shifted.Shift(int64(len(added))); err != nil {
		t.Fatal(err)
	}
	if want := Parse([]byte(added + text)); !reflect.DeepEqual(shifted, want) {
		t.Error("a field in front")
	}
	if reflect.DeepEqual(shifted, m) {
		t.Error("Clone shares parts")
	}
	removed := strings.Replace(text, "Cc: g: x@y.example;\r\n", "", 1)
	edited := m.Clone()
	edited.SetHeader([]byte(removed[:strings.Index(removed, "\r\n\r\n")+4]))
	if want := Parse([]byte(removed)); !reflect.DeepEqual(edited, want) {
		t.Errorf("a field removed:\n%+v\n%+v", edited, want)
	}
	if err := m.Shift(-m.HeaderSize() - 1); !errors.Is(err, ErrShift) {
		t.Errorf("too much removed: %v", err)
	}
}

func TestSection(t *testing.T) {
	b := []byte(crlf(alternative))
	nested := Parse(b)
	plain := []byte("Subject: s\r\n\r\nbody")
	fwd := []byte("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntext")
	for _, c := range []struct {
		b    []byte
		path []uint32
		what What
		want string // how it starts; "-": there is none
		end  string
	}{
		{b, nil, Whole, "From: Alice", "epilogue\r\n"},
		{b, nil, Header, "From: Alice", "boundary=\"outer\"\r\n\r\n"},
		{b, nil, Text, "preamble", "epilogue\r\n"},
		{b, nil, MIME, "-", ""},
		{b, []uint32{1}, Whole, "--inner\r\n", "inner epilogue"},
		{b, []uint32{1}, MIME, "Content-Type: multipart/alternative", "\r\n\r\n"},
		{b, []uint32{1}, Header, "-", ""},
		{b, []uint32{1, 1}, Whole, "Hello =C3", " all\r\n"},
		{b, []uint32{1, 1}, MIME, "Content-Type: text/plain", "printable\r\n\r\n"},
		{b, []uint32{1, 1}, Text, "-", ""},
		{b, []uint32{1, 1, 1}, Whole, "-", ""},
		{b, []uint32{1, 3}, Whole, "-", ""},
		{b, []uint32{0}, Whole, "-", ""},
		{b, []uint32{4}, Whole, "-", ""},
		{b, []uint32{3}, Whole, "From: carol", "--deep--"},
		{b, []uint32{3}, Header, "From: carol", "boundary=deep\r\n\r\n"},
		{b, []uint32{3}, Text, "--deep", "--deep--"},
		{b, []uint32{3}, MIME, "Content-Type: message/rfc822", "\r\n\r\n"},
		{b, []uint32{3, 1}, Whole, "deep text", "deep text"},
		{b, []uint32{3, 1}, MIME, "\r\n", "\r\n"},
		{b, []uint32{3, 2}, Whole, "-", ""},
		{plain, []uint32{1}, Whole, "body", "body"},
		{plain, []uint32{1}, MIME, "Subject", "\r\n\r\n"},
		{plain, []uint32{1, 1}, Whole, "-", ""},
		{plain, []uint32{2}, Whole, "-", ""},
		{fwd, []uint32{1}, Whole, "Subject: in", "text"},
		{fwd, []uint32{1}, Header, "Subject: in", "\r\n\r\n"},
		{fwd, []uint32{1, 1}, Whole, "text", "text"},
		{fwd, []uint32{1, 1, 1}, Whole, "-", ""},
	} {
		start, end, ok := Parse(c.b).Section(c.path, c.what)
		got := string(c.b[start:end])
		if !ok {
			got = "-"
		}
		if !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, c.end) {
			t.Errorf("%v %d: %q, want %q…%q", c.path, c.what, got, c.want, c.end)
		}
	}
	if p := nested.Find([]uint32{2}); p == nil || p.Subtype != "pdf" {
		t.Error("Find")
	}
}

// What is decoded can be stored again and is the same; nothing hostile costs more than its length.
func FuzzDecode(f *testing.F) {
	before := string(Parse([]byte(crlf(alternative))).Encode())
	f.Add([]byte(before))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		// Memory that was used before changes nothing.
		var used Decoder
		for range 2 {
			if _, err := used.Decode(before); err != nil {
				t.Fatal(err)
			}
			again, err2 := used.Decode(string(b))
			if (err == nil) != (err2 == nil) || err == nil && !reflect.DeepEqual(again, m) {
				t.Fatalf("%v, %v\n%+v\n%+v", err, err2, m, again)
			}
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		back, err := Decode(m.Encode())
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%v\n%+v\n%+v", err, m, back)
		}
	})
}

// A field that is there and empty is "" in ENVELOPE, a missing one NIL (RFC 9051 §7.5.2): the stored form must know.
func TestBlankSubjectIsNotAMissingOne(t *testing.T) {
	for _, c := range []struct {
		header string
		want   Blank
	}{
		{"From: a@x.example\r\n", 0},
		{"Subject:\r\nDate: \r\n", BlankSubject | BlankDate},
		{"Subject: \r\n\t\r\nMessage-ID:\r\nIn-Reply-To: \r\n", BlankSubject | BlankMessageID | BlankInReplyTo},
		{"Subject:\r\nSubject: second\r\n", 0},
		{"Subject: first\r\nSubject:\r\n", 0},
	} {
		inner := "Content-Type: message/rfc822\r\nSubject:\r\n\r\n" + c.header + "\r\nx\r\n"
		for _, text := range []string{c.header + "\r\nx\r\n", inner} {
			m := Parse([]byte(text))
			d, err := Decode(m.Encode())
			if err != nil || !reflect.DeepEqual(m, d) {
				t.Fatalf("%q: %v, does not survive", text, err)
			}
			got := &d.Envelope
			if text == inner {
				if got.Blank != BlankSubject {
					t.Errorf("outer of %q: %v", text, got.Blank)
				}
				got = d.Root.Envelope
			}
			if got.Blank != c.want {
				t.Errorf("%q: blank %04b, want %04b", text, got.Blank, c.want)
			}
		}
	}
}
