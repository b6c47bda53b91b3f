package imap

import "io"

// transferReader undoes base64 or quoted-printable (RFC 2045 §6) as a stream. It never ends before the text does: what is
// wrong is passed over or taken as it stands, since mail that is not quite right is mail all the same, and half of a text
// shown as if it were the whole is worse than a strange character in it.
type transferReader struct {
	r    io.Reader
	take func(b byte) // decodes one byte into out
	end  func()       // decodes what the end of the text leaves
	in   [4096]byte
	out  []byte // decoded, from pos on not yet read
	pos  int
	err  error
}

func (t *transferReader) Read(p []byte) (int, error) {
	for t.pos == len(t.out) {
		if t.err != nil {
			return 0, t.err
		}
		var n int
		n, t.err = t.r.Read(t.in[:])
		t.out, t.pos = t.out[:0], 0
		for _, b := range t.in[:n] {
			t.take(b)
		}
		if t.err == io.EOF {
			t.end()
		}
	}
	n := copy(p, t.out[t.pos:])
	t.pos += n
	return n, nil
}

// newBase64 leaves out what is not of the alphabet (RFC 2045 §6.8 says so), needs no padding, and goes on behind one.
func newBase64(r io.Reader) io.Reader {
	t := &transferReader{r: r, end: func() {}}
	bits, n := uint32(0), 0
	t.take = func(b byte) {
		switch {
		case b == '=':
			n = 0
			return
		case b >= 'A' && b <= 'Z':
			b -= 'A'
		case b >= 'a' && b <= 'z':
			b -= 'a' - 26
		case b >= '0' && b <= '9':
			b += 52 - '0'
		case b == '+':
			b = 62
		case b == '/':
			b = 63
		default:
			return
		}
		bits = bits<<6 | uint32(b)
		if n += 6; n >= 8 {
			n -= 8
			t.out = append(t.out, byte(bits>>n))
		}
	}
	return t
}

// maxHeld is how many blanks may wait for the end of their line, which would take them away.
const maxHeld = 1000

// newQuotedPrintable takes "=" that begins no escape for itself (RFC 2045 §6.7, note 1), and lines of any length.
func newQuotedPrintable(r io.Reader) io.Reader {
	t := &transferReader{r: r}
	var (
		held   []byte // blanks and CR, behind "=" too
		escape bool   // "=" came, and then only what is held
		digit  byte   // and then this hexadecimal digit
	)
	flush := func() { // what is held is none of a line's end
		if escape {
			t.out = append(t.out, '=')
		}
		if digit != 0 {
			t.out = append(t.out, digit)
		}
		t.out = append(t.out, held...)
		held, escape, digit = held[:0], false, 0
	}
	t.take = func(b byte) {
		switch high, low := hexDigit(digit), hexDigit(b); {
		case digit != 0 && low >= 0:
			t.out = append(t.out, byte(high<<4|low))
			escape, digit = false, 0
		case escape && digit == 0 && len(held) == 0 && low >= 0:
			digit = b
		case b == '=':
			flush()
			escape = true
		case digit == 0 && (b == ' ' || b == '\t' || b == '\r') && len(held) < maxHeld:
			held = append(held, b)
		case b == '\n' && digit == 0:
			if n := len(held); !escape && n > 0 && held[n-1] == '\r' {
				t.out = append(t.out, '\r')
			}
			if !escape {
				t.out = append(t.out, '\n')
			}
			held, escape = held[:0], false
		default:
			flush()
			if b == ' ' || b == '\t' || b == '\r' {
				held = append(held, b)
			} else {
				t.out = append(t.out, b)
			}
		}
	}
	t.end = func() {
		if digit != 0 {
			flush()
		}
	}
	return t
}

// hexDigit is the value of a hexadecimal digit, negative if it is none.
func hexDigit(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	}
	return -1
}
