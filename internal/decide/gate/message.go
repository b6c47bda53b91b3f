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
	tops     int  // how many of fields stand above our Received field
	split    bool // fields are single ones
	cut      bool // the header is longer than what Header has
	many     bool // it has too many fields
	changed  bool // a field is not as it came
	reparse  bool // the structure may be another
	headless bool
}

// piece is a field or another bit of the header: the client's, at its place, or ours (at is -1).
type piece struct {
	text []byte
	at   int64
}

// maxFields bounds the fields of a header that somebody looks into: there is an event, a look-up or a change for each.
const maxFields = 10_000

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
	m.many = len(h.Fields) > maxFields
	end := 0
	if n := len(h.Fields); n > 0 { // one piece, until somebody changes a field
		start := h.Fields[0].Start
		end = h.Fields[n-1].End
		m.fields = []piece{{head[start:end], int64(start)}}
	}
	if h.Size > end {
		m.empty = piece{head[end:h.Size], int64(end)}
	}
	m.body = span{int64(h.Size), size - int64(h.Size)}
	return m
}

// single makes a piece of each field.
func (m *Message) single() {
	if m.split || len(m.fields) == 0 {
		m.split = true
		return
	}
	all := m.fields[0]
	m.split, m.fields = true, make([]piece, 0, len(m.Header.Fields)+8)
	for _, f := range m.Header.Fields {
		at := int64(f.Start)
		m.fields = append(m.fields, piece{all.text[at-all.at : int64(f.End)-all.at], at})
	}
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
func (m *Message) Open() *recipe.Reader { return recipe.NewReader(source{m.bytes}, m.recipe(nil, nil)) }

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

// ErrFields is the same for a header of too many fields.
var ErrFields = status.Perm(552, 3, 4, "Message header has too many fields: the limit is 10000")

// Complete returns ErrHeader when Header is not all of the header, ErrFields when it has more fields than anybody looks at.
func (m *Message) Complete() error {
	switch {
	case m.cut:
		return ErrHeader
	case m.many:
		return ErrFields
	}
	return nil
}

// header lists what the header is made of, with the empty line: above is on top of all, own stands where our Received field does.
func (m *Message) header(above, own []byte) []piece {
	all := append(make([]piece, 0, len(m.fields)+3), piece{above, -1})
	all = append(append(all, m.fields[:m.tops]...), piece{own, -1})
	return append(append(all, m.fields[m.tops:]...), m.empty)
}

// block is the header as bytes.
func (m *Message) block(above, own []byte) []byte {
	var b []byte
	for _, p := range m.header(above, own) {
		b = append(b, p.text...)
	}
	return b
}

// maxLiteral is how much of the header a recipe holds itself; more of it goes behind the client's bytes.
const maxLiteral = recipe.MaxLiteral / 2

// recipe is the whole message.
func (m *Message) recipe(above, own []byte) recipe.Recipe {
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
	for _, p := range m.header(above, own) {
		add(p)
	}
	if last := len(r) - 1; last >= 0 && r[last].Literal == nil && r[last].Offset+r[last].Length == m.body.at {
		r[last].Length += m.body.length
	} else if m.body.length > 0 {
		r = append(r, recipe.Segment{Blob: self, Offset: m.body.at, Length: m.body.length})
	}
	return r
}

// Finish returns the recipe of the message with our own fields (whole ones, such as Received) in their place, and brings the
// index, which is of the bytes as they came, up to date. It is the last call.
func (m *Message) Finish(own []byte, index *mime.Message) (recipe.Recipe, *mime.Message, error) {
	r := m.recipe(m.above, own)
	literal := 0
	for _, s := range r {
		literal += len(s.Literal)
	}
	if literal > maxLiteral || len(r) > header.MaxRanges {
		block := m.block(m.above, own)
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
		index.SetHeader(m.block(m.above, own))
	default:
		if err := index.Shift(r.Size() - index.Size()); err != nil {
			return nil, nil, err
		}
	}
	return r, index, r.Check()
}
