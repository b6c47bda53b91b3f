package mime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-message"

	"github.com/postrider/postrider/internal/mail/header"
)

// Handmade messages, ordinary and broken, on which a second parser must see the same parts with the same content.
func handmade() map[string]string {
	attach := "--m\n\nfirst\n--m\nContent-Type: image/png\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=a.png\n\niVBORw0KGgo=\n--m--\n"
	return map[string]string{
		"plain":            "From: a@b\nSubject: s\n\nHello\nworld\n",
		"no header":        "\nHello\n",
		"quoted":           "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A4 soft=\n break\n",
		"base64":           "Content-Transfer-Encoding: BASE64\n\nSGVsbG8=\n",
		"alternative":      alternative,
		"mixed":            "Content-Type: multipart/mixed; boundary=m\n\n" + attach,
		"preamble":         "Content-Type: multipart/mixed; boundary=m\n\nThis is MIME.\n\n" + attach + "epilogue\n",
		"three deep":       "Content-Type: multipart/mixed; boundary=1\n\n--1\nContent-Type: multipart/related; boundary=2\n\n--2\nContent-Type: multipart/alternative; boundary=3\n\n--3\n\na\n--3\nContent-Type: text/html\n\n<b>\n--3--\n\n--2\nContent-Type: image/gif\n\nR0lG\n--2--\n\n--1\n\nlast\n--1--\n",
		"empty parts":      "Content-Type: multipart/mixed; boundary=m\n\n--m\n\n\n--m\nContent-Type: text/html\n\n\n--m--\n",
		"dashes in text":   "Content-Type: multipart/mixed; boundary=m\n\n--m\n\n-- \nsignature\n---\n--\n--n\n-\n--m--\n",
		"blanks after it":  "Content-Type: multipart/mixed; boundary=\"m\"\n\n--m  \n\none\n--m--  \n",
		"odd boundary":     "Content-Type: multipart/mixed; boundary=\"=_'()+_,-./:=? x\"\n\n--=_'()+_,-./:=? x\n\none\n--=_'()+_,-./:=? x--\n",
		"folded type":      "Content-Type: multipart/mixed;\n\tboundary=\n \"m\"\n\n" + attach,
		"no closing":       "Content-Type: multipart/mixed; boundary=m\n\n--m\n\none\n--m\n\ntwo",
		"forwarded":        "Content-Type: multipart/mixed; boundary=f\n\n--f\n\nsee below\n--f\nContent-Type: message/rfc822\n\nSubject: in\n\nInner text\n--f--\n",
		"type in capitals": "CONTENT-TYPE: MULTIPART/MIXED; BOUNDARY=m\n\n" + attach,
	}
}

func TestSecondParser(t *testing.T) {
	for name, text := range handmade() {
		b := []byte(crlf(text))
		var ours, theirs []string
		var walk func(p *Part)
		walk = func(p *Part) {
			if p.Kind == Multipart {
				ours = append(ours, p.Type+"/"+p.Subtype)
				for _, c := range p.Children {
					walk(c)
				}
				return
			}
			body := b[p.Body:p.End]
			switch p.Encoding {
			case "base64":
				body = header.DecodeBase64(body)
			case "quoted-printable":
				body = decodeQuotedPrintable(body)
			}
			file, _ := header.Get(p.DispParams, "filename")
			ours = append(ours, fmt.Sprintf("%s/%s %q %s %s", p.Type, p.Subtype, body, p.Disposition, file))
		}
		walk(Parse(b).Root)
		e, err := message.Read(bytes.NewReader(b))
		if err != nil && !message.IsUnknownCharset(err) {
			t.Fatalf("%s: %v", name, err)
		}
		theirs = second(t, e, theirs)
		if a, b := strings.Join(ours, "\n"), strings.Join(theirs, "\n"); a != b {
			t.Errorf("%s:\nours\n%s\ntheirs\n%s", name, a, b)
		}
	}
}

func second(t *testing.T, e *message.Entity, out []string) []string {
	typ, _, _ := e.Header.ContentType()
	if r := e.MultipartReader(); r != nil {
		out = append(out, typ)
		for {
			part, err := r.NextPart()
			if part == nil {
				// Text without its closing boundary is an error there and the end of the part here.
				if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "EOF") {
					t.Fatal(err)
				}
				return out
			}
			out = second(t, part, out)
		}
	}
	body, err := io.ReadAll(e.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	disp, params, _ := e.Header.ContentDisposition()
	return append(out, fmt.Sprintf("%s %q %s %s", typ, body, disp, params["filename"]))
}

func BenchmarkParser(b *testing.B) {
	line := strings.Repeat("x", 75) + "\r\n"
	for _, c := range []struct{ name, text string }{
		{"1MiB text", "Subject: x\r\n\r\n" + strings.Repeat(line, 1<<20/len(line))},
		{"1MiB multipart", "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\n" + strings.Repeat(line, 1<<20/len(line)) + "--m--\r\n"},
		{"1MiB short lines", "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\n" + strings.Repeat("ab\r\n", 1<<18) + "--m--\r\n"},
		{"1MiB dashes", "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\n" + strings.Repeat("--\r\n", 1<<18) + "--m--\r\n"},
		{"ordinary", crlf(alternative)},
	} {
		b.Run(c.name, func(b *testing.B) {
			text := []byte(c.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				p := NewParser()
				for i := 0; i < len(text); i += 32 << 10 {
					p.Write(text[i:min(len(text), i+32<<10)])
				}
				p.Close()
			}
		})
	}
	m := Parse([]byte(crlf(alternative)))
	stored := m.Encode()
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Encode()
		}
	})
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Decode(stored)
		}
	})
	b.Run("DecodeEnvelope", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = DecodeEnvelope(stored)
		}
	})
	b.ReportMetric(float64(len(stored)), "bytes-stored")
}
