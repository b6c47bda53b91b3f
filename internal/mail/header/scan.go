package header

import "strings"

// skipCFWS skips blanks and comments (RFC 5322 §3.2.2) from i on. A comment without end goes to the end.
func skipCFWS(s string, i int) int {
	for i < len(s) {
		switch s[i] {
		case ' ', '\t', '\r', '\n':
			i++
		case '(':
			i = commentEnd(s, i)
		default:
			return i
		}
	}
	return i
}

// commentEnd returns the offset after the comment that starts at i. Comments nest; no recursion.
func commentEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// quotedString reads the quoted string that starts at i and returns what it says and the offset after it. Without a
// closing quote it goes to the end.
func quotedString(s string, i int) (string, int) {
	start := i + 1
	for i = start; i < len(s) && s[i] != '"' && s[i] != '\\'; i++ {
	}
	if i == len(s) {
		return s[start:], i
	}
	if s[i] == '"' {
		return s[start:i], i + 1
	}
	var b strings.Builder
	b.WriteString(s[start:i])
	for ; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i + 1
		case '\\':
			if i++; i == len(s) {
				return b.String(), i
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), i
}

// comment returns what the comment s (with its parentheses) says.
func comment(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "("), ")")
	if strings.IndexByte(s, '\\') < 0 {
		return strings.Trim(s, " \t")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return strings.Trim(b.String(), " \t")
}
