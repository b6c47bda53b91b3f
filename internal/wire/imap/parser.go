package imap

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// Limits of what a command may hold.
const (
	maxDepth    = 50    // nested lists and search keys
	maxRanges   = 20000 // elements of a sequence set
	maxKeywords = 100   // flags in one list
	maxKeyword  = 100   // bytes of a keyword
)

// parser reads one command: its line or lines without the last CRLF, the literals in place. The first error sticks, and
// every method then returns a zero value, so callers check once. It does no I/O.
type parser struct {
	b      []byte
	i      int
	err    error
	at     int  // where it stood when fail was called
	short  bool // the text ended behind a literal's head: the literal has not been read
	tables *tables
	utf8   bool // mailbox names are UTF-8: RFC 6855 §3, RFC 9051 §6.3.1
	now    time.Time

	keys    int  // search keys so far
	texts   int  // BODY, TEXT and THREADID among them
	modseqs bool // MODSEQ is among them
}

// fail records a syntax error.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err, p.at = bad(format, args...), p.i
	}
	p.i = len(p.b)
}

// peek returns the next byte, 0 at the end (NUL itself never gets here).
func (p *parser) peek() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

// eat takes c if it comes next.
func (p *parser) eat(c byte) bool {
	if p.err == nil && p.peek() == c && p.i < len(p.b) {
		p.i++
		return true
	}
	return false
}

// eatWord takes word if it comes next, in any case.
func (p *parser) eatWord(word string) bool {
	if p.err == nil && len(p.b)-p.i >= len(word) && strings.EqualFold(string(p.b[p.i:p.i+len(word)]), word) {
		p.i += len(word)
		return true
	}
	return false
}

// need takes c or fails.
func (p *parser) need(c byte) {
	if p.err == nil && !p.eat(c) {
		p.fail("Expected %q%s", c, p.where())
	}
}

// sp takes one space.
func (p *parser) sp() {
	if p.err == nil && !p.eat(' ') {
		p.fail("Missing argument%s", p.where())
	}
}

func (p *parser) where() string {
	if p.i >= len(p.b) {
		return " at the end of the command"
	}
	return fmt.Sprintf(" before %q", p.b[p.i:min(p.i+12, len(p.b))])
}

// end demands that nothing is left.
func (p *parser) end() {
	if p.err == nil && p.i < len(p.b) {
		p.fail("Unexpected argument%s", p.where())
	}
}

// atomChar: RFC 9051 §9, ATOM-CHAR.
func atomChar(c byte) bool {
	return c > 0x20 && c < 0x7f && c != '(' && c != ')' && c != '{' && c != '%' && c != '*' && c != '"' && c != '\\' && c != ']'
}

// span takes the longest run of bytes that pass.
func (p *parser) span(pass func(byte) bool) string {
	if p.err != nil {
		return ""
	}
	start := p.i
	for p.i < len(p.b) && pass(p.b[p.i]) {
		p.i++
	}
	return string(p.b[start:p.i])
}

// atom takes an atom; empty is a failure.
func (p *parser) atom() string {
	s := p.span(atomChar)
	if s == "" {
		p.fail("Expected a word%s", p.where())
	}
	return s
}

// word is atom in upper case: names of items, keys and options.
func (p *parser) word() string { return strings.ToUpper(p.atom()) }

// astring: RFC 9051 §9; the atom form also takes "]".
func (p *parser) astring() string {
	switch p.peek() {
	case '"', '{', '~':
		if p.peek() != '~' || p.literalAhead() {
			return p.str()
		}
	}
	s := p.span(func(c byte) bool { return atomChar(c) || c == ']' })
	if s == "" {
		p.fail("Expected a string%s", p.where())
	}
	return s
}

func (p *parser) literalAhead() bool { return p.i+1 < len(p.b) && p.b[p.i+1] == '{' }

// str takes a quoted string or a literal.
func (p *parser) str() string {
	if p.err != nil {
		return ""
	}
	if p.peek() == '"' {
		return p.quoted()
	}
	b, _ := p.literal()
	return string(b)
}

// quoted takes a quoted string. UTF-8 is let in even before it is enabled: go-imap v2's client writes it as soon as it has
// seen IMAP4rev2 advertised.
func (p *parser) quoted() string {
	p.need('"')
	var out []byte
	for p.err == nil {
		if p.i >= len(p.b) {
			p.fail("Quoted string without its end")
			break
		}
		c := p.b[p.i]
		p.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				p.fail("Quoted string is not valid UTF-8")
			}
			return string(out)
		case c == '\\':
			if c = p.peek(); c != '"' && c != '\\' {
				p.fail("Bad escape in a quoted string")
			}
			p.i++
		case c == 0 || c == '\r' || c == '\n':
			p.fail("NUL or line break in a quoted string")
		}
		out = append(out, c)
	}
	return ""
}

// literal takes a literal that the reader has put in place. binary: it was a literal8.
func (p *parser) literal() (b []byte, binary bool) {
	binary = p.eat('~')
	n, ok := p.literalHead()
	if !ok || int64(len(p.b)-p.i) < n {
		p.fail("Expected a string%s", p.where())
		return nil, binary
	}
	b = p.b[p.i : p.i+int(n)]
	if !binary && bytes.IndexByte(b, 0) >= 0 {
		p.fail("NUL in a literal") // RFC 9051 §9, CHAR8
		return nil, binary
	}
	p.i += int(n)
	return b, binary
}

// literalHead takes "{n}" or "{n+}" (RFC 7888) with its CRLF.
func (p *parser) literalHead() (int64, bool) {
	if !p.eat('{') {
		return 0, false
	}
	n, ok := p.number64()
	p.eat('+')
	if ok = ok && p.eat('}'); ok && p.i == len(p.b) && p.err == nil {
		p.short = true
	}
	return n, ok && p.eat('\r') && p.eat('\n')
}

func (p *parser) number64() (int64, bool) {
	s := p.span(func(c byte) bool { return c >= '0' && c <= '9' })
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// number takes an unsigned 32-bit number.
func (p *parser) number() uint32 {
	n, ok := p.number64()
	if !ok || n > 1<<32-1 {
		p.fail("Expected a number%s", p.where())
		return 0
	}
	return uint32(n)
}

// nzNumber takes a number that is not 0.
func (p *parser) nzNumber() uint32 {
	n := p.number()
	if n == 0 {
		p.fail("Expected a number above 0")
	}
	return n
}

// streamHead takes the head of the message literal that ends the text, which the command reads itself.
func (p *parser) streamHead() literalHead {
	if p.err != nil {
		return literalHead{}
	}
	h, ok := parseLiteralHead(p.b[p.i:])
	rest := p.b[p.i:]
	if h.binary {
		rest = rest[1:]
	}
	if !ok || rest[0] != '{' {
		p.fail("Expected a literal%s", p.where())
	}
	p.i = len(p.b)
	return h
}

// list takes "(" item *(SP item) ")"; it may be empty.
func (p *parser) list(item func()) {
	p.need('(')
	if p.eat(')') {
		return
	}
	for p.err == nil {
		item()
		if p.eat(')') {
			return
		}
		p.sp()
	}
}

// numbers is what stands where a sequence set may: a set, or "$", the saved result of a search (RFC 5182).
type numbers struct {
	set   view.Set
	saved bool
}

// numbers takes a sequence set or "$".
func (p *parser) numbers() numbers {
	if p.eat('$') {
		return numbers{saved: true}
	}
	return numbers{set: p.set()}
}

// set takes a sequence set of numbers, RFC 9051 §9.
func (p *parser) set() view.Set {
	var out view.Set
	for p.err == nil {
		r := view.Range{First: p.seqNumber()}
		if r.Last = r.First; p.eat(':') {
			r.Last = p.seqNumber()
		}
		if len(out) == maxRanges {
			p.fail("Too many ranges in a set")
		}
		out = append(out, r)
		if !p.eat(',') {
			break
		}
	}
	return out
}

func (p *parser) seqNumber() uint32 {
	if p.eat('*') {
		return 0
	}
	if c := p.peek(); c < '0' || c > '9' {
		p.fail("Expected a sequence set%s", p.where())
		return 0
	}
	return p.nzNumber()
}

// flags takes a flag list in parentheses.
func (p *parser) flags() view.Flags {
	var f view.Flags
	var words []string
	p.list(func() { p.flag(&f, &words) })
	f.Keywords = view.Keywords(words...)
	return f
}

// flag takes one flag into f or words. RFC 9051 §9: flag; \Recent cannot be set.
func (p *parser) flag(f *view.Flags, words *[]string) {
	if p.eat('\\') {
		name := `\` + p.atom()
		s, ok := view.SystemByName(name)
		if !ok && p.err == nil {
			p.fail("Flag %s cannot be set", name)
		}
		f.System |= s
		return
	}
	w := p.atom()
	if len(w) > maxKeyword || len(*words) == maxKeywords {
		p.fail("Keyword too long, or too many")
	}
	*words = append(*words, w)
}

// dateTime takes a date-time in quotes, RFC 9051 §9: "17-Jul-1996 02:44:25 -0700", the day also as " 7".
func (p *parser) dateTime() time.Time {
	s := p.quoted()
	t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", s)
	if p.err == nil && (err != nil || len(s) != 26) {
		p.fail("Bad date-time %q", s)
	}
	return t
}

// date takes a date, in quotes or not, RFC 9051 §9: 1-Feb-1994. It is midnight UTC.
func (p *parser) date() time.Time {
	var s string
	if p.peek() == '"' {
		s = p.quoted()
	} else {
		s = p.atom()
	}
	t, err := time.Parse("2-Jan-2006", s)
	if p.err == nil && err != nil {
		p.fail("Bad date %q", s)
	}
	return t
}

// mailbox takes a mailbox name as the client writes it, and undoes modified UTF-7 where that is in use.
func (p *parser) mailbox() string { return p.decodeName(p.astring()) }

func (p *parser) decodeName(s string) string {
	if p.err != nil {
		return ""
	}
	// A client that enabled UTF-8 writes names so (RFC 6855 §3), the others in modified UTF-7, which is ASCII.
	if p.utf8 || !isASCII(s) {
		if !utf8.ValidString(s) {
			p.err = &failure{status: "NO", code: "CANNOT", text: "Mailbox name is not valid UTF-8"}
		}
		return s
	}
	name, err := decodeUTF7(s)
	if err != nil {
		p.err = &failure{status: "NO", code: "CANNOT", text: "Mailbox name is not valid modified UTF-7"}
	}
	return name
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// listMailbox takes a pattern of LIST or LSUB: RFC 9051 §9, list-mailbox.
func (p *parser) listMailbox() string {
	if c := p.peek(); c == '"' || c == '{' {
		return p.decodeName(p.str())
	}
	s := p.span(func(c byte) bool { return atomChar(c) || c == ']' || c == '%' || c == '*' })
	if s == "" {
		p.fail("Expected a mailbox pattern%s", p.where())
	}
	return p.decodeName(s)
}
