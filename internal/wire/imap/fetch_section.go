package imap

import (
	"bytes"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
)

// maxHeader is how much of a header HEADER.FIELDS and SEARCH look at.
const maxHeader = 1 << 20

type sectionKind uint8

const (
	sectionAll sectionKind = iota
	sectionHeader
	sectionFields
	sectionFieldsNot
	sectionMIME
	sectionText
)

// section is what stands in the brackets of BODY[…] and behind them, RFC 9051 §6.4.5.1.
type section struct {
	path    []int
	kind    sectionKind
	fields  []string // of HEADER.FIELDS and HEADER.FIELDS.NOT, as written
	partial bool
	offset  int64
	count   int64
}

// section takes "[…]" and an optional "<offset.count>".
func (p *parser) section() section {
	var s section
	p.need('[')
	s.parsePath(p)
	if p.peek() != ']' {
		if len(s.path) > 0 && p.i > 0 && p.b[min(p.i, len(p.b))-1] != '.' {
			p.fail("Bad section%s", p.where())
		}
		s.text(p)
	}
	p.need(']')
	s.parsePartial(p)
	return s
}

// parsePath takes the numbers, and a dot behind them.
func (s *section) parsePath(p *parser) {
	for p.err == nil && p.peek() >= '0' && p.peek() <= '9' {
		if len(s.path) == maxDepth {
			p.fail("Section too deep")
		}
		s.path = append(s.path, int(p.nzNumber()))
		if !p.eat('.') {
			break
		}
		if p.peek() == ']' {
			p.fail("Section ends in a dot")
		}
	}
}

// parsePartial takes an optional "<offset.count>".
func (s *section) parsePartial(p *parser) {
	if p.eat('<') {
		s.partial, s.offset = true, int64(p.number())
		p.need('.')
		s.count = int64(p.nzNumber())
		p.need('>')
	}
}

// text takes section-text.
func (s *section) text(p *parser) {
	switch {
	case p.eatWord("HEADER.FIELDS.NOT "):
		s.kind = sectionFieldsNot
	case p.eatWord("HEADER.FIELDS "):
		s.kind = sectionFields
	case p.eatWord("HEADER"):
		s.kind = sectionHeader
		return
	case p.eatWord("TEXT"):
		s.kind = sectionText
		return
	case len(s.path) > 0 && p.eatWord("MIME"): // of a part only
		s.kind = sectionMIME
		return
	default:
		p.fail("Unknown section%s", p.where())
		return
	}
	p.list(func() {
		if len(s.fields) == 200 {
			p.fail("Too many header fields")
		}
		s.fields = append(s.fields, p.astring())
	})
	if p.err == nil && len(s.fields) == 0 {
		p.fail("No header fields named")
	}
}

// name is the item's name in the response.
func (s section) name() string {
	var e strings.Builder
	e.WriteString("BODY[")
	for i, n := range s.path {
		if i > 0 {
			e.WriteByte('.')
		}
		e.WriteString(decimal(uint32(n)))
	}
	if text := [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "MIME", "TEXT"}[s.kind]; text != "" {
		if len(s.path) > 0 {
			e.WriteByte('.')
		}
		e.WriteString(text)
	}
	if len(s.fields) > 0 {
		e.WriteString(" (")
		for i, f := range s.fields {
			if i > 0 {
				e.WriteByte(' ')
			}
			e.WriteString(fieldName(f))
		}
		e.WriteByte(')')
	}
	e.WriteByte(']')
	if s.partial {
		e.WriteString("<" + decimal(uint32(s.offset)) + ">")
	}
	return e.String()
}

// fieldName writes a field name as an astring; one that no field can have is written so that the response stays intact.
func fieldName(f string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, f)
	for i := range len(clean) {
		if !atomChar(clean[i]) {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean) + `"`
		}
	}
	if clean == "" {
		return `""`
	}
	return clean
}

// attr makes the item.
func (s section) attr(name string, seen bool) fetchAttr {
	a := fetchAttr{name: name, want: WantBody, seen: seen, write: s.write}
	if len(s.path) > 0 || s.kind != sectionAll {
		a.want |= WantStructure
	}
	return a
}

func (s section) write(c *conn, m *fetched) error {
	if len(s.path) == 0 && s.kind == sectionAll {
		return s.stream(c, m.msg.Body, 0, m.msg.Body.Size())
	}
	from, to, ok := s.find(m.msg.MIME.Root)
	if !ok {
		c.out.str("NIL") // RFC 9051 §6.4.5.1 leaves open what a part that is not there is
		return nil
	}
	if s.kind != sectionFields && s.kind != sectionFieldsNot {
		return s.stream(c, m.msg.Body, from, to)
	}
	block, err := m.headerBlock(from, to, len(s.path) == 0)
	if err != nil {
		return err
	}
	chosen := s.choose(block)
	return s.stream(c, bytes.NewReader(chosen), 0, int64(len(chosen)))
}

// stream writes [from, to), or the part of it that was asked for.
func (s section) stream(c *conn, r io.ReaderAt, from, to int64) error {
	if s.partial { // RFC 9051 §6.4.5: beyond the end is the empty string
		from = min(from+s.offset, to)
		to = min(from+s.count, to)
	}
	return c.out.stream(r, from, to-from)
}

// part follows the path.
func (s section) part(root *mime.Part) (*mime.Part, bool) {
	part := root
	for i, n := range s.path {
		inside := part // whose parts are numbered
		if i > 0 {
			if part.Kind == mime.Rfc822 {
				inside = part.Children[0] // RFC 9051 §6.4.5.1: the parts of a message/rfc822 are those of the message in it
			} else if part.Kind == mime.Leaf {
				return nil, false
			}
		}
		switch {
		case inside.Kind == mime.Multipart && n <= len(inside.Children):
			part = inside.Children[n-1]
		case inside.Kind != mime.Multipart && n == 1:
			part = inside // a message that is not multipart has one part, which is itself
		default:
			return nil, false
		}
	}
	return part, true
}

// find returns the range of bytes that the section means.
func (s section) find(root *mime.Part) (from, to int64, ok bool) {
	part, ok := s.part(root)
	if !ok {
		return 0, 0, false
	}
	switch s.kind {
	case sectionAll:
		return part.Body, part.End, true
	case sectionMIME:
		return part.Header, part.Body, true
	}
	if len(s.path) > 0 { // HEADER and TEXT of a part are those of the message in it
		if part.Kind != mime.Rfc822 {
			return 0, 0, false
		}
		part = part.Children[0]
	}
	if s.kind == sectionText {
		return part.Body, part.End, true
	}
	return part.Header, part.Body, true
}

// headerBlock reads a header, at most maxHeader of it.
func (m *fetched) headerBlock(from, to int64, top bool) ([]byte, error) {
	if top && m.header != nil {
		return m.header, nil
	}
	b := make([]byte, min(to-from, maxHeader))
	if n, err := m.msg.Body.ReadAt(b, from); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if top {
		m.header = b
	}
	return b, nil
}

// choose returns the fields that are named, or the others, and the empty line, which always belongs to them.
func (s section) choose(block []byte) []byte {
	h, _ := header.Parse(block, len(block)) // what does not end is shown as far as it goes
	out := make([]byte, 0, min(len(block), 4<<10))
	for _, f := range h.Fields {
		named := false
		for _, want := range s.fields {
			named = named || h.Is(f, want)
		}
		if named == (s.kind == sectionFields) {
			out = append(out, block[f.Start:f.End]...)
		}
	}
	return append(out, "\r\n"...)
}
