package table

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Regexp parses a table of POSIX extended expressions, regexp_table(5): "/pattern/flags value". Flags toggle: i (ignore
// case; on), m (lines; off), x (extended; on, and cannot be turned off).
func Regexp(text string) (*Patterns, []Problem) { return parse(text, posix{}) }

// PCRE parses a table of Perl's expressions, pcre_table(5). Flags toggle: i (on), m (off), s (on), x, A, E, U, X (off).
//
// The engine takes time in proportion to the text, whatever the pattern: what needs more (look-around, back references,
// recursion, …) is refused by its name.
func PCRE(text string) (*Patterns, []Problem) { return parse(text, perl{}) }

// maxPattern bounds the text of one pattern, bytes.
const maxPattern = 32 << 10

type compiled struct{ re *regexp.Regexp }

func (c compiled) find(key string) ([]int, bool) { return c.re.FindStringSubmatchIndex(key), true }

type posix struct{}

func (posix) pattern(s string) (matcher, int, string, string) {
	body, flags, rest, problem := delimited(s)
	if problem != "" {
		return nil, 0, "", problem
	}
	ignoreCase, linewise := true, false
	for _, f := range flags {
		switch f {
		case 'i':
			ignoreCase = !ignoreCase
		case 'm':
			linewise = !linewise
		case 'x':
			return nil, 0, "", "flag x turns extended expressions off; basic ones are not supported: write the pattern as an extended one"
		default:
			return nil, 0, "", fmt.Sprintf("unknown flag %q: i and m are known", f)
		}
	}
	text, err := translateERE(body, linewise)
	if err != nil {
		return nil, 0, "", err.Error()
	}
	prefix := "(?s)"
	if linewise {
		prefix = "(?m)"
	}
	if ignoreCase {
		prefix += "(?i)"
	}
	re, problem := compile(prefix + text)
	if problem != "" {
		return nil, 0, "", problem
	}
	re.Longest() // POSIX: the leftmost match, and of those the longest
	return compiled{re}, re.NumSubexp(), rest, ""
}

type perl struct{}

func (perl) pattern(s string) (matcher, int, string, string) {
	body, flags, rest, problem := delimited(s)
	if problem != "" {
		return nil, 0, "", problem
	}
	on := map[rune]bool{'i': true, 's': true, 'm': false, 'x': false, 'A': false, 'E': false, 'U': false, 'X': false}
	for _, f := range flags {
		was, known := on[f]
		if !known {
			return nil, 0, "", fmt.Sprintf("unknown flag %q: i, m, s, x, A, E, U and X are known", f)
		}
		on[f] = !was
	}
	text, err := translatePCRE(body, on['x'])
	if err != nil {
		return nil, 0, "", err.Error()
	}
	prefix := ""
	for _, f := range "imsU" {
		if on[f] {
			prefix += string(f)
		}
	}
	if prefix != "" {
		prefix = "(?" + prefix + ")"
	}
	if on['A'] {
		text = `\A(?:` + text + `)`
	}
	re, problem := compile(prefix + text)
	if problem != "" {
		return nil, 0, "", problem
	}
	return compiled{re}, re.NumSubexp(), rest, ""
}

// delimited splits "/pattern/flags rest". The delimiter is any character but a letter, a digit, a blank or a backslash;
// behind a backslash it belongs to the pattern.
func delimited(s string) (body, flags, rest, problem string) {
	if s == "" || s[0] <= ' ' || s[0] == '\\' || s[0] >= 0x7f || isAlnum(s[0]) {
		first, _ := word(s)
		return "", "", "", fmt.Sprintf("%q is no rule: expected is /pattern/flags value, if /pattern/ or endif", first)
	}
	end := 1
	for ; end < len(s) && s[end] != s[0]; end++ {
		if s[end] == '\\' {
			end++
		}
	}
	if end >= len(s) {
		return "", "", "", fmt.Sprintf("the pattern has no closing delimiter %q", s[0])
	}
	if end > maxPattern {
		return "", "", "", "the pattern is longer than 32 KiB"
	}
	body = s[1:end]
	if strings.IndexAny(s[end+1:], blanks) == 0 {
		return body, "", strings.Trim(s[end+1:], blanks), ""
	}
	flags, rest = word(s[end+1:])
	return body, flags, rest, ""
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// compile makes the expression; problem is fit for who wrote the pattern.
func compile(text string) (*regexp.Regexp, string) {
	re, err := regexp.Compile(text)
	if err == nil {
		return re, ""
	}
	var e *syntax.Error
	if !errors.As(err, &e) {
		return nil, err.Error()
	}
	switch e.Code {
	case syntax.ErrInvalidRepeatSize:
		return nil, fmt.Sprintf("the repetition %s is above 1000, which is not supported", e.Expr)
	case syntax.ErrInvalidUTF8:
		return nil, "the pattern is not UTF-8"
	case syntax.ErrLarge:
		return nil, "the pattern is too large"
	}
	return nil, fmt.Sprintf("%s: %q", e.Code, e.Expr)
}
