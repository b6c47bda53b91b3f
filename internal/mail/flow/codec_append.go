package flow

import (
	"encoding/binary"
	"fmt"
	"time"
)

// DecodeAppend reads what AppendAppend wrote. It keeps no reference to b; the recipe still says Self.
func DecodeAppend(b []byte) (*Append, error) {
	a := &Append{}
	seen := 0
	for len(b) > 0 {
		if len(b) < 6 {
			return nil, fmt.Errorf("%w: element header cut off", ErrCorrupt)
		}
		tag, n := binary.BigEndian.Uint16(b), int64(binary.BigEndian.Uint32(b[2:]))
		if n > int64(len(b)-6) {
			return nil, fmt.Errorf("%w: element %d of %d bytes, %d left", ErrCorrupt, tag, n, len(b)-6)
		}
		d := decoder{b: b[6 : 6+n]}
		b = b[6+n:]
		switch tag {
		case tagAppend:
			d.append(a)
		case tagMessage:
			a.Message = d.recipe()
		case tagIndex:
			a.Index = append([]byte(nil), d.b...)
			d.b = nil
		default:
			if tag&tagCritical != 0 {
				return nil, fmt.Errorf("%w: element %#x is from a later version", ErrCorrupt, tag)
			}
			continue
		}
		if d.bad || len(d.b) > 0 {
			return nil, fmt.Errorf("%w: element %d", ErrCorrupt, tag)
		}
		if seen&(1<<tag) != 0 {
			return nil, fmt.Errorf("%w: element %d stands twice", ErrCorrupt, tag)
		}
		seen |= 1 << tag
	}
	if seen != 1<<tagAppend|1<<tagMessage|1<<tagIndex {
		return nil, fmt.Errorf("%w: elements missing", ErrCorrupt)
	}
	return a, nil
}

func (d *decoder) append(a *Append) {
	a.ID = d.id()
	a.Account = d.int64()
	for range d.uint(maxFolder) {
		a.Mailbox = append(a.Mailbox, d.string())
		if d.bad {
			return
		}
	}
	a.Flags = d.byte()
	a.Keywords = d.string()
	seconds, n := binary.Varint(d.b)
	if n <= 0 || d.bad {
		d.bad = true
		return
	}
	d.b = d.b[n:]
	a.InternalDate = time.Unix(seconds, 0)
}
