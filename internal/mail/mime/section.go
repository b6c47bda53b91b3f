package mime

import (
	"errors"

	"github.com/postrider/postrider/internal/mail/header"
)

// What is a section-text of IMAP, RFC 9051 §6.4.5.
type What uint8

// The kinds of section.
const (
	Whole  What = iota // BODY[] or BODY[1.2]
	Header             // BODY[HEADER] or BODY[1.2.HEADER]; for a part, of the message in it
	Text               // BODY[TEXT] or BODY[1.2.TEXT]; for a part, of the message in it
	MIME               // BODY[1.2.MIME]; the header of the part itself
)

// Find returns the part that an IMAP section number names; nil if there is none. The root is the empty path.
//
// RFC 9051 §6.4.5: a message that is not multipart has part 1, its body. The numbers below a message/rfc822 are those of
// the message in it: 3.1 is the first part of the multipart in part 3, or the body of the message in part 3.
func (m *Message) Find(path []uint32) *Part {
	part := m.Root
	for i, n := range path {
		inside := part // the part whose parts are counted
		switch {
		case i == 0 || part.Kind == Multipart:
		case part.Kind == Rfc822 && len(part.Children) == 1:
			inside = part.Children[0]
		default:
			return nil
		}
		switch {
		case n == 0:
			return nil
		case inside.Kind == Multipart:
			if uint64(n) > uint64(len(inside.Children)) {
				return nil
			}
			part = inside.Children[n-1]
		case n == 1:
			part = inside
		default:
			return nil
		}
	}
	return part
}

// Section returns the byte range of an IMAP section. Without such a section ok is false.
func (m *Message) Section(path []uint32, what What) (start, end int64, ok bool) {
	part := m.Find(path)
	if part == nil {
		return 0, 0, false
	}
	message := part // the one whose HEADER and TEXT are wanted
	if len(path) > 0 {
		switch what {
		case Whole:
			return part.Body, part.End, true
		case MIME:
			return part.Header, part.Body, true
		}
		if part.Kind != Rfc822 || len(part.Children) != 1 {
			return 0, 0, false
		}
		message = part.Children[0]
	}
	switch what {
	case Whole:
		return 0, message.End, true
	case Header:
		return message.Header, message.Body, true
	case Text:
		return message.Body, message.End, true
	}
	return 0, 0, false // BODY[MIME]
}

// ErrShift is returned by Shift when more would be removed than the top header has.
var ErrShift = errors.New("top header is shorter than what is removed")

// Shift accounts for delta bytes more (a literal in front, an added field) or less (a removed one) in the top header. The
// header still starts at 0; all else moves.
func (m *Message) Shift(delta int64) error {
	if m.Root.Body+delta < 0 {
		return ErrShift
	}
	m.Root.Body += delta
	m.Root.End += delta
	for _, c := range m.Root.Children {
		c.shift(delta)
	}
	return nil
}

// shift recurses no deeper than the parser nests.
func (p *Part) shift(delta int64) {
	p.Header += delta
	p.Body += delta
	p.End += delta
	for _, c := range p.Children {
		c.shift(delta)
	}
}

// SetHeader accounts for a changed top header: block is the new one with its empty line. Envelope, References and flags
// are read again, offsets move by the difference. The Content fields must be the same.
func (m *Message) SetHeader(block []byte) {
	long := len(block) > MaxTopHeader
	h, _ := header.Parse(block, MaxTopHeader)
	f := fields{room: MaxStrings, limited: long}
	f.message(m, h)
	m.Flags &^= EightBitHeader
	if has8Bit(block) {
		m.Flags |= EightBitHeader
	}
	if f.limited {
		m.Flags |= Limited
	}
	_ = m.Shift(int64(len(block)) - m.Root.Body) // cannot be: the new length is not negative
}
