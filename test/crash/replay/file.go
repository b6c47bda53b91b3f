package replay

import "github.com/postrider/postrider/test/crash/disk"

// file is one file's bytes while they are put together.
type file struct {
	draw   *drawer
	data   []byte
	frozen map[int64]bool // sectors that stay in an earlier state
}

// apply does one operation; if it is not sure, as much of it as is drawn.
func (f *file) apply(op *disk.Op, sure bool) {
	if !sure && f.draw.fate == drop {
		return
	}
	switch op.Kind {
	case disk.Truncate:
		if sure || f.draw.there() {
			f.resize(op.Size)
		}
	case disk.Grow:
		if op.Size > int64(len(f.data)) && (sure || f.draw.there()) {
			f.resize(op.Size)
		}
	case disk.Data:
		switch {
		case sure || f.draw.fate == keep:
			f.put(op.Offset, op.Data)
		case f.draw.fate == byCall:
			if f.draw.there() {
				f.put(op.Offset, op.Data)
			}
		default:
			f.sectors(op)
		}
	}
}

func (f *file) resize(size int64) {
	if size <= int64(len(f.data)) {
		f.data = f.data[:size:size]
		return
	}
	f.data = append(f.data, make([]byte, size-int64(len(f.data)))...)
}

func (f *file) put(at int64, b []byte) {
	if end := at + int64(len(b)); end > int64(len(f.data)) {
		f.resize(end)
	}
	copy(f.data[at:], b)
}

// sectors puts those sectors of an unsynced write that are drawn. A sector that
// once was not written stays as it was, whatever is written to it later: its
// turn had not come. If the file grew, its new size may be there before the
// bytes are.
func (f *file) sectors(op *disk.Op) {
	end := op.Offset + int64(len(op.Data))
	if end > int64(len(f.data)) && f.draw.there() {
		f.resize(end)
	}
	for at := op.Offset; at < end; {
		s := at / Sector
		next := min((s+1)*Sector, end)
		if !f.frozen[s] && f.draw.there() {
			f.put(at, op.Data[at-op.Offset:next-op.Offset])
		} else {
			f.frozen[s] = true
		}
		at = next
	}
}
