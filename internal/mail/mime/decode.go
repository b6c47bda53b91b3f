package mime

import (
	"encoding/binary"

	"github.com/postrider/postrider/internal/mail/header"
)

// Decode reads the stored form.
func Decode(b []byte) (*Message, error) {
	d, facts, envelope := open(b)
	m := &Message{}
	facts.facts(m)
	m.Envelope = envelope.envelope()
	d.parts = MaxParts + MaxDepth
	m.Root = d.part(0, 1)
	if d.bad || facts.bad || envelope.bad || d.s != "" || facts.s != "" || envelope.s != "" {
		return nil, ErrCorrupt
	}
	return m, nil
}

// DecodeEnvelope reads the top ENVELOPE alone, which is what listing a mailbox needs.
func DecodeEnvelope(b []byte) (*Envelope, error) {
	_, _, d := open(b)
	e := d.envelope()
	if d.bad || d.s != "" {
		return nil, ErrCorrupt
	}
	return &e, nil
}

// DecodeFacts reads flags, References and preview alone: Root is nil and the Envelope empty.
func DecodeFacts(b []byte) (*Message, error) {
	_, d, _ := open(b)
	m := &Message{}
	d.facts(m)
	if d.bad || d.s != "" {
		return nil, ErrCorrupt
	}
	return m, nil
}

// decoder reads with one sticky failure. Strings are parts of one string, so that they cost nothing each.
type decoder struct {
	s     string
	bad   bool
	parts int // that may still come
}

// open splits the stored form into parts, facts and envelope.
func open(b []byte) (parts, facts, envelope decoder) {
	if len(b) == 0 || len(b) > maxEncoded || b[0] != version {
		return decoder{bad: true}, decoder{bad: true}, decoder{bad: true}
	}
	d := decoder{s: string(b[1:])}
	facts.s = d.bytes(d.num())
	facts.bad = d.bad
	envelope.s = d.bytes(d.num())
	envelope.bad = d.bad
	return d, facts, envelope
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
		*list = make([]header.Mailbox, n)
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
	list := make([]header.Param, n)
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
	p := &Part{Encoding: "7bit"}
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
	p.Children = make([]*Part, 0, n)
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
