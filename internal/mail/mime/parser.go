package mime

import (
	"bytes"
	"encoding/binary"

	"github.com/postrider/postrider/internal/mail/header"
)

// Parser is fed with a message and gives its Message at the end. It is an io.Writer that never fails. A Parser is for
// one message at a time; it holds the message's own header, the header that it is in and the start of one line.
type Parser struct {
	state state
	pos   int64   // offset of the next byte to be taken
	lf    int64   // line feeds taken
	last  [2]byte // the last two bytes taken

	stack  []frame // open parts, the root first; never empty before Close
	parts  int
	active int // frames with a boundary

	block  []byte // the header being read, up to its limit
	top    []byte // the message's own header, once it has ended
	head   *header.Header
	cut    bool   // top is not all of it
	line   []byte // start of the current line while it may still be a boundary or the end of a header
	mid    bool   // inside a line that is neither
	toPart bool   // after this boundary line comes a part, else an epilogue

	fields  fields
	message *Message
	preview preview
}

type state uint8

const (
	inHeader       state = iota
	inBody               // also preamble and epilogue
	inBoundaryLine       // the rest of a boundary line
)

// frame is an open part.
type frame struct {
	part     *Part
	boundary string // of a multipart whose closing boundary has not come
	lf       int64  // line feeds before the body
	end      int64  // end of the last closed child
	embedded bool   // inside a message/rfc822: not of interest for the preview
}

// lineKept is as much of a line as must be seen to know it: "--", boundary, "--".
const lineKept = 2 + MaxBoundary + 2

// NewParser starts a message.
func NewParser() *Parser {
	p := &Parser{stack: make([]frame, 0, 4)}
	p.Reset()
	return p
}

// Reset starts another message, with the buffers of the one before: what Top returned is no longer valid, its Message is.
func (p *Parser) Reset() {
	stack, block := p.stack[:cap(p.stack)], p.top[:0]
	clear(stack)
	if cap(block) > maxKeptBlock {
		block = nil
	}
	root := &Part{}
	*p = Parser{
		fields:  fields{room: MaxStrings},
		message: &Message{Root: root},
		stack:   append(stack[:0], frame{part: root}),
		parts:   1,
		block:   block,
		line:    p.line[:0],
		preview: preview{buf: p.preview.buf[:0]},
	}
}

// maxKeptBlock is how large a header's buffer may be to be used again.
const maxKeptBlock = 16 << 10

// Top returns, after Close, the message's own header: its bytes as they came with the empty line that ends it, if one did;
// the same parsed; and whether it is whole, or longer than MaxTopHeader.
func (p *Parser) Top() (block []byte, h *header.Header, whole bool) { return p.top, p.head, !p.cut }

// Parse reads a message that is in memory.
func Parse(b []byte) *Message {
	p := NewParser()
	_, _ = p.Write(b)
	return p.Close()
}

// Write takes the next bytes. It returns len(b), nil.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		switch p.state {
		case inHeader:
			b = p.header(b)
		case inBody:
			b = p.body(b)
		case inBoundaryLine:
			b = p.boundaryRest(b)
		}
	}
	return n, nil
}

// Close ends the message and returns what is known about it. The Parser must not be used after it.
func (p *Parser) Close() *Message {
	if len(p.line) > 0 && p.state != inBoundaryLine { // a last line without its end
		if f, closing := p.match(p.line); f >= 0 {
			p.boundary(f, closing, p.line)
		} else {
			p.takeLine(p.line)
		}
	}
	p.endHeaders()
	p.closeTo(0, 0)
	p.message.Preview = p.preview.text()
	if p.fields.limited {
		p.message.Flags |= Limited
	}
	return p.message
}

// header takes one line of a header, or what there is of it.
func (p *Parser) header(b []byte) []byte {
	if p.mid {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			end = len(b)
		}
		p.takeLine(b[:end])
		return b[end:]
	}
	line, rest, known := p.lineStart(b)
	if !known {
		return nil
	}
	if f, closing := p.match(line); f >= 0 {
		p.boundary(f, closing, line)
		return rest
	}
	p.takeLine(line)
	if line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n' {
		p.endHeader()
	}
	return rest
}

// body takes bytes up to the next line that may be a boundary. Only lines that begin with two dashes are looked at.
func (p *Parser) body(b []byte) []byte {
	if p.active == 0 {
		p.take(b)
		return nil
	}
	if !p.mid {
		if have := len(p.line); have < 2 && b[0] != '-' || have == 0 && len(b) > 1 && b[1] != '-' {
			p.take(p.line)
			p.line, p.mid = p.line[:0], true
		} else {
			line, rest, known := p.lineStart(b)
			if !known {
				return nil
			}
			if f, closing := p.match(line); f >= 0 {
				p.boundary(f, closing, line)
			} else {
				p.takeLine(line)
			}
			return rest
		}
	}
	end := len(b)
	if i := bytes.Index(b, lineDashes); i >= 0 {
		end = i + 1
		p.mid = false
	} else if b[end-1] == '\n' {
		p.mid = false
	} else if end > 1 && b[end-1] == '-' && b[end-2] == '\n' {
		end--
		p.mid = false
	}
	p.take(b[:end])
	return b[end:]
}

// boundaryRest skips what follows a boundary on its line.
func (p *Parser) boundaryRest(b []byte) []byte {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		p.take(b)
		return nil
	}
	p.take(b[:end])
	p.afterBoundary()
	return b[end:]
}

// lineStart gathers the current line until it ends or is as long as any boundary. Not known means that all of b was kept
// for later.
func (p *Parser) lineStart(b []byte) (line, rest []byte, known bool) {
	n := min(len(b), lineKept-len(p.line))
	end := bytes.IndexByte(b[:n], '\n') + 1
	if end > 0 {
		n = end
	}
	if len(p.line) == 0 && (end > 0 || n == lineKept) {
		return b[:n], b[n:], true
	}
	p.line = append(p.line, b[:n]...)
	return p.line, b[n:], end > 0 || len(p.line) == lineKept
}

// takeLine takes a line, or a piece of one, that is no boundary.
func (p *Parser) takeLine(line []byte) {
	if p.state == inHeader {
		limit := MaxHeader
		if len(p.stack) == 1 {
			limit = MaxTopHeader
		}
		n := min(len(line), limit-len(p.block))
		p.block = append(p.block, line[:n]...)
		if n < len(line) {
			p.fields.limited = true
			p.cut = p.cut || len(p.stack) == 1
		}
	}
	p.take(line)
	p.mid = line[len(line)-1] != '\n'
	p.line = p.line[:0]
}

// take accounts for bytes, wherever they are.
func (p *Parser) take(b []byte) {
	if len(b) == 0 {
		return
	}
	p.pos += int64(len(b))
	p.lf += int64(bytes.Count(b, lineFeed))
	if len(b) == 1 {
		p.last = [2]byte{p.last[1], b[0]}
	} else {
		p.last = [2]byte(b[len(b)-2:])
	}
	eightBit := EightBitBody
	if p.state == inHeader && len(p.stack) == 1 {
		eightBit = EightBitHeader
	}
	flags := &p.message.Flags
	if *flags&eightBit == 0 && has8Bit(b) {
		*flags |= eightBit
	}
	if *flags&NUL == 0 && bytes.IndexByte(b, 0) >= 0 {
		*flags |= NUL
	}
	if p.state == inBody {
		p.preview.take(b)
	}
}

var (
	lineFeed   = []byte("\n")
	lineDashes = []byte("\n--")
)

func has8Bit(b []byte) bool {
	for len(b) >= 32 {
		if (binary.LittleEndian.Uint64(b)|binary.LittleEndian.Uint64(b[8:])|binary.LittleEndian.Uint64(b[16:])|
			binary.LittleEndian.Uint64(b[24:]))&0x8080808080808080 != 0 {
			return true
		}
		b = b[32:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// match finds the open multipart whose boundary stands at the start of line; -1 if there is none. RFC 2046 §5.1.1: the
// boundary must appear in its entirety at the start, what follows does not matter. Of several the longest counts, then
// the innermost.
func (p *Parser) match(line []byte) (f int, closing bool) {
	f = -1
	if p.active == 0 || len(line) < 3 || line[0] != '-' || line[1] != '-' {
		return f, false
	}
	line = line[2:]
	best := 0
	for i := len(p.stack) - 1; i >= 0; i-- {
		if b := p.stack[i].boundary; len(b) > best && len(line) >= len(b) && string(line[:len(b)]) == b {
			f, best = i, len(b)
		}
	}
	return f, f >= 0 && bytes.HasPrefix(line[best:], lineDashes[1:])
}

// boundary ends all parts inside the multipart at f. line is the boundary line, or as much of it as was needed.
func (p *Parser) boundary(f int, closing bool, line []byte) {
	p.endHeaders()
	eol := int64(0) // RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary
	if p.last[1] == '\n' {
		if eol = 1; p.last[0] == '\r' {
			eol = 2
		}
	}
	p.closeTo(f+1, eol)
	if closing {
		p.stack[f].boundary = ""
		p.active--
	}
	p.toPart = !closing
	p.state = inBoundaryLine
	p.take(line)
	ended := line[len(line)-1] == '\n'
	p.line = p.line[:0]
	if ended {
		p.afterBoundary()
	}
}

func (p *Parser) afterBoundary() {
	p.state, p.mid = inBody, false
	if p.toPart {
		p.open()
	}
}

// open starts a part inside the innermost open one.
func (p *Parser) open() {
	parent := &p.stack[len(p.stack)-1]
	part := &Part{Header: p.pos}
	parent.part.Children = append(parent.part.Children, part)
	p.stack = append(p.stack, frame{part: part, end: p.pos, embedded: parent.embedded || parent.part.Kind == Rfc822})
	p.state, p.mid = inHeader, false
	if p.parts++; p.parts >= MaxParts {
		// This is the last part; whatever comes is in it.
		p.fields.limited = true
		for i := range p.stack {
			p.stack[i].boundary = ""
		}
		p.active = 0
	}
}

// endHeaders ends the header that is being read, if one is, where it is cut off.
func (p *Parser) endHeaders() {
	for p.state == inHeader { // an rfc822 cut off opens the empty message in it
		p.endHeader()
	}
}

// endHeader reads the header and enters the body.
func (p *Parser) endHeader() {
	f := &p.stack[len(p.stack)-1]
	part := f.part
	part.Body, f.lf, f.end = p.pos, p.lf, p.pos
	p.state, p.mid = inBody, false
	h, _ := header.Parse(p.block, len(p.block))
	digest := false
	if len(p.stack) == 1 {
		p.top, p.head, p.block = p.block, h, nil
		p.fields.message(p.message, h)
	} else {
		switch parent := p.stack[len(p.stack)-2].part; parent.Kind {
		case Rfc822:
			e := p.fields.envelope(h)
			parent.Envelope = &e
		case Multipart:
			digest = parent.Subtype == "digest"
		}
	}
	p.fields.part(part, h, digest)
	if cap(p.block) > maxKeptBlock {
		p.block = nil
	}
	p.block = p.block[:0]
	p.enter(f)
}

// enter finds out what is inside the part.
func (p *Parser) enter(f *frame) {
	part := f.part
	message := part.Type == "message" && (part.Subtype == "rfc822" || part.Subtype == "global") // RFC 6532 §3.7
	boundary, ok := "", false
	if part.Type == "multipart" {
		boundary, ok = boundaryOf(part)
	}
	full := len(p.stack) >= MaxDepth || p.parts >= MaxParts
	switch {
	case part.Type == "multipart" && !ok:
		part.setDefaultType()
	case (part.Type == "multipart" || message) && full, message && !identity(part.Encoding):
		p.fields.limited = p.fields.limited || full
		part.Type, part.Subtype = "application", "octet-stream"
	case message:
		part.Kind = Rfc822
		p.open()
		return
	case ok:
		part.Kind, f.boundary = Multipart, boundary
		p.active++
		return
	}
	if !f.embedded {
		p.preview.start(part)
	}
}

func boundaryOf(part *Part) (string, bool) {
	for _, param := range part.Params {
		if b := param.Value; param.Name == "boundary" {
			return b, b != "" && len(b) <= MaxBoundary && !bytes.ContainsAny([]byte(b), "\r\n")
		}
	}
	return "", false
}

// identity tells whether a body stands in the message as it is, RFC 2045 §6.2.
func identity(encoding string) bool { return encoding != "base64" && encoding != "quoted-printable" }

// closeTo closes the open parts from the innermost to the one at index f. eol is the length of the line end before the
// boundary, which is not theirs.
func (p *Parser) closeTo(f int, eol int64) {
	end := int64(0)
	for i := len(p.stack) - 1; i >= f; i-- {
		fr := &p.stack[i]
		fr.part.End = max(p.pos-eol, fr.part.Body, fr.end, end)
		fr.part.Lines = p.lf - fr.lf
		if fr.part.End < p.pos {
			fr.part.Lines--
		}
		if fr.boundary != "" {
			p.active--
		}
		if end = fr.part.End; fr.part.Kind == Multipart && len(fr.part.Children) == 0 {
			empty := &Part{Header: end, Body: end, End: end, Encoding: "7bit"}
			empty.setDefaultType()
			fr.part.Children = []*Part{empty}
		}
		p.preview.stop(fr.part)
	}
	p.stack = p.stack[:f]
	if f > 0 {
		p.stack[f-1].end = max(p.stack[f-1].end, end)
	}
}
