package header

import (
	"strings"
	"unicode/utf8"
)

// The lengths of a line without CRLF, RFC 5322 §2.1.1.
const (
	foldAt  = 78
	maxLine = 998
)

// AppendField appends "name: value" with CRLF, folded at blanks so that lines stay within 78 octets where there are
// blanks, and within 998 in any case. Line ends and other control characters in value become blanks, so that nothing in
// it can start a field of its own. The first line is never left without a word.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	value = strings.Trim(clean(value), " \t")
	width, first := len(name)+2, true
	for value != "" {
		// One blank run with the word after it; fold in front of the blanks.
		n := len(value) - len(strings.TrimLeft(value, " \t"))
		if end := strings.IndexAny(value[n:], " \t"); end >= 0 {
			n += end
		} else {
			n = len(value)
		}
		piece := value[:n]
		value = value[n:]
		if !first && width+len(piece) > foldAt {
			dst = append(dst, '\r', '\n')
			width = 0
		}
		first = false
		for width+len(piece) > maxLine { // a word without end: cut, never inside a character
			cut := maxLine - width
			for cut > 1 && !utf8.RuneStart(piece[cut]) && maxLine-width-cut < utf8.UTFMax {
				cut--
			}
			dst = append(dst, piece[:cut]...)
			dst = append(dst, '\r', '\n', ' ')
			piece, width = piece[cut:], 1
		}
		dst = append(dst, piece...)
		width += len(piece)
	}
	return append(dst, '\r', '\n')
}

// AppendText is AppendField for unstructured text: what is not plain ASCII becomes encoded words.
func AppendText(dst []byte, name, text string) []byte {
	return AppendField(dst, name, EncodeWords(text))
}

// AppendMailboxes writes an address list, display names as encoded words where needed.
func AppendMailboxes(dst []byte, name string, list []Mailbox) []byte {
	return AppendField(dst, name, FormatList(list))
}

// clean replaces what must not stand in a field's value: each control character by a blank, a tab stays.
func clean(s string) string {
	bad := func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }
	for i := 0; i < len(s); i++ {
		if bad(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				if bad(b[i]) {
					b[i] = ' '
				}
			}
			return string(b)
		}
	}
	return s
}
