package mime

import (
	"bytes"
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/header"
)

// How much of a body is kept to make the preview of: text is short in any encoding, HTML has a head.
const (
	keptPlain = 4 << 10
	keptHTML  = 16 << 10
)

// preview keeps the start of the first text/plain and of the first text/html that are no attachments.
type preview struct {
	part        *Part // the part it keeps at the moment
	buf         []byte
	limit       int
	plain, html string // what they say
}

func (v *preview) start(p *Part) {
	if p.Type != "text" || p.Disposition == "attachment" || v.plain != "" {
		return
	}
	switch {
	case p.Subtype == "plain":
		v.limit = keptPlain
	case p.Subtype == "html" && v.html == "":
		v.limit = keptHTML
	default:
		return
	}
	v.part = p
}

func (v *preview) take(b []byte) {
	if v.part == nil || len(v.buf) == v.limit {
		return
	}
	v.buf = append(v.buf, b[:min(len(b), v.limit-len(v.buf))]...)
}

// stop is called when p is closed.
func (v *preview) stop(p *Part) {
	if v.part == nil || v.part != p {
		return
	}
	raw := v.buf[:min(int64(len(v.buf)), p.Size())]
	charset, _ := header.Get(p.Params, "charset")
	switch p.Encoding {
	case "base64":
		raw = header.DecodeBase64(raw)
	case "quoted-printable":
		raw = decodeQuotedPrintable(raw)
	}
	switch html := p.Subtype == "html"; {
	case !html && header.IsPlain(charset, raw):
		v.plain = shorten(raw) // without a copy
	default:
		text, _ := header.DecodeCharset(charset, raw)
		if html {
			v.html = shorten(stripTags(text))
		} else {
			v.plain = shorten(text)
		}
	}
	v.part, v.buf = nil, v.buf[:0]
}

func (v *preview) text() string {
	if v.plain != "" {
		return v.plain
	}
	return v.html
}

// shorten makes one line of at most MaxPreview characters.
func shorten[T string | []byte](s T) string {
	var b strings.Builder
	b.Grow(min(len(s), MaxPreview+utf8.UTFMax))
	n, blank := 0, false
	for i, size := 0, 0; i < len(s); i += size {
		r := rune(s[i])
		if size = 1; r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		}
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			blank = true
			continue
		case r == '\u200b' || r == '\u200c' || r == '\u200d' && n == 0 || r == '\ufeff' || r == '\u034f' || r == '\u00ad':
			continue // what newsletters fill their previews with
		}
		if blank && n > 0 {
			b.WriteByte(' ')
			n++
		}
		if blank = false; n >= MaxPreview {
			break
		}
		b.WriteRune(r)
		n++
	}
	// A character cut in half at the end of what was kept.
	return strings.TrimRight(b.String(), " "+string(utf8.RuneError))
}

// stripTags gives the text of HTML, good enough for a preview and never for showing: tags become blanks, comments and
// what is in style, script, head and title is left out.
func stripTags(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			i = len(s)
		}
		b.WriteString(s[:i])
		if s = s[i:]; s == "" {
			break
		}
		if rest, ok := strings.CutPrefix(s, "<!--"); ok {
			_, s, _ = strings.Cut(rest, "-->")
			continue
		}
		name := tagName(s[1:])
		_, s, _ = strings.Cut(s, ">")
		switch name {
		case "style", "script", "head", "title":
			s = afterElement(s, name)
		case "b", "i", "em", "strong", "span", "a", "u", "font":
			continue // inside words
		}
		b.WriteByte(' ')
	}
	return html.UnescapeString(b.String())
}

func tagName(s string) string {
	n := 0
	for n < len(s) && n < 10 && ('a' <= s[n]|0x20 && s[n]|0x20 <= 'z' || '0' <= s[n] && s[n] <= '9' || s[n] == '/' && n == 0) {
		n++
	}
	return strings.ToLower(strings.TrimPrefix(s[:n], "/"))
}

// afterElement returns what follows the closing tag; without one nothing does. It is reached at most once per element, and
// goes over s once.
func afterElement(s, name string) string {
	for i := strings.Index(s, "</"); i >= 0; i = strings.Index(s, "</") {
		s = s[i+2:]
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			_, s, _ = strings.Cut(s, ">")
			return s
		}
	}
	return ""
}

// decodeQuotedPrintable is RFC 2045 §6.7, taking what is wrong as it stands.
func decodeQuotedPrintable(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		i := bytes.IndexByte(b, '=')
		if i < 0 {
			return append(out, b...)
		}
		out = append(out, b[:i]...)
		b = b[i:]
		if j := softBreak(b[1:]); j > 0 {
			b = b[1+j:]
			continue
		}
		if len(b) >= 3 {
			if hi, lo := unhex(b[1]), unhex(b[2]); hi >= 0 && lo >= 0 {
				out, b = append(out, byte(hi<<4|lo)), b[3:]
				continue
			}
		}
		out, b = append(out, '='), b[1:]
	}
	return out
}

// softBreak returns the length of blanks and a line end at the start of b.
func softBreak(b []byte) int {
	for i, c := range b {
		switch c {
		case '\n':
			return i + 1
		case ' ', '\t', '\r':
		default:
			return 0
		}
	}
	return 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
