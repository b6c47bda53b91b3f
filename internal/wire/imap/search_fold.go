package imap

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"golang.org/x/text/unicode/norm"
)

// fold brings text to the form in which it is compared: RFC 9051 §6.4.4 wants case ignored; composed characters make
// equal what looks equal.
func fold(s string) string { return strings.ToLower(norm.NFC.String(s)) }

// containsFold tells whether s contains the folded needle.
func containsFold(s, needle string) bool {
	if len(s) < 256 {
		var short [256]byte
		if folded, ok := appendLower(short[:0], s); ok {
			return bytes.Contains(folded, []byte(needle))
		}
	}
	return strings.Contains(fold(s), needle)
}

// appendFold appends the folded form of text.
func appendFold(dst, text []byte) []byte {
	if out, ok := appendLower(dst, text); ok {
		return out
	}
	return append(dst, fold(string(text))...)
}

// appendLower appends ASCII text in lower case, eight bytes at a time; ok is false for other text.
func appendLower[T string | []byte](dst []byte, text T) (out []byte, ok bool) {
	const ones = 0x0101010101010101
	n := len(dst)
	dst = append(dst, text...)
	b := dst[n:]
	var seen uint64
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		seen |= x
		low := x &^ (0x80 * ones)
		upper := (low + (0x80-'A')*ones) &^ (low + (0x7f-'Z')*ones) & (0x80 * ones) // from A on, but not beyond Z
		binary.LittleEndian.PutUint64(b, x|upper>>2)
		b = b[8:]
	}
	for i, c := range b {
		seen |= uint64(c)
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return dst, seen&(0x80*ones) == 0
}

// searchMemory is the memory of a search, used again for each message.
type searchMemory struct {
	block  []byte // the top header as it was read
	raw    []byte // a part as it was read
	header []byte // folded fields, one behind the other
	text   []byte // folded texts of the message's parts
}

// fieldEnd stands behind each folded field: no UTF-8 text has it, so nothing is found across two fields.
const fieldEnd = 0xff

// foldHeader returns the folded fields of the top header, with their names.
func (m *candidate) foldHeader() ([]byte, error) {
	if m.folded {
		return m.mem.header, nil
	}
	h, err := m.header()
	if err != nil {
		return nil, err
	}
	out := m.mem.header[:0]
	for _, f := range h.Fields {
		out = append(appendField(out, h, f), fieldEnd)
	}
	m.mem.header, m.folded = out, true
	return out, nil
}

// appendField appends a folded field. Most have neither encoded words nor anything but ASCII.
func appendField(dst []byte, h *header.Header, f header.Field) []byte {
	if raw := h.Raw(f); !bytes.Contains(raw, []byte("=?")) {
		out, plain := appendLower(dst, h.Name(f))
		value := len(out) + 2
		out, ok := appendLower(append(out, ": "...), bytes.Trim(raw, " \t\r\n"))
		if plain && ok {
			return out[:value+len(unfold(out[value:]))]
		}
	}
	return append(dst, fold(string(h.Name(f))+": "+header.DecodeWords(h.Value(f)))...)
}

// unfold takes the line ends out of b, in place (RFC 5322 §2.2.3: the blanks after them stay).
func unfold(b []byte) []byte {
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	return slices.DeleteFunc(b, func(c byte) bool { return c == '\r' || c == '\n' })
}

// foldPart appends the folded text of a part to dst.
func (m *candidate) foldPart(dst []byte, p *mime.Part) ([]byte, error) {
	charset, _ := header.Get(p.Params, "charset")
	if text, ok, err := m.plainPart(p); err != nil {
		return dst, err
	} else if ok && header.IsPlain(charset, text) {
		return appendFold(dst, text), nil
	}
	text, err := partText(m.msg.Body, p)
	return append(dst, fold(text)...), err
}

// plainPart reads a part that is encoded in no way, or in base64 without a fault: what the decoder for faulty mail would
// make of it too, in a fraction of the time.
func (m *candidate) plainPart(p *mime.Part) (text []byte, ok bool, err error) {
	if p.Encoding == "quoted-printable" || p.Encoding == "base64" && p.Size() > maxSearchPart {
		return nil, false, nil
	}
	n := int(min(p.Size(), maxSearchPart))
	m.mem.raw = slices.Grow(m.mem.raw[:0], n)[:n]
	if n, err := m.msg.Body.ReadAt(m.mem.raw, p.Body); n < len(m.mem.raw) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, false, err
	}
	if p.Encoding != "base64" {
		return m.mem.raw, true, nil
	}
	n, err = base64.StdEncoding.Decode(m.mem.raw, m.mem.raw) // it writes behind where it reads
	return m.mem.raw[:n], err == nil, nil
}
