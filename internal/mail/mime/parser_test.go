package mime

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/header"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const alternative = `From: Alice <alice@example.org>
To: bob@example.net, "Team, A" <team@example.net>
Cc: g: x@y.example;
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Fri, 21 Nov 2025 09:55:06 +0100
Message-ID: <1@example.org>
In-Reply-To: <0@example.org>
References: <a@x> <b@x>
 <0@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Hello =C3=BCber=
 all

--inner
Content-Type: text/html

<p>Hello</p>
--inner--
inner epilogue
--outer
Content-Type: application/pdf; name="a b.pdf"
Content-Disposition: attachment; filename="a b.pdf"; size=3
Content-Transfer-Encoding: base64
Content-ID: <cid@x>
Content-Description: a file
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Language: en, de
Content-Location: http://x.example/
	a.pdf

AAAA
--outer
Content-Type: message/rfc822

From: carol@example.com
Subject: inside
Content-Type: multipart/mixed; boundary=deep

--deep

deep text
--deep--
--outer--
epilogue
`

// dump shows the tree: kind, type, header and body as they stand.
func dump(b []byte, p *Part, indent string) string {
	s := fmt.Sprintf("%s%s/%s %q %q %d\n", indent, p.Type, p.Subtype, b[p.Header:p.Body], b[p.Body:p.End], p.Lines)
	if p.Kind != Leaf {
		s = fmt.Sprintf("%s%s/%s %d:%d:%d %d\n", indent, p.Type, p.Subtype, p.Header, p.Body, p.End, p.Lines)
	}
	for _, c := range p.Children {
		s += dump(b, c, indent+" ")
	}
	return s
}

func TestParser(t *testing.T) {
	b := []byte(crlf(alternative))
	m := Parse(b)
	root := m.Root
	if int(m.Size()) != len(b) || !bytes.HasSuffix(b[:m.HeaderSize()], []byte("\r\n\r\n")) || root.Kind != Multipart {
		t.Fatalf("%+v", root)
	}
	e := m.Envelope
	if e.ID() != "1@example.org" || e.Title() != "Grüße" || len(e.To) != 2 || len(e.Cc) != 3 || e.Cc[0].Kind != header.GroupStart ||
		e.From[0].Name != "Alice" || strings.Join(e.RepliesTo(), "") != "0@example.org" || e.InReplyTo != "<0@example.org>" {
		t.Errorf("envelope %+v", e)
	}
	if d, ok := e.Time(); !ok || d.UTC().Hour() != 8 {
		t.Errorf("date %v", d)
	}
	if sender, reply := e.Shown(); len(e.Sender) != 0 || sender[0] != e.From[0] || reply[0] != e.From[0] {
		t.Error("Sender and Reply-To are shown as From")
	}
	if strings.Join(m.References, " ") != "a@x b@x 0@example.org" || m.Preview != "Hello über all" || m.Flags != 0 {
		t.Errorf("facts %q %q %v", m.References, m.Preview, m.Flags)
	}
	pdf := root.Children[1]
	if pdf.ID != "<cid@x>" || pdf.Description != "a file" || pdf.Disposition != "attachment" || pdf.Encoding != "base64" ||
		pdf.MD5 == "" || strings.Join(pdf.Language, ",") != "en,de" || pdf.Location != "http://x.example/a.pdf" ||
		fmt.Sprint(pdf.Params) != "[{name a b.pdf}]" || fmt.Sprint(pdf.DispParams) != "[{filename a b.pdf} {size 3}]" {
		t.Errorf("pdf %+v", pdf)
	}
	inner := root.Children[0]
	if got := string(b[inner.Children[0].Body:inner.Children[0].End]); got != "Hello =C3=BCber=\r\n all\r\n" || inner.Children[0].Lines != 2 {
		t.Errorf("plain %q", got)
	}
	if got := string(b[inner.Body:inner.End]); !strings.HasSuffix(got, "--inner--\r\ninner epilogue") {
		t.Errorf("the epilogue belongs to the body: %q", got)
	}
	msg := root.Children[2]
	if msg.Kind != Rfc822 || msg.Envelope.Title() != "inside" || msg.Children[0].Children[0].Type != "text" || msg.Lines != 7 {
		t.Errorf("rfc822 %+v", msg)
	}
}

func TestBrokenMail(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" // 45 bytes
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "text/plain \"\" \"\" 0\n"},
		{"header only", "A: b", "text/plain \"A: b\" \"\" 0\n"},
		{"body only", "\r\nx", "text/plain \"\\r\\n\" \"x\" 0\n"},
		{"bare LF", "A: b\n\nx\ny\n", "text/plain \"A: b\\n\\n\" \"x\\ny\\n\" 2\n"},
		{"no boundary parameter", "Content-Type: multipart/mixed\r\n\r\nx\r\n", "text/plain \"Content-Type: multipart/mixed\\r\\n\\r\\n\" \"x\\r\\n\" 1\n"},
		{"boundary never comes", mixed + "text\r\n", "multipart/mixed 0:45:51 1\n text/plain \"\" \"\" 0\n"},
		{"unterminated", mixed + "--b\r\n\r\nx\r\n", "multipart/mixed 0:45:55 3\n text/plain \"\\r\\n\" \"x\\r\\n\" 1\n"},
		{"closing boundary without line end", mixed + "--b\r\n\r\nx\r\n--b--", "multipart/mixed 0:45:60 3\n text/plain \"\\r\\n\" \"x\" 0\n"},
		{"only the closing boundary", mixed + "--b--\r\n", "multipart/mixed 0:45:52 1\n text/plain \"\" \"\" 0\n"},
		{"parts after the end", mixed + "--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny", "multipart/mixed 0:45:70 6\n text/plain \"\\r\\n\" \"x\" 0\n"},
		{"boundary ends a header", mixed + "--b\r\nA: c\r\n--b\r\n\r\ny\r\n--b--",
			"multipart/mixed 0:45:71 5\n text/plain \"A: c\\r\\n\" \"\" 0\n text/plain \"\\r\\n\" \"y\" 0\n"},
		{"text after the boundary", mixed + "--b trailing\r\n\r\nx\n--b--", "multipart/mixed 0:45:68 3\n text/plain \"\\r\\n\" \"x\" 0\n"},
		{"no line between header and boundary", mixed + "--b\r\n\r\n--b--", "multipart/mixed 0:45:57 2\n text/plain \"\\r\\n\" \"\" 0\n"},
		{"unreadable type", "Content-Type: garbage\r\n\r\n", "text/plain \"Content-Type: garbage\\r\\n\\r\\n\" \"\" 0\n"},
		{"digest", "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: s\r\n\r\nt\r\n--d--",
			"multipart/digest 0:46:75 5\n message/rfc822 51:53:68 2\n  text/plain \"Subject: s\\r\\n\\r\\n\" \"t\" 0\n"},
		{"inner without end", mixed + "--b\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
			"multipart/mixed 0:45:120 9\n multipart/mixed 50:95:103 2\n  text/plain \"\\r\\n\" \"x\" 0\n text/plain \"\\r\\n\" \"y\" 0\n"},
		{"boundary that starts like the outer", mixed + "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n--b--",
			"multipart/mixed 0:45:120 7\n multipart/mixed 50:96:113 3\n  text/plain \"\\r\\n\" \"x\" 0\n"},
		{"rfc822 in base64", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJvbQ==",
			"application/octet-stream \"Content-Type: message/rfc822\\r\\nContent-Transfer-Encoding: base64\\r\\n\\r\\n\" \"RnJvbQ==\" 0\n"},
		{"rfc822 cut off in its header", "Content-Type: message/rfc822\r\n\r\nSubject: x",
			"message/rfc822 0:32:42 0\n text/plain \"Subject: x\" \"\" 0\n"},
		{"rfc822 of nothing", "Content-Type: message/rfc822\r\n", "message/rfc822 0:30:30 0\n text/plain \"\" \"\" 0\n"},
	} {
		m := Parse([]byte(c.in))
		if got := dump([]byte(c.in), m.Root, ""); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if err := check([]byte(c.in), m); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	var deep strings.Builder
	for i := range MaxDepth + 20 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n", i, i)
	}
	depth := 0
	m := Parse([]byte(deep.String()))
	for p := m.Root; ; p = p.Children[0] {
		if depth++; len(p.Children) == 0 {
			if p.Kind != Leaf || p.Subtype != "octet-stream" || p.End != m.Size() {
				t.Errorf("innermost %+v", p)
			}
			break
		}
	}
	if depth != MaxDepth || m.Flags&Limited == 0 {
		t.Errorf("depth %d", depth)
	}
	many := Parse([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", MaxParts+50)))
	if n := len(many.Root.Children); n != MaxParts-1 || many.Flags&Limited == 0 || many.Root.Children[n-1].End != many.Size() {
		t.Errorf("%d parts, %v", n, many.Flags)
	}
	if back, err := Decode(many.Encode()); err != nil || !reflect.DeepEqual(back, many) {
		t.Errorf("many parts: %v", err)
	}
	long := Parse([]byte("Subject: x\r\nX: " + strings.Repeat("y", MaxTopHeader) + "\r\nTo: z@z\r\n\r\nbody"))
	if long.Envelope.Subject != "x" || len(long.Envelope.To) != 0 || long.Flags&Limited == 0 || long.Size()-long.HeaderSize() != 4 {
		t.Errorf("long header %v", long.Flags)
	}
}

func TestFlags(t *testing.T) {
	for in, want := range map[string]Flags{
		"A: b\r\n\r\nbody": 0, "A: \xc3\xa4\r\n\r\nbody": EightBitHeader, "A: b\r\n\r\nb\xc3\xb6dy": EightBitBody, "A: b\r\n\r\n" + strings.Repeat("x", 99) + "\x80": EightBitBody,
		"A: b\r\n\r\n\x00": NUL, "A: \xff\x00\r\n\r\n\xff": EightBitBody | EightBitHeader | NUL,
	} {
		if m := Parse([]byte(in)); m.Flags != want {
			t.Errorf("%q: %v", in, m.Flags)
		}
	}
}

func TestPreview(t *testing.T) {
	long := strings.Repeat("wörd ", 100)
	for in, want := range map[string]string{
		"\r\n  two\r\n\twords ": "two words",
		"\r\n" + long:           strings.TrimSpace(long[:len("wörd ")*40]),
		"Content-Transfer-Encoding: base64\r\n\r\nSGVs\r\nbG8=\r\n":                                                                "Hello",
		"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nf\xfcr":                                                               "für",
		"Content-Type: text/html\r\n\r\n<head><title>T</title></head><style>p{}</style><p>A &amp; <b>b</b>old<!-- c --><br>x":      "A & bold x",
		"Content-Type: image/png\r\n\r\nxxxx":                                                                                      "",
		"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nfile":                                                  "",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>h\r\n--b\r\n\r\nplain\r\n--b--": "plain",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>h\r\n--b\r\n\r\n \r\n--b--":     "h",
		"Content-Type: message/rfc822\r\n\r\n\r\nforwarded":                                                                        "",
	} {
		if got := Parse([]byte(in)).Preview; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// check verifies that offsets nest, are in order, and that lines are those of the body.
func check(b []byte, m *Message) error {
	if m.Root.Header != 0 || m.Size() != int64(len(b)) {
		return fmt.Errorf("root %d:%d of %d", m.Root.Header, m.Root.End, len(b))
	}
	var walk func(p *Part, depth int) error
	walk = func(p *Part, depth int) error {
		if p.Header > p.Body || p.Body > p.End || depth > MaxDepth+1 || p.Type == "" || p.Subtype == "" || p.Encoding == "" {
			return fmt.Errorf("part %+v", p)
		}
		if n := int64(bytes.Count(b[p.Body:p.End], lineFeed)); n != p.Lines {
			return fmt.Errorf("part %+v has %d lines", p, n)
		}
		if (p.Kind == Leaf) != (len(p.Children) == 0) || (p.Kind == Rfc822) != (p.Envelope != nil) {
			return fmt.Errorf("part %+v has %d children", p, len(p.Children))
		}
		cursor := p.Body
		for _, c := range p.Children {
			if c.Header < cursor {
				return fmt.Errorf("part at %d, before %d", c.Header, cursor)
			}
			if err := walk(c, depth+1); err != nil {
				return err
			}
			cursor = c.End
		}
		if cursor > p.End || p.Kind == Rfc822 && (p.Children[0].Header != p.Body || cursor != p.End) {
			return fmt.Errorf("children of %+v end at %d", p, cursor)
		}
		return nil
	}
	return walk(m.Root, 1)
}

func parseIn(b []byte, sizes []byte) *Message {
	p := NewParser()
	for i := 0; len(b) > 0; i++ {
		n := 1
		if len(sizes) > 0 {
			n = min(max(1, int(sizes[i%len(sizes)])), len(b))
		}
		piece := bytes.Clone(b[:n])
		p.Write(piece)
		for j := range piece {
			piece[j] = '-' // the parser must not hold on to what it was given
		}
		b = b[n:]
	}
	return p.Close()
}

// The pieces do not matter, offsets nest, and the stored form comes back as it was.
func FuzzParser(f *testing.F) {
	f.Add([]byte(crlf(alternative)), []byte{7})
	f.Fuzz(func(t *testing.T, b, sizes []byte) {
		m := Parse(b)
		if err := check(b, m); err != nil {
			t.Fatal(err)
		}
		if other := parseIn(b, sizes); !reflect.DeepEqual(m, other) {
			t.Fatalf("in one piece\n%s%+v\nin %v\n%s%+v", dump(b, m.Root, ""), m, sizes, dump(b, other.Root, ""), other)
		}
		stored := m.Encode()
		back, err := Decode(stored)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("stored: %v\n%+v\n%+v", err, m, back)
		}
		if e, err := DecodeEnvelope(stored); err != nil || !reflect.DeepEqual(*e, m.Envelope) {
			t.Fatalf("envelope: %v", err)
		}
	})
}
