package table

import (
	"context"
	"fmt"
	"strings"
)

// Inline makes the table of "inline:{name=value, {name = text with blanks}, ...}"; s is what follows the colon.
func Inline(s string) (*Fixed, error) {
	parts, err := Braced(s)
	if err != nil {
		return nil, fmt.Errorf("inline:%s: %w", s, err)
	}
	b := newBuilder()
	for _, part := range parts {
		inner, braced, err := unbrace(part)
		if err != nil {
			return nil, fmt.Errorf("inline:%s: %w", s, err)
		}
		name, value, ok := strings.Cut(inner, "=")
		if braced {
			name, value = strings.Trim(name, blanks), strings.Trim(value, blanks)
		}
		if !ok || name == "" || value == "" || strings.ContainsAny(name, blanks) {
			return nil, fmt.Errorf("inline:%s: %q: expected is name=value, in braces of its own where there are blanks: {name = value}", s, part)
		}
		if fresh, err := b.add(name, value); err != nil || !fresh {
			return nil, fmt.Errorf("inline:%s: %q comes twice", s, name)
		}
	}
	if b.t.count == 0 {
		return nil, fmt.Errorf("inline:%s: it is empty: expected is inline:{name=value, ...}", s)
	}
	return b.table(), nil
}

// Static answers every key with one value, "static:value" or "static:{value with blanks}".
type Static string

// NewStatic takes what follows the colon.
func NewStatic(s string) (Static, error) {
	inner, _, err := unbrace(s)
	if err != nil {
		return "", fmt.Errorf("static:%s: %w", s, err)
	}
	if inner == "" {
		return "", fmt.Errorf("static: has no value: expected is static:value")
	}
	return Static(inner), nil
}

// Lookup implements Table.
func (s Static) Lookup(context.Context, string) (string, bool, error) { return string(s), true, nil }

// Pattern implements Table: a static table would answer for every part of every address.
func (s Static) Pattern() bool { return true }

// maxDepth bounds braces in braces.
const maxDepth = 20

// Braced splits "{a, {b c}, d}" into its parts: separated by blanks and commas, except in inner braces.
func Braced(s string) ([]string, error) {
	inner, braced, err := unbrace(s)
	if err != nil {
		return nil, err
	}
	if !braced {
		return nil, fmt.Errorf("expected is a list in braces: {...}")
	}
	return Split(inner)
}

// Split splits a list as settings of Postfix are written: by blanks and commas, except in braces.
func Split(s string) (parts []string, err error) {
	depth, start := 0, -1
	for i := range len(s) {
		c := s[i]
		separates := depth == 0 && (c == ',' || c == '\n' || strings.IndexByte(blanks, c) >= 0)
		switch {
		case separates && start >= 0:
			parts, start = append(parts, s[start:i]), -1
		case !separates && start < 0:
			start = i
		}
		switch c {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth < 0 || depth > maxDepth {
			return nil, fmt.Errorf("braces do not match, or are deeper than %d, at %q", maxDepth, s[:i+1])
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("a brace { is not closed in %q", s)
	}
	if start >= 0 {
		parts = append(parts, s[start:])
	}
	return parts, nil
}

// Unbrace takes one pair of braces off a part, with the blanks inside; a part without them is returned as it is.
func Unbrace(s string) (string, error) {
	inner, _, err := unbrace(s)
	return inner, err
}

// unbrace takes one pair of braces off, with the blanks inside.
func unbrace(s string) (inner string, braced bool, err error) {
	s = strings.Trim(s, blanks)
	if !strings.HasPrefix(s, "{") {
		return s, false, nil
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			if i != len(s)-1 {
				return "", false, fmt.Errorf("text after the closing brace: %q", s[i+1:])
			}
			return strings.Trim(s[1:i], blanks+"\n"), true, nil
		}
	}
	return "", false, fmt.Errorf("a brace { is not closed in %q", s)
}
