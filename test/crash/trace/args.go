package trace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var errCut = errors.New("strace cut a string short: raise -s")

// splitArgs takes the text after a call's opening parenthesis and returns its
// arguments and what follows the closing one.
func splitArgs(s string) (args []string, rest string, err error) {
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			n := quotedLen(s[i:])
			if n < 0 {
				return nil, "", errors.New("string without end")
			}
			i += n - 1
		case '<':
			if n := noteLen(s[i:]); n > 0 && i > 0 && (isDigit(s[i-1]) || s[i-1] == 'D') { // 3<…>, AT_FDCWD<…>
				i += n - 1
			}
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth > 0 {
				depth--
				continue
			}
			if c != ')' {
				return nil, "", errors.New("brackets do not match")
			}
			if last := strings.TrimSpace(s[start:i]); last != "" || len(args) > 0 {
				args = append(args, last)
			}
			return args, s[i+1:], nil
		case ',':
			if depth == 0 {
				args = append(args, strings.TrimSpace(s[start:i]))
				start = i + 1
			}
		}
	}
	return nil, "", errors.New("arguments without end")
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// quotedLen is the length of the quoted string s begins with, quotes included,
// or -1.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// noteLen is the length of the descriptor note s begins with, angle brackets
// included, or -1. In a path strace escapes both brackets; a device's path has
// a note of its own inside; a socket's note holds "->" and may hold a quoted
// path.
func noteLen(s string) int {
	path := strings.HasPrefix(s, "</")
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			if path {
				continue
			}
			n := quotedLen(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '<':
			depth++
		case '>':
			if !path && s[i-1] == '-' {
				continue
			}
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// descriptor reads "3</path>", "3</path>(deleted)", "3<TCP:[…]>", "3" or
// "AT_FDCWD</path>" (number -1).
func descriptor(s string) (fd int, path string, deleted bool, err error) {
	num, note := s, ""
	if i := strings.IndexByte(s, '<'); i >= 0 {
		n := noteLen(s[i:])
		if n < 0 {
			return 0, "", false, fmt.Errorf("descriptor %.40q", s)
		}
		num, note = s[:i], s[i+1:i+n-1]
		deleted = strings.HasPrefix(s[i+n:], "(deleted)")
	}
	fd = -1
	if num != "AT_FDCWD" {
		if fd, err = strconv.Atoi(num); err != nil {
			return 0, "", false, fmt.Errorf("descriptor %.40q", s)
		}
	}
	if strings.HasPrefix(note, "/") {
		if i := strings.IndexByte(note, '<'); i >= 0 {
			note = note[:i] // a device: what remains is its path
		}
		b, err := unescape(note)
		return fd, string(b), deleted, err
	}
	return fd, note, deleted, nil
}

// quoted decodes an argument that is one string.
func quoted(s string) ([]byte, error) {
	if !strings.HasPrefix(s, `"`) {
		return nil, fmt.Errorf("not a string: %.40q", s)
	}
	n := quotedLen(s)
	if n < 0 {
		return nil, errors.New("string without end")
	}
	if s[n:] != "" {
		return nil, errCut
	}
	return unescape(s[1 : n-1])
}

// vector collects the bytes of all iov_base strings of an argument.
func vector(s string) ([]byte, error) {
	var out []byte
	for {
		i := strings.Index(s, "iov_base=")
		if i < 0 {
			break
		}
		if strings.Contains(s[:i], "...") {
			return nil, errCut
		}
		s = s[i+len("iov_base="):]
		if strings.HasPrefix(s, "NULL") {
			continue
		}
		n := -1
		if strings.HasPrefix(s, `"`) {
			n = quotedLen(s)
		}
		if n < 0 {
			return nil, fmt.Errorf("vector %.40q", s)
		}
		b, err := unescape(s[1 : n-1])
		if err != nil {
			return nil, err
		}
		out, s = append(out, b...), s[n:]
	}
	if strings.Contains(s, "...") {
		return nil, errCut
	}
	return out, nil
}

// unescape undoes C escapes: \n and its like, \ooo with one to three digits,
// \xhh.
func unescape(s string) ([]byte, error) {
	out := make([]byte, 0, min(len(s), len(s)/4+64))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i++; i == len(s) {
			return nil, errors.New("escape without end")
		}
		switch c := s[i]; {
		case c == 'x':
			if i+2 >= len(s) {
				return nil, errors.New("escape without end")
			}
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi < 0 || lo < 0 {
				return nil, fmt.Errorf("escape %q", s[i-1:i+3])
			}
			out = append(out, byte(hi<<4|lo))
			i += 2
		case c >= '0' && c <= '7':
			v, j := 0, i
			for ; j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7'; j++ {
				v = v<<3 | int(s[j]-'0')
			}
			out, i = append(out, byte(v)), j-1
		default:
			k := strings.IndexByte(`ntrvfab"\'`, c)
			if k < 0 {
				return nil, fmt.Errorf("escape %q", s[i-1:i+1])
			}
			out = append(out, "\n\t\r\v\f\a\b\"\\'"[k])
		}
	}
	return out, nil
}

func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
