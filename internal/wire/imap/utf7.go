package imap

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Modified UTF-7, RFC 3501 §5.1.3: how mailbox names are written for clients that have not enabled UTF-8.

var (
	utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()
	errUTF7    = errors.New("mailbox name is not valid modified UTF-7")
)

// encodeUTF7 writes valid UTF-8 in modified UTF-7.
func encodeUTF7(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '&'
	}
	if plain {
		return s
	}
	out := make([]byte, 0, len(s)*2)
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '&':
			out = append(out, "&-"...)
			i++
		case c >= 0x20 && c < 0x7f:
			out = append(out, c)
			i++
		default:
			var units []byte
			for i < len(s) && (s[i] < 0x20 || s[i] >= 0x7f) {
				r, n := utf8.DecodeRuneInString(s[i:])
				i += n
				for _, u := range utf16.AppendRune(nil, r) {
					units = append(units, byte(u>>8), byte(u))
				}
			}
			out = append(out, '&')
			out = utf7Base64.AppendEncode(out, units)
			out = append(out, '-')
		}
	}
	return string(out)
}

// decodeUTF7 is strict: what could have been written in another way is refused, so that each name has one spelling.
func decodeUTF7(s string) (string, error) {
	out := make([]byte, 0, len(s))
	shifted := -1 // where the last base64 run ended
	for i := 0; i < len(s); {
		c := s[i]
		if c < 0x20 || c >= 0x7f {
			return "", errUTF7
		}
		i++
		if c != '&' {
			out = append(out, c)
			continue
		}
		end := i
		for end < len(s) && s[end] != '-' {
			end++
		}
		switch {
		case end == len(s):
			return "", errUTF7
		case end == i:
			out = append(out, '&')
		case shifted == i-1: // two runs side by side would be one
			return "", errUTF7
		default:
			var err error
			if out, err = appendUTF16(out, s[i:end]); err != nil {
				return "", err
			}
			shifted = end + 1
		}
		i = end + 1
	}
	return string(out), nil
}

func appendUTF16(out []byte, run string) ([]byte, error) {
	if strings.ContainsAny(run, "\r\n") { // which Go's decoder skips
		return nil, errUTF7
	}
	b, err := utf7Base64.DecodeString(run)
	if err != nil || len(b)%2 != 0 {
		return nil, errUTF7
	}
	for i := 0; i < len(b); i += 2 {
		r := rune(b[i])<<8 | rune(b[i+1])
		if utf16.IsSurrogate(r) {
			if i += 2; i >= len(b) {
				return nil, errUTF7
			}
			if r = utf16.DecodeRune(r, rune(b[i])<<8|rune(b[i+1])); r == utf8.RuneError {
				return nil, errUTF7
			}
		} else if r >= 0x20 && r < 0x7f { // RFC 3501 §5.1.3: printable ASCII must stand for itself
			return nil, errUTF7
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}
