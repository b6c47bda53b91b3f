package pickup

import (
	"io"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/intake"
)

// errTooBig refuses a message over smtp.max_message_size.
var errTooBig = status.Perm(552, 3, 4, "Message size exceeds the limit (smtp.max_message_size)")

// returned is how much of a message that is too large is kept for the notification about it, which has its header.
const returned = 64 << 10

// read takes the bytes.
func (m *message) read(in *intake.Message, body io.Reader) error {
	limit, size := m.settings.MaxSize, m.head.Size
	m.begun = true
	switch {
	case m.dropped() && size > limit:
		m.refused, body, size = errTooBig, io.LimitReader(body, returned), returned
		limit = 2 * returned
	case m.dropped():
		limit = 2*size + 4 // with CRLF for LF it may be too large as well, and goes back
	}
	t := newText(in, limit)
	n, err := io.Copy(t, body)
	if err != nil {
		return err
	}
	if n != size {
		return &rubbish{"it became shorter while it was read"} // the socket's reader has an error of its own
	}
	if err := t.Close(); err != nil {
		return err
	}
	if in.Close(); in.Size() > m.settings.MaxSize {
		m.refused = errTooBig
	}
	return nil
}

// text turns what a program of this host wrote into a message as it is on the wire (RFC 5321 §2.3.8): lines end in CRLF
// whatever they ended in, a stray CR or a NUL becomes a blank, the last line has its end. And into one whose header is
// one (RFC 5322 §3.5): the first line that is no field ends it, and gets an empty line in front where it lacks one.
type text struct {
	w     io.Writer
	left  int64 // bytes that may still be written
	out   []byte
	cr    bool   // a CR came and what it means is not known yet
	line  []byte // start of a header line that may be a field
	begin bool   // line is being collected
	lines int    // of the header, so far
	body  bool   // the header has ended
	open  bool   // the line has begun
}

func newText(w io.Writer, limit int64) *text { return &text{w: w, left: limit, begin: true} }

// maxFieldName bounds what is collected of a line before it is known whether it is a field.
const maxFieldName = 998 // RFC 5322 §2.1.1

// Write takes bytes as they come.
func (t *text) Write(p []byte) (int, error) {
	for _, c := range p {
		if t.cr {
			t.cr = false
			if c != '\n' {
				t.put(' ')
			}
		}
		switch c {
		case '\r':
			t.cr = true
		case '\n':
			t.newline()
		case 0:
			t.put(' ')
		default:
			t.put(c)
		}
	}
	return len(p), t.flush()
}

// Close ends the last line, and the header where nothing else did.
func (t *text) Close() error {
	if t.open || len(t.line) > 0 || t.cr {
		t.cr = false
		t.newline()
	}
	if !t.body {
		t.out = append(t.out, '\r', '\n')
	}
	return t.flush()
}

func (t *text) flush() error {
	out := t.out
	t.out = t.out[:0]
	if t.left -= int64(len(out)); t.left < 0 {
		return errTooBig
	}
	_, err := t.w.Write(out)
	return err
}

func (t *text) put(c byte) {
	if t.body || !t.begin {
		t.out, t.open = append(t.out, c), true
		return
	}
	t.line = append(t.line, c)
	switch blank := c == ' ' || c == '\t'; {
	case len(t.line) == 1 && blank && t.lines > 0: // RFC 5322 §2.2.3: it goes on with the field
		t.field()
	case c == ':' && len(t.line) > 1 && t.line[0] != ' ' && t.line[0] != '\t':
		t.field()
	case blank && len(t.line) > 1, c > ' ' && c < 0x7f && c != ':' && !t.blankBefore(): // RFC 5322 §4.5: blanks before the colon
		if len(t.line) >= maxFieldName {
			t.noField()
		}
	default:
		t.noField()
	}
}

// blankBefore tells whether a blank stands before the last byte of the collected line.
func (t *text) blankBefore() bool {
	n := len(t.line)
	return n > 1 && (t.line[n-2] == ' ' || t.line[n-2] == '\t')
}

// field passes on what was collected: it belongs to a field.
func (t *text) field() {
	t.out = append(t.out, t.line...)
	t.line, t.begin, t.open = t.line[:0], false, true
}

// noField ends the header in front of what was collected.
func (t *text) noField() {
	t.out = append(append(t.out, '\r', '\n'), t.line...)
	t.line, t.body, t.open = nil, true, true
}

func (t *text) newline() {
	if !t.body && t.begin {
		if len(t.line) > 0 {
			t.noField()
		}
		t.body = true // this line end is the empty line's, or that of the first line of text
	}
	t.out = append(t.out, '\r', '\n')
	t.begin, t.open = true, false
	t.lines++
}
