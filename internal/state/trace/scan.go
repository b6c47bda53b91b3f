package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/postrider/postrider/internal/vfs"
)

// window is how many bytes of a segment are read at a time.
const window = 64 << 10

// scanner reads the blocks of one segment.
type scanner struct {
	file    vfs.File
	size    int64
	damaged int64 // bytes passed over
	buf     []byte
	at      int64 // where buf begins
}

// bytes returns n bytes at off, which are good until the next call. They are in the file.
func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	if from := off - s.at; from >= 0 && from+int64(n) <= int64(len(s.buf)) {
		return s.buf[from : from+int64(n)], nil
	}
	want := int(min(int64(max(n, window)), s.size-off))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	got, err := s.file.ReadAt(s.buf[:want], off)
	s.buf, s.at = s.buf[:got], off
	if got < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return s.buf[:n], nil
}

// blocks calls each for every whole block from off on, with its place and head, and returns where the next one would begin. What
// is damaged is passed over, to the next block that is not.
func (s *scanner) blocks(off int64, each func(at int64, h *head) error) (next int64, err error) {
	for off+8 <= s.size {
		p, err := s.bytes(off, 8)
		if err != nil {
			return off, err
		}
		length := int64(binary.LittleEndian.Uint32(p[4:]))
		if binary.LittleEndian.Uint32(p) == skippable && length <= headMax && off+8+length <= s.size {
			if p, err = s.bytes(off+8, int(length)); err != nil {
				return off, err
			}
			h, bad := parseHead(p)
			end := off + 8 + length + int64(h.packed)
			if bad == nil && end <= s.size {
				if err := each(off+8+length, &h); err != nil {
					return off, err
				}
				off = end
				continue
			}
		}
		p0 := off
		if off, err = s.find(off + 1); err != nil || off < 0 {
			return p0, err // nothing but a torn end
		}
		s.damaged += off - p0
	}
	return off, nil
}

// find returns where, from off on, something like a block begins; -1: nowhere.
func (s *scanner) find(off int64) (int64, error) {
	magic := binary.LittleEndian.AppendUint32(nil, skippable)
	for off+12 <= s.size {
		n := int(min(window, s.size-off))
		p, err := s.bytes(off, n)
		if err != nil {
			return -1, err
		}
		for i := 0; ; {
			k := bytes.Index(p[i:], magic)
			if k < 0 || i+k+12 > n {
				break
			}
			if i += k; string(p[i+8:i+12]) == mark {
				return off + int64(i), nil
			}
			i++
		}
		off += int64(n) - 11 // what may begin here and end in the next window
		if n < window {
			break
		}
	}
	return -1, nil
}
