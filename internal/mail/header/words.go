package header

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// The lengths of RFC 2047 §2: maxWord is written; maxRead is taken, since many do not keep to it.
const (
	maxWord    = 75
	maxRead    = 1024
	maxCharset = 64
)

// DecodeWords decodes the encoded words of an unfolded value (RFC 2047) to UTF-8 and replaces control characters by
// blanks. Encoded words inside other text are taken too; a character split over two words (which §5 forbids and much
// software does) is put together. Bytes above ASCII outside encoded words are read as DecodeRaw does.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return clean(DecodeRaw([]byte(s)))
	}
	var d wordDecoder
	literal, i := 0, 0
	for {
		j := strings.Index(s[i:], "=?")
		if j < 0 {
			break
		}
		i += j
		charset, body, n := encodedWord(s[i:])
		if n == 0 {
			i += 2
			continue
		}
		d.word(s[literal:i], charset, body)
		i += n
		literal = i
	}
	d.flush()
	d.out.WriteString(DecodeRaw([]byte(s[literal:])))
	return clean(d.out.String())
}

type wordDecoder struct {
	out     strings.Builder
	any     bool // a word came before
	charset string
	pending []byte // decoded bytes of the words so far, all of charset
}

// word takes one encoded word and the text between it and the one before.
func (d *wordDecoder) word(gap, charset string, body []byte) {
	// RFC 2047 §6.2: blanks between encoded words are not shown.
	if !d.any || strings.Trim(gap, " \t") != "" {
		d.flush()
		d.out.WriteString(DecodeRaw([]byte(gap)))
	}
	if !strings.EqualFold(charset, d.charset) {
		d.flush()
	}
	d.any, d.charset = true, charset
	d.pending = append(d.pending, body...)
}

func (d *wordDecoder) flush() {
	if len(d.pending) > 0 {
		text, _ := DecodeCharset(d.charset, d.pending)
		d.out.WriteString(text)
		d.pending = d.pending[:0]
	}
}

// encodedWord reads "=?charset?encoding?text?=" at the start of s and returns its length, 0 if there is none.
func encodedWord(s string) (charset string, body []byte, n int) {
	p := s[2:]
	q := strings.IndexByte(p[:min(len(p), maxCharset+1)], '?')
	if q <= 0 || len(p) < q+3 || p[q+2] != '?' {
		return "", nil, 0
	}
	charset, _, _ = strings.Cut(p[:q], "*") // RFC 2231 §5: language
	if strings.ContainsAny(charset, " \t=") {
		return "", nil, 0
	}
	encoding := lower(p[q+1])
	text := p[q+3:]
	end := strings.Index(text[:min(len(text), maxRead)], "?=")
	if end < 0 || strings.Contains(text[:end], "=?") {
		return "", nil, 0
	}
	n = 2 + q + 3 + end + 2
	switch encoding {
	case 'b':
		return charset, DecodeBase64([]byte(text[:end])), n
	case 'q':
		return charset, decodeQ(text[:end]), n
	}
	return "", nil, 0
}

// decodeQ is the Q encoding, RFC 2047 §4.2. An equals sign without two hexadecimal digits stands for itself.
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

// DecodeBase64 decodes as much as there is: characters outside the alphabet are skipped (RFC 2045 §6.8), padding may be
// missing or stand between joined pieces.
func DecodeBase64(s []byte) []byte {
	out := make([]byte, 0, len(s)*3/4+3)
	var acc uint32
	bits := 0
	for _, c := range s {
		v := base64Value(c)
		if c == '=' {
			acc, bits = 0, 0
			continue
		}
		if v < 0 {
			continue
		}
		acc = acc<<6 | uint32(v)
		if bits += 6; bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
			acc &= 1<<bits - 1
		}
	}
	return out
}

func base64Value(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// EncodeWords writes text for a header: as it is if that is plain ASCII, else all of it as encoded words in UTF-8 of at
// most 75 octets, with a blank between them, fit for unstructured fields and for display names alike. Text that is not
// UTF-8 is read as DecodeRaw does.
func EncodeWords(text string) string {
	if isPlain(text) {
		return text
	}
	text = clean(DecodeRaw([]byte(text)))
	const prefixB, prefixQ, suffix = "=?utf-8?b?", "=?utf-8?q?", "?="
	quoted := 0
	for i := 0; i < len(text); i++ {
		if !qSafe(text[i]) && text[i] != ' ' {
			quoted++
		}
	}
	useB := quoted*3 > len(text) // Q can be read by eye; where it would be much longer, B
	var out strings.Builder
	for text != "" {
		n, cost := 0, 0
		for n < len(text) {
			_, w := utf8.DecodeRuneInString(text[n:])
			c := w
			if !useB {
				c = qCost(text[n : n+w])
			}
			next := cost + c
			if size := next; useB && base64.StdEncoding.EncodedLen(size) > maxWord-len(prefixB)-len(suffix) ||
				!useB && size > maxWord-len(prefixQ)-len(suffix) {
				break
			}
			n, cost = n+w, next
		}
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		if useB {
			out.WriteString(prefixB + base64.StdEncoding.EncodeToString([]byte(text[:n])))
		} else {
			out.WriteString(prefixQ)
			writeQ(&out, text[:n])
		}
		out.WriteString(suffix)
		text = text[n:]
	}
	return out.String()
}

// isPlain tells whether text can stand in a header as it is: printable ASCII that is not taken for encoded words.
func isPlain(text string) bool {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return !strings.Contains(text, "=?")
}

// qSafe are the characters of RFC 2047 §5 (3), which are safe in every place.
func qSafe(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!*+-/", c) >= 0
}

func qCost(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if n++; !qSafe(s[i]) && s[i] != ' ' {
			n += 2
		}
	}
	return n
}

func writeQ(out *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ':
			out.WriteByte('_')
		case qSafe(c):
			out.WriteByte(c)
		default:
			out.WriteByte('=')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		}
	}
}
