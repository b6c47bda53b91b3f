package client

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Answer is one untagged answer, good until the next is read.
type Answer struct {
	Text   []byte // after "* ", without CRLF; literals are left out, their {size} is there
	Octets int64  // of all literals
}

// Numbered splits "12 FETCH (…)" into number, word and rest; ok is false for other answers.
func (a Answer) Numbered() (n uint32, word, rest []byte, ok bool) {
	first, rest, _ := bytes.Cut(a.Text, []byte(" "))
	n, ok = number(first)
	if !ok {
		return 0, nil, nil, false
	}
	word, rest, _ = bytes.Cut(rest, []byte(" "))
	return n, word, rest, true
}

// Word returns the first word of an answer that does not begin with a number, and what follows it.
func (a Answer) Word() (word, rest []byte) {
	word, rest, _ = bytes.Cut(a.Text, []byte(" "))
	return word, rest
}

// Is compares with a word in capitals, as IMAP does: without regard to case.
func Is(word []byte, name string) bool { return bytes.EqualFold(word, []byte(name)) }

// Has tells whether a name stands in an answer, without regard to case, bounded by characters that no name has.
func Has(text []byte, name string) bool {
	for i := 0; i+len(name) <= len(text); i++ {
		if !bytes.EqualFold(text[i:i+len(name)], []byte(name)) {
			continue
		}
		if (i == 0 || boundary(text[i-1])) && (i+len(name) == len(text) || boundary(text[i+len(name)])) {
			return true
		}
	}
	return false
}

func boundary(c byte) bool { return c == ' ' || c == '(' || c == ')' || c == '[' || c == ']' }

// Value returns the number that follows a name in a list: of "(UID 44 …)" or "(MESSAGES 3)".
func Value(text []byte, name string) (int64, bool) {
	for i := 0; i+len(name) < len(text); i++ {
		if (i > 0 && !boundary(text[i-1])) || text[i+len(name)] != ' ' || !bytes.EqualFold(text[i:i+len(name)], []byte(name)) {
			continue
		}
		rest := text[i+len(name)+1:]
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		v, err := strconv.ParseInt(string(rest[:end]), 10, 64)
		return v, err == nil
	}
	return 0, false
}

// Numbers calls each with the numbers of a SEARCH answer (RFC 3501 §7.2.5).
func Numbers(text []byte, each func(uint32) error) error {
	for len(text) > 0 {
		var word []byte
		word, text, _ = bytes.Cut(text, []byte(" "))
		if len(word) == 0 {
			continue
		}
		if word[0] == '(' { // (MODSEQ n), RFC 7162 §3.1.5
			return nil
		}
		n, ok := number(word)
		if !ok {
			return fmt.Errorf("SEARCH answers %q, which is no number", clip(string(word)))
		}
		if err := each(n); err != nil {
			return err
		}
	}
	return nil
}

// number reads a message number: no sign, not zero, 32 bits (RFC 9051 §9, nz-number; EXISTS may be zero).
func number(b []byte) (uint32, bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n <= 1<<32-1
}

var errLiteral = errors.New("a literal without a size, or larger than any message")

// literalSize tells whether a line ends in {n}, the announcement of a literal (RFC 9051 §4.3).
func literalSize(line []byte) (n int64, is bool, err error) {
	if len(line) == 0 || line[len(line)-1] != '}' {
		return 0, false, nil
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0, false, nil // the end of a text that happens to be a brace
	}
	digits := line[open+1 : len(line)-1]
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false, nil
		}
	}
	n, e := strconv.ParseInt(string(digits), 10, 64)
	if e != nil || n > maxLiteral {
		return 0, false, errLiteral
	}
	return n, true, nil
}
