package flow

import (
	"encoding/binary"
	"fmt"
	"time"
)

// DecodeAppend reads what AppendAppend wrote. It keeps no reference to b; the recipe still says Self.
func DecodeAppend(b []byte) (*Append, error) {
	a := &Append{}
	seen, err := elements(b, func(tag uint16, d *decoder) bool {
		switch tag {
		case tagAppend:
			d.append(a)
		case tagMessage:
			a.Message = d.recipe()
		case tagIndex:
			a.Index = d.rest()
		default:
			return false
		}
		return true
	})
	if err != nil {
		return nil, err
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
