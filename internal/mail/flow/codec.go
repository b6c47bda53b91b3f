package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// The trailer is a list of elements: tag (2 bytes), length (4 bytes), value; integers big-endian. Inside a value numbers
// are varints (unsigned LEB128) and strings are a varint length and bytes. Tags are never reused. A reader refuses a tag
// it does not know when its top bit is set, and passes over it otherwise. docs/format.md describes every element.
const (
	tagJob        = 1
	tagClient     = 2
	tagMessage    = 3
	tagIndex      = 4
	tagRecipients = 5
	tagAppend     = 6
	tagRecord     = 7
	tagHold       = 8
	tagSenders    = 9 | tagCritical // who does not know it would send from the wrong address
	tagOptions    = 10
	tagRequireTLS = 11 | tagCritical // who does not know it would send in the clear
	tagCritical   = 0x8000
)

// Limits of the decoder; far above what acceptance lets in.
const (
	maxRecipients = 1 << 20
	maxSegments   = 1 << 16
	maxFolder     = 1 << 10
)

// ErrCorrupt says that bytes are not an encoded job.
var ErrCorrupt = errors.New("not an encoded job")

// AppendJob appends the encoded job to b.
func AppendJob(b []byte, j *Job) []byte {
	b = element(b, tagJob, func(b []byte) []byte {
		b = append(b, j.ID[:]...)
		b = append(b, j.Cause[:]...)
		b = binary.AppendUvarint(b, uint64(j.Received.UnixMicro()))
		b = appendAddress(b, j.From)
		b = append(b, byte(j.Body), flag(j.UTF8), byte(j.Ret))
		return appendString(b, j.EnvID)
	})
	b = element(b, tagClient, func(b []byte) []byte {
		addr, _ := j.Client.Addr.MarshalBinary() // never fails for a valid or zero AddrPort
		b = appendString(b, string(addr))
		b = appendString(b, j.Client.Name)
		b = appendString(b, j.Client.Helo)
		b = appendString(b, j.Client.Protocol)
		b = appendString(b, j.Client.TLS)
		b = binary.AppendUvarint(b, uint64(j.Client.Account))
		return appendString(b, j.Client.Login)
	})
	b = element(b, tagMessage, func(b []byte) []byte { return AppendRecipe(b, j.Message) })
	b = element(b, tagIndex, func(b []byte) []byte { return append(b, j.Index...) })
	if !j.Record.IsZero() {
		b = element(b, tagRecord, func(b []byte) []byte {
			for _, v := range [...]int64{j.Record.Pack, j.Record.Offset, j.Record.Length} {
				b = binary.AppendUvarint(b, uint64(v))
			}
			return b
		})
	}
	if j.Hold != "" {
		b = element(b, tagHold, func(b []byte) []byte { return append(b, j.Hold...) })
	}
	b = appendSenders(b, j.Recipients)
	if !j.NotBefore.IsZero() || !j.DeliverBy.IsZero() || j.Priority != 0 || j.Bulk {
		b = element(b, tagOptions, func(b []byte) []byte {
			b = appendTime(appendTime(b, j.NotBefore), j.DeliverBy)
			return append(b, byte(j.Priority), flag(j.Bulk), flag(j.DeliverByReturn))
		})
	}
	if j.RequireTLS {
		b = element(b, tagRequireTLS, func(b []byte) []byte { return b })
	}
	// Last stands an element that every job has, so that a trailer cut between two elements is refused.
	return element(b, tagRecipients, func(b []byte) []byte {
		b = binary.AppendUvarint(b, uint64(len(j.Recipients)))
		for i := range j.Recipients {
			b = appendRecipient(b, &j.Recipients[i])
		}
		return b
	})
}

// appendSenders adds the recipients that have a sender of their own, if any has.
func appendSenders(b []byte, recipients []Recipient) []byte {
	n := uint64(0)
	for i := range recipients {
		if recipients[i].Sender != nil {
			n++
		}
	}
	if n == 0 {
		return b
	}
	return element(b, tagSenders, func(b []byte) []byte {
		b = binary.AppendUvarint(b, n)
		for i := range recipients {
			if r := &recipients[i]; r.Sender != nil {
				b = appendAddress(binary.AppendUvarint(b, uint64(r.No)), *r.Sender)
			}
		}
		return b
	})
}

func appendRecipient(b []byte, r *Recipient) []byte {
	b = binary.AppendUvarint(b, uint64(r.No))
	b = appendAddress(b, r.To)
	b = appendAddress(b, r.Original)
	b = append(b, byte(r.Notify), byte(r.Transport))
	b = appendString(b, r.ORcpt)
	b = binary.AppendUvarint(b, uint64(r.Account))
	b = binary.AppendUvarint(b, uint64(len(r.Folder)))
	for _, name := range r.Folder {
		b = appendString(b, name)
	}
	return appendString(b, r.NextHop)
}

// AppendRecipe appends an encoded recipe to b: number of segments, then per segment 0 and the literal's string, or 1,
// pack + 1 (0 stands for Self), record offset, body length, offset, length.
func AppendRecipe(b []byte, r recipe.Recipe) []byte {
	b = binary.AppendUvarint(b, uint64(len(r)))
	for _, s := range r {
		if s.Literal != nil {
			b = appendString(append(b, 0), string(s.Literal))
			continue
		}
		b = binary.AppendUvarint(append(b, 1), uint64(s.Blob.Pack+1))
		for _, v := range [...]int64{s.Blob.Offset, s.Blob.Length, s.Offset, s.Length} {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	return b
}

func element(b []byte, tag uint16, value func([]byte) []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, tag)
	at := len(b)
	b = value(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendAddress(b []byte, a address.Address) []byte {
	return appendString(appendString(b, a.Local), a.Domain)
}

// appendTime writes microseconds since 1970, 0 for no time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(max(t.UnixMicro(), 1)))
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// elements has known read the value of each element of a trailer; it returns false for a tag that it does not know. seen has
// the bit of each tag that was read.
func elements(b []byte, known func(tag uint16, d *decoder) bool) (seen int, err error) {
	for len(b) > 0 {
		if len(b) < 6 {
			return 0, fmt.Errorf("%w: element header cut off", ErrCorrupt)
		}
		tag, n := binary.BigEndian.Uint16(b), int64(binary.BigEndian.Uint32(b[2:]))
		if n > int64(len(b)-6) {
			return 0, fmt.Errorf("%w: element %d of %d bytes, %d left", ErrCorrupt, tag, n, len(b)-6)
		}
		d := decoder{b: b[6 : 6+n]}
		b = b[6+n:]
		if !known(tag, &d) {
			if tag&tagCritical != 0 {
				return 0, fmt.Errorf("%w: element %#x is from a later version", ErrCorrupt, tag)
			}
			continue
		}
		switch {
		case d.bad || len(d.b) > 0:
			return 0, fmt.Errorf("%w: element %d", ErrCorrupt, tag)
		case seen&(1<<(tag&^tagCritical)) != 0:
			return 0, fmt.Errorf("%w: element %d stands twice", ErrCorrupt, tag)
		}
		seen |= 1 << (tag &^ tagCritical)
	}
	return seen, nil
}

// rest returns a copy of what is left.
func (d *decoder) rest() []byte {
	b := append([]byte(nil), d.b...)
	d.b = nil
	return b
}

// DecodeJob reads what AppendJob wrote. The job keeps no reference to b.
func DecodeJob(b []byte) (*Job, error) {
	j := &Job{}
	var senders map[int]address.Address
	seen, err := elements(b, func(tag uint16, d *decoder) bool {
		switch tag {
		case tagJob:
			d.job(j)
		case tagClient:
			d.client(&j.Client)
		case tagMessage:
			j.Message = d.recipe()
		case tagIndex:
			j.Index = d.rest()
		case tagRecord:
			j.Record = recipe.BlobRef{Pack: d.int64(), Offset: d.int64(), Length: d.int64()}
		case tagRecipients:
			d.recipients(j)
		case tagHold:
			j.Hold = string(d.rest())
		case tagSenders:
			senders = d.senders()
		case tagOptions:
			d.options(j)
		case tagRequireTLS:
			j.RequireTLS = true
		default:
			return false
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	const may = 1<<tagRecord | 1<<tagHold | 1<<(tagSenders&^tagCritical) | 1<<tagOptions | 1<<(tagRequireTLS&^tagCritical)
	if want := 1<<tagJob | 1<<tagClient | 1<<tagMessage | 1<<tagIndex | 1<<tagRecipients; seen&^may != want {
		return nil, fmt.Errorf("%w: elements missing", ErrCorrupt)
	}
	for no, a := range senders {
		if no >= len(j.Recipients) {
			return nil, fmt.Errorf("%w: the sender of recipient %d of %d", ErrCorrupt, no, len(j.Recipients))
		}
		j.Recipients[no].Sender = &a
	}
	return j, nil
}

// DecodeRecipe reads what AppendRecipe wrote.
func DecodeRecipe(b []byte) (recipe.Recipe, error) {
	d := decoder{b: b}
	r := d.recipe()
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("%w: recipe", ErrCorrupt)
	}
	return r, nil
}

// Append is the trailer of a record that no job carries: a message that a client or an import put straight into a
// mailbox. The mailstore's rows are what counts; these facts let them be rebuilt from the packs.
type Append struct {
	ID           queueid.ID // of the record
	Account      int64
	Mailbox      []string // name components
	Flags        uint8    // as the mailstore numbers them
	Keywords     string
	InternalDate time.Time // seconds
	Message      recipe.Recipe
	Index        []byte
}

// AppendAppend appends the encoded trailer of a to b.
func AppendAppend(b []byte, a *Append) []byte {
	b = element(b, tagAppend, func(b []byte) []byte {
		b = append(b, a.ID[:]...)
		b = binary.AppendUvarint(b, uint64(a.Account))
		b = binary.AppendUvarint(b, uint64(len(a.Mailbox)))
		for _, name := range a.Mailbox {
			b = appendString(b, name)
		}
		b = appendString(append(b, a.Flags), a.Keywords)
		return binary.AppendVarint(b, a.InternalDate.Unix())
	})
	b = element(b, tagMessage, func(b []byte) []byte { return AppendRecipe(b, a.Message) })
	return element(b, tagIndex, func(b []byte) []byte { return append(b, a.Index...) })
}

// find returns the value of the first element with a tag.
func find(b []byte, tag uint16) ([]byte, bool) {
	for len(b) >= 6 {
		n := int64(binary.BigEndian.Uint32(b[2:]))
		if n > int64(len(b)-6) {
			return nil, false
		}
		if binary.BigEndian.Uint16(b) == tag {
			return b[6 : 6+n], true
		}
		b = b[6+n:]
	}
	return nil, false
}

// IsJob tells whether a record's trailer is that of a job.
func IsJob(trailer []byte) bool {
	_, ok := find(trailer, tagJob)
	return ok
}

// IsAppend tells whether a record's trailer is that of a message put straight into a mailbox.
func IsAppend(trailer []byte) bool {
	_, ok := find(trailer, tagAppend)
	return ok
}

// DecodeMessage reads the message's recipe out of the trailer of the record at self.
func DecodeMessage(trailer []byte, self recipe.BlobRef) (recipe.Recipe, error) {
	value, ok := find(trailer, tagMessage)
	if !ok {
		return nil, fmt.Errorf("%w: no message element", ErrCorrupt)
	}
	r, err := DecodeRecipe(value)
	if err != nil {
		return nil, err
	}
	bind(r, self)
	return r, r.Check()
}

// decoder reads one element; after the first mistake bad stays set and every value is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int64() int64 { return int64(d.uint(1<<63 - 1)) }

func (d *decoder) byte() byte {
	if d.bad || len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) string() string {
	n := d.uint(uint64(len(d.b)))
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) id() (id queueid.ID) {
	if d.bad || len(d.b) < len(id) {
		d.bad = true
		return id
	}
	copy(id[:], d.b)
	d.b = d.b[len(id):]
	return id
}

func (d *decoder) address() address.Address {
	local := d.string()
	return address.Address{Local: local, Domain: d.string()}
}

func (d *decoder) job(j *Job) {
	j.ID, j.Cause = d.id(), d.id()
	j.Received = time.UnixMicro(d.int64())
	j.From = d.address()
	j.Body = envelope.Body(d.byte())
	j.UTF8 = d.byte() == 1
	j.Ret = envelope.Ret(d.byte())
	j.EnvID = d.string()
}

func (d *decoder) client(c *Client) {
	if addr := d.string(); addr != "" {
		var ap netip.AddrPort
		if ap.UnmarshalBinary([]byte(addr)) != nil {
			d.bad = true
			return
		}
		c.Addr = ap
	}
	c.Name, c.Helo, c.Protocol, c.TLS = d.string(), d.string(), d.string(), d.string()
	c.Account = d.int64()
	c.Login = d.string()
}

func (d *decoder) recipe() recipe.Recipe {
	n := d.uint(maxSegments)
	var r recipe.Recipe
	for range n {
		if d.bad {
			return nil
		}
		switch d.byte() {
		case 0:
			r = append(r, recipe.Literal(append([]byte{}, d.string()...)))
		case 1:
			s := recipe.Segment{Blob: recipe.BlobRef{Pack: d.int64() - 1}}
			s.Blob.Offset, s.Blob.Length = d.int64(), d.int64()
			s.Offset, s.Length = d.int64(), d.int64()
			r = append(r, s)
		default:
			d.bad = true
		}
	}
	if d.bad || r.Check() != nil {
		d.bad = true
		return nil
	}
	return r
}

func (d *decoder) senders() map[int]address.Address {
	m := map[int]address.Address{}
	for n := d.uint(maxRecipients); n > 0 && !d.bad; n-- {
		no := int(d.uint(maxRecipients))
		_, twice := m[no]
		d.bad = d.bad || twice
		m[no] = d.address()
	}
	d.bad = d.bad || len(m) == 0 // it is left out then
	return m
}

func (d *decoder) options(j *Job) {
	j.NotBefore, j.DeliverBy = d.time(), d.time()
	j.Priority, j.Bulk, j.DeliverByReturn = int8(d.byte()), d.byte() == 1, d.byte() == 1
}

// time reads what appendTime wrote.
func (d *decoder) time() time.Time {
	if at := d.int64(); at != 0 {
		return time.UnixMicro(at)
	}
	return time.Time{}
}

func (d *decoder) recipients(j *Job) {
	n := d.uint(maxRecipients)
	for i := range n {
		if d.bad {
			return
		}
		r := Recipient{No: int(d.uint(maxRecipients)), To: d.address(), Original: d.address()}
		r.Notify, r.Transport = envelope.Notify(d.byte()), Transport(d.byte())
		r.ORcpt = d.string()
		r.Account = d.int64()
		for range d.uint(maxFolder) {
			r.Folder = append(r.Folder, d.string())
			if d.bad {
				return
			}
		}
		r.NextHop = d.string()
		if uint64(r.No) != i {
			d.bad = true
		}
		j.Recipients = append(j.Recipients, r)
	}
}
