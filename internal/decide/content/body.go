package content

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/mime"
)

// piece is how much of a line of the body is looked up at once (Postfix: line_length_limit).
const piece = 2048

// stretch is the header of a part or of an attached message, by its place in the message.
type stretch struct {
	start, end int64
	nested     bool
}

// stretches lists the headers in the body, in order.
func stretches(p *mime.Part, list []stretch) []stretch {
	for _, c := range p.Children {
		list = append(list, stretch{c.Header, c.Body, p.Kind == mime.Rfc822})
		list = stretches(c, list)
	}
	return list
}

// body examines what follows the message's header.
func (x *examination) body() error {
	if len(x.MIME)+len(x.Nested)+len(x.Body) == 0 {
		return nil
	}
	parser := mime.NewParser()
	if _, err := x.m.Open().WriteTo(parser); err != nil {
		return err
	}
	root := parser.Close().Root
	parts := stretches(root, nil)
	slices.SortStableFunc(parts, func(a, b stretch) int { return int(a.start - b.start) })
	b := &reading{examination: x, in: bufio.NewReaderSize(x.m.Body(), 16<<10), pos: root.Body, start: root.Body}
	for _, p := range parts {
		if p.start < b.pos {
			continue
		}
		if err := b.lines(p.start); err != nil || x.over {
			return b.end(err)
		}
		if err := b.header(p); err != nil || x.over {
			return b.end(err)
		}
	}
	return b.end(b.lines(root.End))
}

// reading is a way through the body.
type reading struct {
	*examination
	in    *bufio.Reader
	pos   int64 // in the message
	start int64 // of the body
	seen  int64 // bytes of this part that were looked at
	out   *gate.NewBody
}

// end copies the rest, if something was changed, and puts the new body in force.
func (b *reading) end(err error) error {
	if err != nil || b.out == nil {
		return err
	}
	if _, err := io.Copy(b.out, b.in); err != nil {
		return err
	}
	return b.out.Close()
}

// pass moves over bytes that were read and stay.
func (b *reading) pass(p []byte) error {
	b.pos += int64(len(p))
	if b.out == nil {
		return nil
	}
	_, err := b.out.Write(p)
	return err
}

// skip passes over bytes that nobody asks about.
func (b *reading) skip(n int64) error {
	b.pos += n
	var out io.Writer = io.Discard
	if b.out != nil {
		out = b.out
	}
	_, err := io.CopyN(out, b.in, n)
	return err
}

// put puts what a verdict says in the place of a line, with its line end; raw stays otherwise.
func (b *reading) put(v verdict, raw []byte) error {
	if v == (verdict{}) {
		return b.pass(raw)
	}
	if b.out == nil {
		b.out = b.m.ReplaceBody()
		if _, err := io.CopyN(b.out, b.m.Body(), b.pos-b.start); err != nil {
			return err
		}
	}
	if v.prepend != "" {
		if _, err := io.WriteString(b.out, v.prepend+"\r\n"); err != nil {
			return err
		}
	}
	switch {
	case v.drop:
		b.pos += int64(len(raw))
		return nil
	case v.replace != "":
		b.pos += int64(len(raw))
		_, err := io.WriteString(b.out, v.replace+"\r\n")
		return err
	}
	return b.pass(raw)
}

// lines examines lines of text up to a place.
func (b *reading) lines(to int64) error {
	b.seen = 0
	buf := make([]byte, 0, piece+2)
	for b.pos < to && !b.over {
		if len(b.Body) == 0 || b.seen >= b.BodyLimit {
			return b.skip(to - b.pos)
		}
		raw, err := b.line(buf, to)
		if err != nil {
			return err
		}
		if err := b.textLine(raw); err != nil {
			return err
		}
	}
	return nil
}

// line reads a line with its end, or a piece of a long one.
func (b *reading) line(buf []byte, to int64) ([]byte, error) {
	buf = buf[:0]
	for int64(len(buf)) < to-b.pos && len(buf) < piece {
		c, err := b.in.ReadByte()
		if err != nil {
			return nil, err
		}
		if buf = append(buf, c); c == '\n' {
			break
		}
	}
	if n := len(buf); n == piece { // its end goes with it
		for _, c := range []byte("\r\n") {
			if next, err := b.in.Peek(1); err == nil && next[0] == c && int64(len(buf)) < to-b.pos && buf[n-1] != '\n' {
				buf = append(buf, c)
				_, _ = b.in.Discard(1)
			}
		}
	}
	return buf, nil
}

// header examines the header of a part. The first line that is no field ends it: the rest is text, as it is to Postfix.
func (b *reading) header(p stretch) error {
	var raw []byte
	buf := make([]byte, 0, piece+2)
	for b.pos < p.end && !b.over {
		line, err := b.line(buf, p.end-int64(len(raw)))
		if err != nil {
			return err
		}
		ended := len(raw) > 0 && raw[len(raw)-1] == '\n'
		if folded := len(line) > 0 && (line[0] == ' ' || line[0] == '\t'); ended && !folded || len(raw) > 2*maxLine {
			if err := b.field(p, raw); err != nil || b.over {
				return errors.Join(err, b.rest(line))
			}
			raw = raw[:0]
		}
		if len(raw) == 0 && !beginsField(line) {
			if err := b.textLine(line); err != nil || b.over {
				return err
			}
			return b.lines(p.end)
		}
		if raw = append(raw, line...); b.pos+int64(len(raw)) >= p.end {
			return b.field(p, raw)
		}
	}
	return nil
}

// beginsField tells whether a line, or the piece of it that was read, begins a field; the empty line counts as one.
func beginsField(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && isField(string(bytes.TrimRight(line[:i], " \t"))+":") || len(bytes.TrimRight(line, "\r\n")) == 0
}

// rest passes on a line that was read and is not looked at any more.
func (b *reading) rest(line []byte) error {
	if !b.over {
		return nil
	}
	return b.pass(line)
}

// field examines one field of a part's header, or the empty line behind the last.
func (b *reading) field(p stretch, raw []byte) error {
	v := verdict{}
	if i := bytes.IndexByte(raw, ':'); i > 0 {
		name := string(bytes.TrimRight(raw[:i], " \t"))
		setting, tables := b.of(p.nested, name)
		var err error
		if v, err = b.look(setting, tables, logical(name, bytes.TrimRight(raw[i+1:], "\r\n"))); err != nil {
			return err
		}
	}
	return b.put(v, raw)
}

// textLine examines a line of text.
func (b *reading) textLine(raw []byte) error {
	v, err := b.look(body, b.Body, string(bytes.TrimRight(raw, "\r\n")))
	if err != nil {
		return err
	}
	b.seen += int64(len(raw))
	return b.put(v, raw)
}
