// Package header reads and writes the header of a message, RFC 5322 and RFC 6532, held in memory.
//
// Parse finds the fields of a header block without copying: a Field is a set of offsets. Everything else works on the
// value of one field: addresses, dates, message ids, encoded words (RFC 2047), parameters (RFC 2045 §5.1, RFC 2231).
// Reading is tolerant, since what arrives must be shown; writing is strict. The package never changes the bytes of a
// message: a change is a recipe (Edit). It does no I/O and has no clock.
//
//	header.go   header block, fields, unfolding
//	write.go    fields: folding
//	edit.go     removing and adding fields as a recipe
//	words.go    encoded words, RFC 2047
//	charset.go  character sets to UTF-8
//	params.go   Content-Type, Content-Disposition and their parameters
//	list.go     address lists, RFC 5322 §3.4
//	scan.go     comments, quoted strings and domain literals, for the two above
//	date.go     dates, RFC 5322 §3.3 and §4.3
//	msgid.go    message ids, RFC 5322 §3.6.4
//
// Readers of values do not fail, they return what they could read, in time linear in the input. Parse fails only with
// ErrTooLong.
package header

import (
	"bytes"
	"errors"
	"iter"
	"strings"
)

// ErrTooLong is returned by Parse when the end of the header is not within the limit.
var ErrTooLong = errors.New("header is too long")

// Field is one header field by offsets into its block: the name is [Start,NameEnd), the value with its folds
// [Value,ValueEnd), all with the line end [Start,End). A line that is no field (no colon, or no proper name in front of
// it) is kept as a Field without a name: NameEnd and Value equal Start.
type Field struct {
	Start, NameEnd, Value, ValueEnd, End int
}

// Header is a parsed header block.
type Header struct {
	Fields []Field
	// Size is the length of the header in bytes with the empty line that ends it.
	Size int
	// Ended tells that the empty line was there. Without it the block ended first.
	Ended bool

	block []byte
}

// Parse finds the fields of the header at the start of b. Lines end in CRLF or LF: SMTP refuses a bare LF, but IMAP APPEND
// and imports may bring it. The Header refers to b. When the header does not end in the first limit bytes, what was found
// up to there is returned with ErrTooLong.
func Parse(b []byte, limit int) (*Header, error) {
	h := &Header{Fields: make([]Field, 0, min(bytes.Count(b[:min(len(b), 4096)], []byte("\n")), 64))}
	long := len(b) > limit
	if long {
		b = b[:limit]
	}
	h.block = b
	pos := 0
	for pos < len(b) {
		end := lineEnd(b, pos)
		if isEmptyLine(b[pos:end]) {
			h.Size, h.Ended = end, true
			return h, nil
		}
		// A line of blanks only goes on with the field, RFC 5322 §4.2.
		for end < len(b) && (b[end] == ' ' || b[end] == '\t') {
			end = lineEnd(b, end)
		}
		h.Fields = append(h.Fields, field(b, pos, end))
		pos = end
	}
	h.Size = pos
	if long {
		return h, ErrTooLong
	}
	return h, nil
}

// field splits the field b[start:end].
func field(b []byte, start, end int) Field {
	f := Field{Start: start, NameEnd: start, Value: start, ValueEnd: end, End: end}
	if f.ValueEnd > start && b[f.ValueEnd-1] == '\n' {
		f.ValueEnd--
		if f.ValueEnd > start && b[f.ValueEnd-1] == '\r' {
			f.ValueEnd--
		}
	}
	colon := bytes.IndexByte(b[start:f.ValueEnd], ':')
	if colon <= 0 {
		return f
	}
	nameEnd := start + colon
	for nameEnd > start && (b[nameEnd-1] == ' ' || b[nameEnd-1] == '\t') { // RFC 5322 §4.5: blanks before the colon
		nameEnd--
	}
	for _, c := range b[start:nameEnd] {
		if c <= ' ' || c >= 0x7f { // RFC 5322 §3.6.8: ftext
			return f
		}
	}
	if nameEnd > start {
		f.NameEnd, f.Value = nameEnd, start+colon+1
	}
	return f
}

// Name returns the name of f as written, nil if it has none.
func (h *Header) Name(f Field) []byte { return h.block[f.Start:f.NameEnd] }

// Raw returns the value of f with its folds, without the final line end.
func (h *Header) Raw(f Field) []byte { return h.block[f.Value:f.ValueEnd] }

// Value returns the value of f unfolded and without blanks at its ends.
func (h *Header) Value(f Field) string { return Unfold(h.Raw(f)) }

// Is tells whether f has this name, in any case.
func (h *Header) Is(f Field, name string) bool { return equalFold(h.Name(f), name) }

// All returns the fields with this name from the top down.
func (h *Header) All(name string) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for _, f := range h.Fields {
			if h.Is(f, name) && !yield(f) {
				return
			}
		}
	}
}

// Get returns the unfolded value of the topmost field with this name.
func (h *Header) Get(name string) (string, bool) {
	for f := range h.All(name) {
		return h.Value(f), true
	}
	return "", false
}

// Count returns the number of fields with this name.
func (h *Header) Count(name string) int {
	n := 0
	for range h.All(name) {
		n++
	}
	return n
}

// Unfold removes line ends (RFC 5322 §2.2.3: the blanks after them stay) and the blanks at both ends.
func Unfold(raw []byte) string {
	raw = bytes.Trim(raw, " \t\r\n")
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return string(raw)
	}
	var b strings.Builder
	b.Grow(len(raw))
	for _, c := range raw {
		if c != '\r' && c != '\n' {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// lineEnd returns the offset after the LF of the line that starts at pos.
func lineEnd(b []byte, pos int) int {
	if i := bytes.IndexByte(b[pos:], '\n'); i >= 0 {
		return pos + i + 1
	}
	return len(b)
}

func isEmptyLine(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

// equalFold compares ASCII names.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
