package table

import (
	"fmt"
	"strings"
)

// Text parses key and value in lines, postmap(1): the source of hash, btree, lmdb, cdb and texthash tables. A key may stand
// in quotes that protect blanks; they are part of it, as in the address "john doe"@example.org. Of a key that comes twice
// the first value stands.
func Text(text string) (*Fixed, []Problem, error) {
	b := newBuilder()
	all, bad := lines(text)
	for _, l := range all {
		key, value, problem := entry(l.text)
		if problem == "" {
			fresh, err := b.add(key, value)
			if err != nil {
				return nil, bad, err
			}
			if !fresh {
				problem = fmt.Sprintf("duplicate entry %q: the first one counts", key)
			}
		}
		if problem != "" {
			bad = append(bad, Problem{l.number, problem})
		}
		if problem == "" && strings.HasSuffix(key, ":") {
			bad = append(bad, Problem{l.number, fmt.Sprintf("the key %q ends with a colon: is this a file of aliases? Those have a format of their own", key)})
		}
	}
	return b.table(), bad, nil
}

// entry splits a logical line into key and value.
func entry(s string) (key, value, problem string) {
	end, closed := keyEnd(s)
	if !closed {
		return "", "", fmt.Sprintf("unbalanced \" in %q", s)
	}
	key, value = s[:end], strings.Trim(s[end:], blanks)
	if value == "" {
		return "", "", fmt.Sprintf("%q has no value: expected is a key, a blank, a value", key)
	}
	return key, value, ""
}

// keyEnd finds the first blank outside of quotes; closed is false if a quote is left open.
func keyEnd(s string) (end int, closed bool) {
	quoted := false
	for end = 0; end < len(s); end++ {
		c := s[end]
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			end++
		case !quoted && strings.IndexByte(blanks, c) >= 0:
			return end, true
		}
	}
	return len(s), !quoted
}
