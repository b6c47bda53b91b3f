package mime

import (
	"encoding/binary"

	"github.com/postrider/postrider/internal/mail/header"
)

// Decode reads the stored form.
func Decode(b []byte) (*Message, error) { return new(Decoder).Decode(string(b)) }

// DecodeEnvelope reads the top ENVELOPE alone, which is what listing a mailbox needs.
func DecodeEnvelope(b []byte) (*Envelope, error) {
	m, err := new(Decoder).Envelope(string(b))
	if err != nil {
		return nil, err
	}
	return &m.Envelope, nil
}

// DecodeFacts reads flags, References and preview alone: Root is nil and the Envelope empty.
func DecodeFacts(b []byte) (*Message, error) { return new(Decoder).Facts(string(b)) }

// Decoder reads one stored form after the other into the same memory: what a method returns is good until the next call,
// but for its strings, which are parts of s. The zero value is ready.
type Decoder struct {
	message   Message
	parts     slab[Part]
	children  slab[*Part]
	params    slab[header.Param]
	mailboxes slab[header.Mailbox]
}

// Decode reads everything.
func (d *Decoder) Decode(s string) (*Message, error) {
	d.reset()
	parts, facts, envelope := d.open(s)
	m := &d.message
	facts.facts(m)
	m.Envelope = envelope.envelope()
	parts.parts = MaxParts + MaxDepth
	m.Root = parts.part(0, 1)
	if parts.bad || facts.bad || envelope.bad || parts.s != "" || facts.s != "" || envelope.s != "" {
		return nil, ErrCorrupt
	}
	return m, nil
}

// Envelope reads the top ENVELOPE alone: Root is nil.
func (d *Decoder) Envelope(s string) (*Message, error) {
	d.reset()
	_, _, envelope := d.open(s)
	d.message.Envelope = envelope.envelope()
	if envelope.bad || envelope.s != "" {
		return nil, ErrCorrupt
	}
	return &d.message, nil
}

// Facts reads flags, References and preview alone: Root is nil and the Envelope empty.
func (d *Decoder) Facts(s string) (*Message, error) {
	d.reset()
	_, facts, _ := d.open(s)
	facts.facts(&d.message)
	if facts.bad || facts.s != "" {
		return nil, ErrCorrupt
	}
	return &d.message, nil
}

func (d *Decoder) reset() {
	d.message = Message{}
	d.parts.reset()
	d.children.reset()
	d.params.reset()
	d.mailboxes.reset()
}

// slab lends memory that is used again after reset.
type slab[T any] struct{ free, all []T }

// keepSlab is how many elements are kept for the next message: a message with ten thousand parts is rare.
const keepSlab = 256

// take lends n elements, all zero.
func (s *slab[T]) take(n int) []T {
	if n > len(s.free) {
		// What was lent stays with who has it.
		s.free = make([]T, max(n, min(2*len(s.all), keepSlab), 8))
		s.all = s.free
	}
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out
}

func (s *slab[T]) reset() {
	if len(s.all) > keepSlab {
		s.all, s.free = nil, nil
	}
	clear(s.all[:len(s.all)-len(s.free)])
	s.free = s.all
}

// decoder reads with one sticky failure. Strings are parts of one string, so that they cost nothing each.
type decoder struct {
	s     string
	bad   bool
	parts int // that may still come
	mem   *Decoder
}

// open splits the stored form into parts, facts and envelope.
func (d *Decoder) open(s string) (parts, facts, envelope decoder) {
	parts, facts, envelope = decoder{mem: d}, decoder{mem: d}, decoder{mem: d}
	if len(s) == 0 || len(s) > maxEncoded || s[0] != version {
		parts.bad, facts.bad, envelope.bad = true, true, true
		return parts, facts, envelope
	}
	parts.s = s[1:]
	facts.s = parts.bytes(parts.num())
	facts.bad = parts.bad
	envelope.s = parts.bytes(parts.num())
	envelope.bad = parts.bad
	return parts, facts, envelope
}

func (d *decoder) fail() {
	d.bad, d.s = true, ""
}

func (d *decoder) num() uint64 {
	n, shift := uint64(0), 0
	for i := 0; i < len(d.s) && i < binary.MaxVarintLen64; i++ {
		c := d.s[i]
		if n |= uint64(c&0x7f) << shift; c < 0x80 {
			if i > 0 && c == 0 || n > 1<<62 { // one writing of each number
				break
			}
			d.s = d.s[i+1:]
			return n
		}
		shift += 7
	}
	d.fail()
	return 0
}

func (d *decoder) bytes(n uint64) string {
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) str() string {
	n := d.num()
	if n&1 == 0 {
		return d.bytes(n >> 1)
	}
	if n>>1 >= uint64(len(commonStrings)) {
		d.fail()
		return ""
	}
	return commonStrings[n>>1]
}

// count reads how many items of at least size bytes follow.
func (d *decoder) count(size int) int {
	n := d.num()
	if n > uint64(len(d.s)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) facts(m *Message) {
	m.Flags = Flags(d.num())
	if n := d.count(1); n > 0 {
		m.References = make([]string, n)
		for i := range m.References {
			m.References[i] = d.str()
		}
	}
	m.Preview = d.str()
}

func (d *decoder) envelope() Envelope {
	var v Envelope
	for i, s := range v.texts() {
		if d.s != "" && d.s[0] == 0 {
			v.Blank |= 1 << i
		}
		*s = d.str()
	}
	for _, list := range v.lists() {
		n := d.count(4)
		if n == 0 {
			continue
		}
		*list = d.mem.mailboxes.take(n)
		for i := range *list {
			kind := d.num()
			if kind > uint64(header.GroupEnd) {
				d.fail()
			}
			(*list)[i] = header.Mailbox{Kind: header.Kind(kind), Name: d.str(), Local: d.str(), Domain: d.str()}
		}
	}
	return v
}

func (d *decoder) params() []header.Param {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	list := d.mem.params.take(n)
	for i := range list {
		list[i] = header.Param{Name: d.str(), Value: d.str()}
	}
	return list
}

// offset adds a distance to an offset.
func (d *decoder) offset(from int64) int64 {
	n := d.num()
	if from+int64(n) > 1<<62 {
		d.fail()
		return from
	}
	return from + int64(n)
}

func (d *decoder) part(cursor int64, depth int) *Part {
	p := &d.mem.parts.take(1)[0]
	p.Encoding = "7bit"
	bits := d.num()
	d.parts--
	if p.Kind = Kind(bits & 3); p.Kind > Rfc822 || depth > MaxDepth+1 || d.parts < 0 || d.bad {
		d.fail()
		return p
	}
	p.Header = d.offset(cursor)
	p.Body = d.offset(p.Header)
	p.End = d.offset(p.Body)
	p.Lines = int64(d.num())
	if bits&isTextPlain != 0 {
		p.Type, p.Subtype = "text", "plain"
	} else {
		p.Type, p.Subtype = d.str(), d.str()
	}
	if bits&hasParams != 0 {
		p.Params = d.params()
	}
	for _, s := range []struct {
		bit uint64
		s   *string
	}{{hasID, &p.ID}, {hasDescription, &p.Description}, {hasEncoding, &p.Encoding}, {hasMD5, &p.MD5}} {
		if bits&s.bit != 0 {
			*s.s = d.str()
		}
	}
	if bits&hasDisposition != 0 {
		p.Disposition, p.DispParams = d.str(), d.params()
	}
	if bits&hasLanguage != 0 {
		for range d.count(1) {
			p.Language = append(p.Language, d.str())
		}
	}
	if bits&hasLocation != 0 {
		p.Location = d.str()
	}
	if p.Kind == Rfc822 {
		e := d.envelope()
		p.Envelope = &e
	}
	d.children(p, depth)
	return p
}

func (d *decoder) children(p *Part, depth int) {
	if p.Kind == Leaf {
		return
	}
	n := d.count(5) // the bytes of the smallest part
	if p.Kind == Rfc822 && n != 1 || n == 0 || n > d.parts {
		d.fail()
		return
	}
	p.Children = d.mem.children.take(n)[:0]
	cursor := p.Body
	for range n {
		c := d.part(cursor, depth+1)
		if d.bad {
			return
		}
		p.Children = append(p.Children, c)
		cursor = c.End
	}
	if cursor > p.End {
		d.fail()
	}
}
