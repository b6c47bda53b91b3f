package blob

import (
	"fmt"

	"github.com/postrider/postrider/internal/mail/recipe"
)

// ReadAt fills p with the body's bytes from off, while the record is being written: those who judge a message read it before
// it is committed. Of a large body only a piece is in memory, the rest is read back from its pack.
func (w *Writer) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case w.done:
		return 0, errDone
	case w.err != nil:
		return 0, w.err
	case off < 0 || off > w.size-int64(len(p)):
		return 0, fmt.Errorf("blob: read %d+%d of a body of %d so far: %w", off, len(p), w.size, recipe.ErrInvalid)
	case w.big == nil:
		if len(p) > 0 {
			copy(p, w.buf[headerSize+off:])
		}
		return len(p), nil
	}
	st := w.big
	at := st.p.written + headerSize + off
	if onDisk := st.off - at; onDisk > 0 {
		n := min(onDisk, int64(len(p)))
		if err := readFull(st.p.file, p[:n], at); err != nil {
			return 0, fmt.Errorf("blob: read back: %w", err)
		}
		if n == int64(len(p)) {
			return len(p), nil
		}
		copy(p[n:], st.buf)
		return len(p), nil
	}
	copy(p, st.buf[at-st.off:])
	return len(p), nil
}
