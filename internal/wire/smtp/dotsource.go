package smtp

import (
	"bytes"
	"io"
)

// dotSource decodes DATA: RFC 5321 §4.5.2 transparency, ended by CRLF "." CRLF and by nothing else (§2.3.8, §4.1.1.4).
type dotSource struct {
	in   *input
	fill func() error // reads more into in, or fails for good
	mid  bool         // not at the start of a line
	done bool
}

// next scans whole lines as far as the buffer goes. A CR at the buffer's end stays there until the octet behind it is
// known, so each test sees what it needs in one window.
func (d *dotSource) next() ([]byte, error) {
	for !d.done {
		b := d.in.window()
		if !d.mid && len(b) > 0 && b[0] == '.' {
			if size := d.dot(b); size > 0 {
				d.in.consume(size)
				d.mid = true
				continue
			}
		} else if run, err := d.scan(b); len(run) > 0 || err != nil {
			return run, err
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
	return nil, io.EOF
}

// dot judges a line that begins with a dot: how much of it goes, the dot or the whole end of data. 0: read more.
func (d *dotSource) dot(b []byte) int {
	switch {
	case len(b) < 2, b[1] == '\r' && len(b) < 3:
		return 0
	case b[1] == '\r' && b[2] == '\n':
		d.done = true
		return 3
	}
	return 1
}

// scan consumes and returns the longest run that can be handed out as it is: up to the next line that begins with a dot
// or to the end of what is known.
func (d *dotSource) scan(b []byte) ([]byte, error) {
	n, lines := 0, 0
	for n < len(b) {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 { // the rest of the window is part of a line
			rest := len(b)
			if b[rest-1] == '\r' {
				rest--
			}
			if rest > n {
				n, d.mid = rest, true
			}
			break
		}
		at := n + i
		n = at + 1
		if at == 0 || b[at-1] != '\r' {
			d.in.consume(n)
			d.mid = true // it ended no line
			return b[:n], ErrBareLF
		}
		lines++
		d.mid = false
		if n < len(b) && b[n] == '.' {
			break
		}
	}
	d.in.consume(n)
	switch run := b[:n]; {
	case bytes.Count(run, crlf[:1]) != lines: // a CR that is not before a LF
		return run, ErrBareCR
	case bytes.IndexByte(run, 0) >= 0:
		return run, ErrNUL
	default:
		return run, nil
	}
}

// laxSource is dotSource for the clients of Config.LaxNewlines: a LF ends a line with or without CR, a line of one dot
// the data, and the message gets CRLF throughout.
type laxSource struct {
	dotSource
	owed bool // CRLF, for a LF that was alone
}

func (d *laxSource) next() ([]byte, error) {
	for !d.done {
		if d.owed {
			d.owed = false
			return crlf, nil
		}
		b := d.in.window()
		if !d.mid && len(b) > 0 && b[0] == '.' {
			size := d.dot(b)
			if len(b) > 1 && b[1] == '\n' {
				d.done, size = true, 2
			}
			if size > 0 {
				d.in.consume(size)
				d.mid = true
				continue
			}
		} else if run, err := d.line(b); len(run) > 0 || err != nil {
			return run, err
		} else if d.owed {
			continue
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
	return nil, io.EOF
}

// line consumes and returns one line, or what is known of it.
func (d *laxSource) line(b []byte) ([]byte, error) {
	n, text := bytes.IndexByte(b, '\n')+1, len(b)
	switch {
	case n == 0:
		if text > 0 && b[text-1] == '\r' {
			text--
		}
		n, d.mid = text, d.mid || text > 0
	case n >= 2 && b[n-2] == '\r':
		text, d.mid = n-2, false
		d.owed = true
	default:
		text, d.mid = n-1, false
		d.owed = true
	}
	d.in.consume(n)
	switch run := b[:text]; {
	case bytes.IndexByte(run, '\r') >= 0:
		return run, ErrBareCR
	case bytes.IndexByte(run, 0) >= 0:
		return run, ErrNUL
	default:
		return run, nil
	}
}

// chunkSource reads BDAT, RFC 3030 §2: counted octets, chunk after chunk. BINARYMIME is not offered, so what comes is
// text with the same rules as in DATA.
type chunkSource struct {
	in   *input
	fill func() error
	left int64        // of the present chunk
	last bool         // the present chunk is the last
	more func() error // answers the chunk and reads up to the next one, setting left and last
	cr   bool         // the run before ended with CR
}

func (c *chunkSource) next() ([]byte, error) {
	for c.left == 0 {
		if !c.last {
			if err := c.more(); err != nil {
				return nil, err
			}
			continue
		}
		if c.cr {
			c.cr = false
			return nil, ErrBareCR
		}
		return nil, io.EOF
	}
	for len(c.in.window()) == 0 {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	b := c.in.window()
	run := b[:min(c.left, int64(len(b)))]
	c.in.consume(len(run))
	c.left -= int64(len(run))
	return run, c.check(run)
}

// check counts: each CR must have its LF and the other way round, also across runs.
func (c *chunkSource) check(run []byte) error {
	crs, lfs, pairs := bytes.Count(run, crlf[:1]), bytes.Count(run, crlf[1:]), bytes.Count(run, crlf)
	before := c.cr
	if before && run[0] == '\n' {
		lfs--
		before = false
	}
	c.cr = run[len(run)-1] == '\r'
	if c.cr {
		crs--
	}
	switch {
	case lfs != pairs:
		return ErrBareLF
	case before || crs != pairs:
		return ErrBareCR
	case bytes.IndexByte(run, 0) >= 0:
		return ErrNUL
	}
	return nil
}
