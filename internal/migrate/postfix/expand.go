package postfix

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of an expansion. Postfix stops at a nesting of 100; a value that doubles itself at each step would still be endless.
const (
	maxDepth    = 50
	maxExpanded = 1 << 20
	maxSteps    = 100000
	maxCopied   = 16 << 20 // bytes moved and looked at
)

// Lookup returns the value of a parameter as it is written; ok is false for one that is not known.
type Lookup func(name string) (raw string, ok bool)

// Expand replaces $name, ${name}, $(name), ${name?text}, ${name:text}, ${name?{text}:{text}} and
// ${{text} == {text} ? {text} : {text}} as postconf(5) has them, in values of parameters too. Unknown names are empty, and
// returned. An error: parameters that refer to each other in a loop, or a value without end.
func Expand(text string, get Lookup) (value string, unknown []string, err error) {
	e := &expander{get: get}
	value, err = e.expand(text, 0)
	return value, e.unknown, err
}

type expander struct {
	get     Lookup
	unknown []string
	path    []string // the parameters that are being expanded
	steps   int
	copied  int
}

func (e *expander) expand(text string, depth int) (string, error) {
	if e.steps++; depth > maxDepth || e.steps > maxSteps {
		return "", fmt.Errorf("nested too deeply at %s", e.trail())
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if e.copied += len(rest); e.copied > maxCopied { // what looking for the closing brace may cost
			return "", fmt.Errorf("too long at %s", e.trail())
		}
		body, after, kind := cutMacro(rest)
		text = after
		switch kind {
		case macroDollar:
			b.WriteByte('$')
			continue
		case macroNone: // a $ that begins nothing
			b.WriteByte('$')
			continue
		}
		value, err := e.macro(body, depth)
		if err != nil {
			return "", err
		}
		if e.copied += len(value); b.Len()+len(value) > maxExpanded || e.copied > maxCopied {
			return "", fmt.Errorf("longer than %d bytes at %s", maxExpanded, e.trail())
		}
		b.WriteString(value)
	}
}

func (e *expander) trail() string {
	if len(e.path) == 0 {
		return "its own text"
	}
	return "$" + strings.Join(e.path[max(0, len(e.path)-5):], " → $")
}

type macroKind int

const (
	macroNone   macroKind = iota
	macroDollar           // $$
	macroBody             // $name, ${body}, $(body)
)

// cutMacro takes what follows a $.
func cutMacro(s string) (body, after string, kind macroKind) {
	if s == "" {
		return "", "", macroNone
	}
	switch s[0] {
	case '$':
		return "", s[1:], macroDollar
	case '{', '(':
		if end := closing(s); end > 0 {
			return s[1:end], s[end+1:], macroBody
		}
		return "", s, macroNone
	}
	n := nameEnd(s)
	if n == 0 {
		return "", s, macroNone
	}
	return s[:n], s[n:], macroBody
}

// closing finds the end of the brace or parenthesis at the beginning of s, or -1.
func closing(s string) int {
	open, shut := s[0], byte('}')
	if open == '(' {
		shut = ')'
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			depth++
		case shut:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// nameEnd is the length of the parameter's name at the beginning of s.
func nameEnd(s string) int {
	for i := range len(s) {
		if c := s[i]; !(c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return i
		}
	}
	return len(s)
}

// macro expands what stands between the braces.
func (e *expander) macro(body string, depth int) (string, error) {
	if rest := strings.TrimLeft(body, blanks); strings.HasPrefix(rest, "{") {
		return e.relation(rest, depth)
	}
	n := nameEnd(body)
	name, rest := body[:n], strings.TrimLeft(body[n:], blanks)
	if name == "" {
		return "", fmt.Errorf("${%s}: no parameter is named", clip(body))
	}
	raw, ok := e.get(name)
	if !ok {
		e.unknown = append(e.unknown, name)
	}
	if rest == "" {
		return e.parameter(name, raw, depth)
	}
	yes, no, err := branches(rest)
	if err != nil {
		return "", fmt.Errorf("${%s}: %w", clip(body), err)
	}
	if raw == "" {
		return e.expand(no, depth+1)
	}
	return e.expand(yes, depth+1)
}

// parameter expands the value of a parameter.
func (e *expander) parameter(name, raw string, depth int) (string, error) {
	if strings.IndexByte(raw, '$') < 0 {
		return raw, nil
	}
	for _, p := range e.path {
		if p == name {
			return "", fmt.Errorf("a loop: $%s → $%s", strings.Join(e.path, " → $"), name)
		}
	}
	e.path = append(e.path, name)
	value, err := e.expand(raw, depth+1)
	e.path = e.path[:len(e.path)-1]
	return value, err
}

// branches takes what is not empty: "?text", ":text", "?{text}:{text}" apart. Text without braces goes to the end.
func branches(s string) (yes, no string, err error) {
	mark := s[0]
	if mark != '?' && mark != ':' {
		return "", "", fmt.Errorf("after the name, expected is } or ? or : and not %q", mark)
	}
	first, rest, err := branch(s[1:])
	if err != nil {
		return "", "", err
	}
	rest = strings.TrimLeft(rest, blanks)
	switch {
	case mark == ':' && rest == "":
		return "", first, nil
	case rest == "":
		return first, "", nil
	case mark == '?' && rest[0] == ':':
		second, more, err := branch(rest[1:])
		if err == nil && strings.Trim(more, blanks) != "" {
			err = fmt.Errorf("text behind the last brace: %q", clip(more))
		}
		return first, second, err
	}
	return "", "", fmt.Errorf("text behind the last brace: %q", clip(rest))
}

func branch(s string) (text, rest string, err error) {
	trimmed := strings.TrimLeft(s, blanks)
	if !strings.HasPrefix(trimmed, "{") {
		return s, "", nil
	}
	end := closing(trimmed)
	if end < 0 {
		return "", "", fmt.Errorf("a brace { is not closed")
	}
	return strings.Trim(trimmed[1:end], blanks), trimmed[end+1:], nil
}

// relation expands "{a} == {b} ? {c} : {d}".
func (e *expander) relation(s string, depth int) (string, error) {
	left, rest, err := branch(s)
	if err != nil {
		return "", err
	}
	rest = strings.TrimLeft(rest, blanks)
	n := strings.IndexAny(rest, blanks+"{")
	if n <= 0 {
		return "", fmt.Errorf("${%s}: expected is a comparison: {a} == {b}", clip(s))
	}
	op := rest[:n]
	right, rest, err := branch(rest[n:])
	if err != nil {
		return "", err
	}
	var sides [2]string
	for i, side := range []string{left, right} {
		if sides[i], err = e.expand(side, depth+1); err != nil {
			return "", err
		}
	}
	holds, err := compare(sides[0], op, sides[1])
	if err != nil {
		return "", err
	}
	yes, no := "true", ""
	if strings.Trim(rest, blanks) != "" {
		if yes, no, err = branches(strings.TrimLeft(rest, blanks)); err != nil {
			return "", err
		}
	}
	if holds {
		return e.expand(yes, depth+1)
	}
	return e.expand(no, depth+1)
}

// compare compares numbers as numbers, all else as text; <=level and its like compare compatibility levels: 3.10 is more
// than 3.9.
func compare(a, op, b string) (bool, error) {
	bare, levels := strings.CutSuffix(op, "level")
	order := strings.Compare(a, b)
	if levels {
		order = compareLevels(a, b)
	} else if x, err := strconv.ParseInt(a, 10, 64); err == nil {
		if y, err := strconv.ParseInt(b, 10, 64); err == nil {
			order = cmp.Compare(x, y)
		}
	}
	switch bare {
	case "==", "=":
		return order == 0, nil
	case "!=":
		return order != 0, nil
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	case ">=":
		return order >= 0, nil
	}
	return false, fmt.Errorf("%q is no comparison", clip(op))
}

func compareLevels(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, _ := strconv.Atoi(x) // what is no number counts as 0, as an absent one does
		n, _ := strconv.Atoi(y)
		if m != n {
			return cmp.Compare(m, n)
		}
	}
	return 0
}
