package smtp

import (
	"bytes"
	"io"
)

// dotWriter encodes DATA: a dot before each line that begins with one (RFC 5321 §4.5.2), CRLF for every line end, and at
// Close the end of data. What needs no change goes to the writer below in runs as long as they come.
type dotWriter struct {
	w   io.Writer
	buf []byte // collects small runs
	mid bool   // not at the start of a line
	cr  bool   // the octet before was CR, and is not yet written
	err error
}

const dotBuffer = 32 << 10

// newDotWriter collects small runs in buf, which is empty and has room.
func newDotWriter(w io.Writer, buf []byte) *dotWriter {
	return &dotWriter{w: w, buf: buf}
}

// put appends to the buffer, or writes past it what is large.
func (d *dotWriter) put(p []byte) {
	if len(p) > cap(d.buf)-len(d.buf) {
		d.flush()
		if len(p) >= cap(d.buf) {
			if d.err == nil {
				_, d.err = d.w.Write(p)
			}
			return
		}
	}
	d.buf = append(d.buf, p...)
}

func (d *dotWriter) flush() {
	if d.err == nil && len(d.buf) > 0 {
		_, d.err = d.w.Write(d.buf)
	}
	d.buf = d.buf[:0]
}

// Write implements io.Writer.
func (d *dotWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && d.err == nil {
		if d.cr { // its LF, or the lack of it
			d.cr = false
			d.newline()
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		if !d.mid && p[0] == '.' {
			d.put([]byte{'.'})
		}
		run := d.run(p)
		d.put(p[:run])
		if p = p[run:]; len(p) == 0 {
			break
		}
		switch p[0] {
		case '\r': // what it means stands behind it
			d.cr = true
		case '\n':
			d.newline()
		default: // a line that begins with a dot
			continue
		}
		p = p[1:]
	}
	return n - len(p), d.err
}

// run is how much of p, which starts within or at the start of a line, can be written as it is: whole lines with CRLF,
// up to a line that begins with a dot, or up to a line end that is none.
func (d *dotWriter) run(p []byte) int {
	n := 0
	for {
		i := bytes.IndexByte(p[n:], '\n')
		line := p[n:]
		if i >= 0 {
			line = p[n : n+i]
		}
		cr := bytes.IndexByte(line, '\r')
		switch {
		case cr >= 0 && (i < 0 || cr < i-1): // bare, or at the end of what is known
			return n + cr
		case i < 0:
			d.mid = true
			return len(p)
		case cr < 0: // bare LF
			return n + i
		}
		n += i + 1
		d.mid = false
		if n == len(p) || p[n] == '.' {
			return n
		}
	}
}

func (d *dotWriter) newline() {
	d.put(crlf)
	d.mid = false
}

// Close ends the data; it does not close the writer below.
func (d *dotWriter) Close() error {
	if d.cr || d.mid {
		d.newline()
	}
	d.put([]byte(".\r\n"))
	d.flush()
	return d.err
}
