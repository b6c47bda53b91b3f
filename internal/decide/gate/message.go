package gate

import (
	"io"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
)

// Bytes is where a message's bytes are until it is accepted: the record that is being written.
type Bytes interface {
	io.ReaderAt
	// Append puts bytes behind those of the client and returns where they begin.
	Append(p []byte) (at int64, err error)
	// Self refers to the record, as long as it is now.
	Self() recipe.BlobRef
}

// Message is a message as gates see it: the bytes of the client, with what gates before have changed. A change moves nothing:
// the message is a list of pieces of the record, and what is new is a literal of its recipe, or behind the client's bytes.
//
// Our own Received field is not in it; it is put on top when the message is accepted.
type Message struct {
	Header *header.Header // the top header as it is now
	Size   int64          // octets

	bytes    Bytes
	fields   []piece
	empty    piece // the line between header and body; none in a message that ends with its header
	body     span  // of the record
	above    []byte
	cut      bool // the header is longer than what Header has
	changed  bool // a field is not as it came
	reparse  bool // the structure may be another
	headless bool
}

// piece is a field or another bit of the header: the client's, at its place, or ours (at is -1).
type piece struct {
	text []byte
	at   int64
}

type span struct{ at, length int64 }

// NewMessage begins with the bytes as the client sent them. head is the top header's block, h the same parsed (they must stay
// valid as long as the message), whole tells that nothing of it is missing, size is the message's length.
func NewMessage(b Bytes, head []byte, h *header.Header, whole bool, size int64) *Message {
	m := &Message{Header: h, Size: size, bytes: b, cut: !whole}
	if m.headless = isText(head, h); m.headless {
		m.Header, m.body = &header.Header{}, span{0, size}
		m.empty = piece{[]byte("\r\n"), -1}
		m.Size += 2
		return m
	}
	end := 0
	for _, f := range h.Fields {
		m.fields = append(m.fields, piece{head[f.Start:f.End], int64(f.Start)})
		end = f.End
	}
	if h.Size > end {
		m.empty = piece{head[end:h.Size], int64(end)}
	}
	m.body = span{int64(h.Size), size - int64(h.Size)}
	return m
}

// isText tells a message that begins with text instead of a header: its first line is no field, nor the line that mbox files
// have in front of a message.
func isText(head []byte, h *header.Header) bool {
	if len(h.Fields) == 0 || h.Fields[0].NameEnd != h.Fields[0].Start {
		return false
	}
	for len(head) > 0 && head[0] == '>' {
		head = head[1:]
	}
	return len(head) < 5 || string(head[:5]) != "From "
}

// Open reads the whole message as it is now, with its header. It may be called more than once; a change ends its readers.
func (m *Message) Open() *recipe.Reader { return recipe.NewReader(source{m.bytes}, m.recipe(nil)) }

// Body reads what follows the empty line.
func (m *Message) Body() *recipe.Reader {
	return recipe.NewReader(source{m.bytes}, recipe.Recipe{{Blob: m.bytes.Self(), Offset: m.body.at, Length: m.body.length}})
}

type source struct{ io.ReaderAt }

func (s source) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	_, err := s.ReadAt(p, off)
	return err
}

// ErrHeader refuses a message whose header must be looked into, or changed, and is too long for that.
var ErrHeader = status.Perm(552, 3, 4, "Message header is too large: the limit is 256 KiB")

// Complete returns ErrHeader when Header is not all of the header.
func (m *Message) Complete() error {
	if m.cut {
		return ErrHeader
	}
	return nil
}

// block is the header as it is now, with the empty line.
func (m *Message) block(top []byte) []byte {
	n := len(top) + len(m.empty.text)
	for _, f := range m.fields {
		n += len(f.text)
	}
	b := append(make([]byte, 0, n), top...)
	for _, f := range m.fields {
		b = append(b, f.text...)
	}
	return append(b, m.empty.text...)
}

// maxLiteral is how much of the header a recipe holds itself; more of it goes behind the client's bytes.
const maxLiteral = recipe.MaxLiteral / 2

// recipe is the message with top in front.
func (m *Message) recipe(top []byte) recipe.Recipe {
	self := m.bytes.Self()
	var r recipe.Recipe
	add := func(p piece) {
		last := len(r) - 1
		switch {
		case len(p.text) == 0:
		case p.at < 0 && last >= 0 && r[last].Literal != nil:
			r[last] = recipe.Literal(append(r[last].Literal, p.text...))
		case p.at < 0:
			r = append(r, recipe.Literal(append([]byte(nil), p.text...)))
		case last >= 0 && r[last].Literal == nil && r[last].Offset+r[last].Length == p.at:
			r[last].Length += int64(len(p.text))
		default:
			r = append(r, recipe.Segment{Blob: self, Offset: p.at, Length: int64(len(p.text))})
		}
	}
	add(piece{top, -1})
	for _, f := range m.fields {
		add(f)
	}
	add(m.empty)
	if last := len(r) - 1; last >= 0 && r[last].Literal == nil && r[last].Offset+r[last].Length == m.body.at {
		r[last].Length += m.body.length
	} else if m.body.length > 0 {
		r = append(r, recipe.Segment{Blob: self, Offset: m.body.at, Length: m.body.length})
	}
	return r
}

// Finish returns the recipe of the message with top (whole fields, such as Received) in front, and brings the index, which
// is of the bytes as they came, up to date. It is the last call.
func (m *Message) Finish(top []byte, index *mime.Message) (recipe.Recipe, *mime.Message, error) {
	top = append(append([]byte(nil), m.above...), top...)
	r := m.recipe(top)
	literal := 0
	for _, s := range r {
		literal += len(s.Literal)
	}
	if literal > maxLiteral || len(r) > header.MaxRanges {
		block := m.block(top)
		at, err := m.bytes.Append(block)
		if err != nil {
			return nil, nil, err
		}
		self := m.bytes.Self()
		r = recipe.Recipe{{Blob: self, Offset: at, Length: int64(len(block))}}
		if m.body.length > 0 {
			r = append(r, recipe.Segment{Blob: self, Offset: m.body.at, Length: m.body.length})
		}
	}
	switch {
	case m.reparse || m.headless:
		p := mime.NewParser()
		if _, err := recipe.NewReader(source{m.bytes}, r).WriteTo(p); err != nil {
			return nil, nil, err
		}
		index = p.Close()
	case (m.changed || len(m.above) > 0) && !m.cut: // of a header that is cut, only what is in front is new
		index.SetHeader(m.block(top))
	default:
		if err := index.Shift(r.Size() - index.Size()); err != nil {
			return nil, nil, err
		}
	}
	return r, index, r.Check()
}
