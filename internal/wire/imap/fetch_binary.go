package imap

import (
	"bytes"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/mail/mime"
)

// binaryExtension is the FETCH side of BINARY, RFC 3516: parts without their transfer encoding. APPEND takes literal8
// anyway.
func binaryExtension() extension {
	return extension{
		capabilities: afterLogin("BINARY"),
		fetch: map[string]fetchItem{
			"BINARY":      func(p *parser) fetchAttr { return parseBinary(p, true) },
			"BINARY.PEEK": func(p *parser) fetchAttr { return parseBinary(p, false) },
			"BINARY.SIZE": parseBinarySize,
		},
	}
}

// binarySection takes "[path]".
func (p *parser) binarySection() section {
	var s section
	p.need('[')
	s.parsePath(p)
	if p.err == nil && p.peek() != ']' {
		p.fail("Bad section%s", p.where())
	}
	p.need(']')
	return s
}

func parseBinary(p *parser, seen bool) fetchAttr {
	s := p.binarySection()
	s.parsePartial(p)
	return fetchAttr{name: strings.Replace(s.name(), "BODY", "BINARY", 1), want: WantStructure | WantBody, seen: seen,
		check: s.checkEncoding, write: s.writeBinary}
}

func parseBinarySize(p *parser) fetchAttr {
	s := p.binarySection()
	return fetchAttr{name: strings.Replace(s.name(), "BODY", "BINARY.SIZE", 1), want: WantStructure | WantBody,
		check: s.checkEncoding, write: func(c *conn, m *fetched) error {
			r, raw, ok := s.decoded(m)
			if !ok {
				c.out.WriteByte('0')
				return nil
			}
			n, _, err := measure(r, raw)
			c.out.num(uint64(n))
			return err
		}}
}

// checkEncoding refuses an encoding that cannot be undone, RFC 3516 §4.3.
func (s section) checkEncoding(m *fetched) error {
	part, ok := s.part(m.msg.MIME.Root)
	if !ok || len(s.path) == 0 || part.Kind != mime.Leaf {
		return nil
	}
	switch part.Encoding {
	case "7bit", "8bit", "binary", "base64", "quoted-printable":
		return nil
	}
	return no("UNKNOWN-CTE", "Unknown Content-Transfer-Encoding")
}

// decoded opens the part; the whole message, and parts that have parts, have no encoding to undo.
func (s section) decoded(m *fetched) (io.Reader, *checkedReader, bool) {
	if len(s.path) == 0 {
		raw := &checkedReader{r: io.NewSectionReader(m.msg.Body, 0, m.msg.Body.Size())}
		return raw, raw, true
	}
	part, ok := s.part(m.msg.MIME.Root)
	if !ok {
		return nil, nil, false
	}
	r, raw := decodedPart(m.msg.Body, part)
	return r, raw, true
}

// measure reads to the end, and tells the length and whether there is NUL.
func measure(r io.Reader, raw *checkedReader) (n int64, nul bool, err error) {
	var c countNUL
	n, _ = io.Copy(&c, readerOnly{r})
	return n, c.nul, raw.err
}

type countNUL struct{ nul bool }

func (c *countNUL) Write(p []byte) (int, error) {
	c.nul = c.nul || bytes.IndexByte(p, 0) >= 0
	return len(p), nil
}

// writeBinary decodes twice, once for the length, so that no part is ever held in memory.
func (s section) writeBinary(c *conn, m *fetched) error {
	r, raw, ok := s.decoded(m)
	if !ok {
		c.out.str("NIL")
		return nil
	}
	n, nul, err := measure(r, raw)
	if err != nil {
		return err
	}
	r, _, _ = s.decoded(m)
	if s.partial {
		skip := min(s.offset, n)
		if _, err := io.CopyN(io.Discard, r, skip); err != nil {
			return err
		}
		n = min(n-skip, s.count)
	}
	if nul {
		c.out.WriteByte('~') // RFC 3516 §4.4: literal8
	}
	c.out.literal(n)
	_, err = io.CopyN(c.out.Writer, r, n)
	return err
}
