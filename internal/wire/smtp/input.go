package smtp

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/postrider/postrider/internal/wire/sasl"
)

// input is a session's read buffer: small at rest, large (from a pool) while a message or a long line comes in.
type input struct {
	buf   []byte
	r, w  int
	small []byte // the buffer at rest, while the large one is in use
	large *[largeInput]byte
	pool  *sync.Pool // of *[largeInput]byte
	skip  bool       // throw away what comes before the next CRLF
	gone  int        // octets thrown away so
}

// errSkipped: more octets without a CRLF than we care to read.
var errSkipped = errors.New("endless line")

// window is what has been read and not consumed. It is valid until the next fill, grow or shrink.
func (in *input) window() []byte { return in.buf[in.r:in.w] }

func (in *input) consume(n int) { in.r += n }

// fill reads once from r, behind what is there. There must be room: a full buffer is io.ErrShortBuffer.
func (in *input) fill(r io.Reader) error {
	if in.buf == nil {
		in.buf = make([]byte, smallInput)
	}
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w == len(in.buf) {
		return io.ErrShortBuffer
	}
	n, err := r.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil // an error will come again
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// grow takes the large buffer.
func (in *input) grow() {
	if in.large != nil {
		return
	}
	large, _ := in.pool.Get().(*[largeInput]byte)
	if large == nil {
		large = new([largeInput]byte)
	}
	in.w = copy(large[:], in.window())
	in.r = 0
	in.small, in.buf, in.large = in.buf, large[:], large
}

// shrink gives the large buffer back if what is left fits the small one.
func (in *input) shrink() {
	if in.large == nil || in.w-in.r > smallInput {
		return
	}
	small := in.small
	if small == nil {
		small = make([]byte, smallInput)
	}
	in.w = copy(small, in.window())
	in.r = 0
	in.drop()
	in.buf = small
}

// drop gives the large buffer back for good.
func (in *input) drop() {
	if in.large != nil {
		in.pool.Put(in.large)
	}
	in.large, in.buf, in.small = nil, nil, nil
}

// line returns the next complete line without its end, or nil if there is none in the buffer yet. Only CRLF ends a line,
// unless lax: then LF does too. A line with a bare LF or CR, with NUL, or longer than max (CRLF included; AUTH may be
// longer) is an error of package status that leaves the input behind the line's CRLF, or in search of it.
func (in *input) line(max int, lax bool) ([]byte, error) {
	if in.skip {
		if err := in.skipLine(); err != nil || in.skip {
			return nil, err
		}
	}
	b := in.window()
	end, size := lineEnd(b, lax)
	if len(b) >= 5 && bytes.EqualFold(b[:5], []byte("AUTH ")) { // RFC 4954 §4
		max = sasl.MaxLine
	}
	if end < 0 {
		if i := bytes.IndexByte(b, '\n'); i >= 0 { // complain now: who sends LF alone would wait for ever
			in.skip = true
			return nil, errLineBare
		}
		if len(b) >= max {
			in.skip = true
			return nil, errLineLong
		}
		return nil, nil
	}
	line := b[:end]
	in.consume(end + size)
	switch {
	case end+size > max:
		return nil, errLineLong
	case bytes.IndexByte(line, '\n') >= 0 || bytes.IndexByte(line, '\r') >= 0:
		return nil, errLineBare
	case bytes.IndexByte(line, 0) >= 0:
		return nil, errLineNUL
	}
	return line, nil
}

// lineEnd finds the first line's end in b and its size: CRLF, or LF where lax.
func lineEnd(b []byte, lax bool) (end, size int) {
	if !lax {
		return bytes.Index(b, crlf), 2
	}
	end = bytes.IndexByte(b, '\n')
	if end > 0 && b[end-1] == '\r' {
		return end - 1, 2
	}
	return end, 1
}

var crlf = []byte("\r\n")

// skipLine throws away through the next CRLF; in.skip stays set if there is none yet.
func (in *input) skipLine() error {
	b := in.window()
	end := bytes.Index(b, crlf)
	if end >= 0 {
		in.consume(end + 2)
		in.skip, in.gone = false, 0
		return nil
	}
	n := len(b)
	if n > 0 && b[n-1] == '\r' {
		n--
	}
	in.consume(n)
	in.gone += n
	if in.gone > maxSkip {
		return errSkipped
	}
	return nil
}
