package table

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// translateERE writes a POSIX extended expression (with the operators that glibc adds) as one of package regexp. A group
// of the one is a group of the other.
func translateERE(s string, linewise bool) (string, error) {
	t := &ere{s: s, linewise: linewise}
	return t.alternatives(0)
}

type ere struct {
	s        string
	at       int
	linewise bool // a negated list does not match a newline
}

func (t *ere) more() bool { return t.at < len(t.s) }

// alternatives reads a|b|c, up to the parenthesis that closes.
func (t *ere) alternatives(depth int) (string, error) {
	if depth > maxNesting {
		return "", fmt.Errorf("parentheses in parentheses, deeper than %d", maxNesting)
	}
	var out strings.Builder
	for {
		one, err := t.sequence(depth)
		if err != nil {
			return "", err
		}
		out.WriteString(one)
		if !t.more() || t.s[t.at] != '|' {
			return out.String(), nil
		}
		t.at++
		out.WriteByte('|')
	}
}

func (t *ere) sequence(depth int) (string, error) {
	var out strings.Builder
	for t.more() && t.s[t.at] != '|' && (t.s[t.at] != ')' || depth == 0) {
		atom, err := t.atom(depth)
		if err != nil {
			return "", err
		}
		for t.more() {
			op, err := t.repetition()
			if err != nil {
				return "", err
			}
			if op == "" {
				break
			}
			atom = "(?:" + atom + ")" + op // each repetition around the last: there are no lazy ones in POSIX
		}
		out.WriteString(atom)
		if out.Len() > 4*maxPattern {
			return "", fmt.Errorf("the pattern is too large")
		}
	}
	return out.String(), nil
}

// repetition reads *, +, ? or {m,n}; "" if none is next.
func (t *ere) repetition() (string, error) {
	switch c := t.s[t.at]; c {
	case '*', '+', '?':
		t.at++
		return string(c), nil
	case '{':
		end := strings.IndexByte(t.s[t.at:], '}')
		if end < 0 {
			return "", fmt.Errorf("{ without }; a brace itself is written \\{")
		}
		inner := t.s[t.at+1 : t.at+end]
		low, high, comma := strings.Cut(inner, ",")
		if low == "" && comma {
			low = "0"
		}
		m, err := strconv.ParseUint(low, 10, 15)
		n := m
		if err == nil && high != "" {
			n, err = strconv.ParseUint(high, 10, 15)
		}
		if err != nil || n < m {
			return "", fmt.Errorf("{%s} is no repetition; a brace itself is written \\{", inner)
		}
		t.at += end + 1
		if comma && high == "" {
			return fmt.Sprintf("{%d,}", m), nil
		}
		return fmt.Sprintf("{%d,%d}", m, n), nil
	}
	return "", nil
}

func (t *ere) atom(depth int) (string, error) {
	c := t.s[t.at]
	t.at++
	switch c {
	case '(':
		inner, err := t.alternatives(depth + 1)
		if err != nil {
			return "", err
		}
		if !t.more() {
			return "", fmt.Errorf("( without )")
		}
		t.at++
		return "(" + inner + ")", nil
	case '[':
		return t.list()
	case '\\':
		return t.escape()
	case '.', '^', '$':
		return string(c), nil
	case '*', '+', '?', '{':
		return "", fmt.Errorf("%q has nothing before it to repeat; itself it is written \\%c", c, c)
	case ')':
		return `\)`, nil // one that closes nothing stands for itself
	}
	if c < 0x80 {
		return regexp.QuoteMeta(string(rune(c))), nil
	}
	start := t.at - 1
	for t.more() && t.s[t.at]&0xc0 == 0x80 {
		t.at++
	}
	return t.s[start:t.at], nil
}

func (t *ere) escape() (string, error) {
	if !t.more() {
		return "", fmt.Errorf("a backslash at the end of the pattern")
	}
	c := t.s[t.at]
	t.at++
	switch {
	case '1' <= c && c <= '9':
		return "", fmt.Errorf("back references (\\%c) are not supported", c)
	case c == '<' || c == '>' || c == 'b':
		return `\b`, nil
	case c == 'B' || c == 'w' || c == 'W':
		return `\` + string(rune(c)), nil
	case c == 's':
		return `[\t\n\v\f\r ]`, nil
	case c == 'S':
		return `[^\t\n\v\f\r ]`, nil
	case c == '`':
		return `\A`, nil
	case c == '\'':
		return `\z`, nil
	case c >= 0x80:
		t.at--
		return t.atom(0)
	}
	return regexp.QuoteMeta(string(rune(c))), nil
}

// list reads a bracket expression, in which a backslash stands for itself.
func (t *ere) list() (string, error) {
	var out strings.Builder
	out.WriteByte('[')
	if strings.HasPrefix(t.s[t.at:], "^") {
		t.at++
		out.WriteByte('^')
		if t.linewise {
			out.WriteString(`\n`)
		}
	}
	for first := true; ; first = false {
		if !t.more() {
			return "", fmt.Errorf("[ without ]")
		}
		if t.s[t.at] == ']' && !first {
			t.at++
			out.WriteByte(']')
			return out.String(), nil
		}
		if strings.HasPrefix(t.s[t.at:], "[:") {
			class, err := t.class()
			if err != nil {
				return "", err
			}
			out.WriteString(class)
			continue
		}
		low, err := t.member()
		if err != nil {
			return "", err
		}
		out.WriteString(quoteMember(low))
		rest := t.s[t.at:]
		if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
			continue
		}
		t.at++
		high, err := t.member()
		if err != nil {
			return "", err
		}
		if high < low {
			return "", fmt.Errorf("the range %c-%c goes backwards", low, high)
		}
		out.WriteString("-" + quoteMember(high))
	}
}

// class reads [:name:].
func (t *ere) class() (string, error) {
	end := strings.Index(t.s[t.at:], ":]")
	if end < 0 {
		return "", fmt.Errorf("[: without :]")
	}
	name := t.s[t.at+2 : t.at+end]
	t.at += end + 2
	switch name {
	case "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit":
		return "[:" + name + ":]", nil
	}
	return "", fmt.Errorf("unknown class of characters [:%s:]", name)
}

// member reads one character of a list; [.x.] and [=x=] are that character too.
func (t *ere) member() (rune, error) {
	for _, mark := range []string{".", "="} {
		if rest, ok := strings.CutPrefix(t.s[t.at:], "["+mark); ok {
			name, _, closed := strings.Cut(rest, mark+"]")
			if rs := []rune(name); closed && len(rs) == 1 {
				t.at += 4 + len(name)
				return rs[0], nil
			}
			return 0, fmt.Errorf("collating elements of several characters ([%s%s%s]) are not supported", mark, name, mark)
		}
	}
	r, size := utf8.DecodeRuneInString(t.s[t.at:])
	if size == 0 {
		return 0, fmt.Errorf("[ without ]")
	}
	t.at += size
	return r, nil
}

func quoteMember(r rune) string {
	if r < 0x80 && !isAlnum(byte(r)) {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return string(r)
}
