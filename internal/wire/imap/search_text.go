package imap

import (
	"bytes"
	"io"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
)

// maxSearchPart is how much of one part a text search reads, decoded.
const maxSearchPart = 8 << 20

// textMatch looks for a needle in the text of a message: decoded header fields for All, and for both All and Body the
// decoded text parts, the headers of parts left out.
func (m *candidate) textMatch(field TextField, needle string) (bool, error) {
	if needle == "" {
		return true, nil
	}
	if field.All {
		fields, err := m.foldHeader()
		if err != nil || bytes.Contains(fields, []byte(needle)) {
			return err == nil, err
		}
	}
	return m.searchPart(m.msg.MIME.Root, field.All, needle)
}

// searchPart searches the text parts below p. headers: those of attached messages too.
func (m *candidate) searchPart(p *mime.Part, headers bool, needle string) (bool, error) {
	for _, child := range p.Children {
		if p.Kind == mime.Rfc822 && containsFold(p.Envelope.Title(), needle) {
			return true, nil
		}
		if ok, err := m.searchPart(child, headers, needle); ok || err != nil {
			return ok, err
		}
	}
	if p.Kind != mime.Leaf || p.Type != "text" {
		return false, nil
	}
	text, err := m.partText(p)
	return err == nil && bytes.Contains(text, []byte(needle)), err
}

// partText is the folded text of a part. As much of a message's as one part may have is kept, for the next key: a search
// may have many.
func (m *candidate) partText(p *mime.Part) ([]byte, error) {
	if text, ok := m.texts[p]; ok {
		return text, nil
	}
	if m.texts == nil {
		m.mem.text = m.mem.text[:0]
	}
	n := len(m.mem.text)
	all, err := m.foldPart(m.mem.text, p)
	text := all[n:]
	if err == nil && len(all) <= maxSearchPart {
		if m.texts == nil {
			m.texts = map[*mime.Part][]byte{}
		}
		m.texts[p], m.mem.text = text, all
	}
	return text, err
}

// partText reads a text part as UTF-8. What cannot be decoded ends the text there.
func partText(body Body, p *mime.Part) (string, error) {
	r, raw := decodedPart(body, p)
	b, _ := io.ReadAll(io.LimitReader(r, maxSearchPart)) // only the disk fails: see raw
	if raw.err != nil {
		return "", raw.err
	}
	charset, _ := header.Get(p.Params, "charset")
	text, _ := header.DecodeCharset(charset, b)
	return text, nil
}

// decodedPart reads the body of a part without its transfer encoding. raw holds the errors of reading as opposed to those
// of decoding.
func decodedPart(body Body, p *mime.Part) (r io.Reader, raw *checkedReader) {
	raw = &checkedReader{r: io.NewSectionReader(body, p.Body, p.Size())}
	switch p.Encoding {
	case "base64":
		return newBase64(raw), raw
	case "quoted-printable":
		return newQuotedPrintable(raw), raw
	}
	return raw, raw
}

// checkedReader remembers an error of the disk, so that it is not taken for one of the encoding.
type checkedReader struct {
	r   io.Reader
	err error
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
