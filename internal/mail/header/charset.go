package header

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// DecodeCharset brings text in a character set to UTF-8. Labels are those of the WHATWG Encoding Standard, which takes
// what mail programs really write, and some old PC code pages. With an unknown label ok is false, ASCII stays and all
// else becomes U+FFFD. The result is always valid UTF-8, at most three times as long.
func DecodeCharset(label string, b []byte) (text string, ok bool) {
	label = strings.ToLower(strings.TrimSpace(label))
	switch label {
	case "utf-8", "utf8":
		return strings.ToValidUTF8(string(b), "\ufffd"), true
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "x-unknown", "unknown-8bit", "8bit":
		return DecodeRaw(b), true
	}
	enc := lookup(label)
	if enc == nil {
		return replaceNonASCII(b), false
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return replaceNonASCII(b), false
	}
	return strings.ToValidUTF8(string(out), "\ufffd"), true
}

// IsPlain tells whether DecodeCharset returns b as it is.
func IsPlain(label string, b []byte) bool {
	switch strings.ToLower(strings.TrimSpace(label)) {
	case "utf-8", "utf8", "", "us-ascii":
		return utf8.Valid(b)
	}
	return false
}

// DecodeRaw reads bytes that came without a label: as UTF-8 where they are that (RFC 6532), else as windows-1252, which
// is what unlabelled mail mostly is.
func DecodeRaw(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return replaceNonASCII(b)
	}
	return strings.ToValidUTF8(string(out), "\ufffd")
}

func lookup(label string) encoding.Encoding {
	switch label {
	case "cp437", "ibm437":
		return charmap.CodePage437
	case "cp850", "ibm850":
		return charmap.CodePage850
	case "cp852", "ibm852":
		return charmap.CodePage852
	case "cp858":
		return charmap.CodePage858
	case "hz-gb-2312", "hz":
		return simplifiedchinese.HZGB2312
	case "cp932", "windows-932":
		label = "shift_jis"
	case "cp936":
		label = "gbk"
	case "cp949":
		label = "euc-kr"
	case "cp950":
		label = "big5"
	}
	if rest, ok := strings.CutPrefix(label, "cp-"); ok {
		label = "cp" + rest
	}
	enc, err := htmlindex.Get(label)
	if err != nil || enc == encoding.Replacement {
		return nil
	}
	return enc
}

func replaceNonASCII(b []byte) string {
	var s strings.Builder
	s.Grow(len(b))
	for _, c := range b {
		if c < utf8.RuneSelf {
			s.WriteByte(c)
		} else {
			s.WriteRune(utf8.RuneError)
		}
	}
	return s.String()
}
