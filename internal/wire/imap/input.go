package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/wire/link"
)

// Limits of a command's text. Messages of APPEND are limited by Config.MaxMessage.
const (
	maxLineBefore   = 8 << 10 // all of a command before login
	maxLiterals     = 1 << 20 // all of a command after login
	maxLiteralMinus = 4096    // non-synchronising literal before login, RFC 7888 §5
	maxDrain        = 8 << 20 // of an unwanted non-synchronising literal, read to stay in step
	readBuffer      = 4 << 10 // bytes; lent while a command is under way
)

var (
	errBareLF  = errors.New("bare LF")
	errTooLong = errors.New("line too long")
)

// literalHead is the announcement of a literal at the end of a line: {n}, {n+}, ~{n}, ~{n+}.
type literalHead struct {
	size   int64
	sync   bool // the client waits for our consent
	binary bool // literal8, RFC 3516 §4.4
}

// parseLiteralHead finds a literal's head at the end of a line (without CRLF).
func parseLiteralHead(line []byte) (literalHead, bool) {
	if len(line) < 3 || line[len(line)-1] != '}' {
		return literalHead{}, false
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return literalHead{}, false
	}
	digits, plus := bytes.CutSuffix(line[open+1:len(line)-1], []byte("+"))
	if len(digits) == 0 || len(digits) > 18 {
		return literalHead{}, false
	}
	h := literalHead{sync: !plus, binary: open > 0 && line[open-1] == '~'}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return literalHead{}, false
		}
		h.size = h.size*10 + int64(c-'0')
	}
	return h, true
}

// appendLine appends the next line without its CRLF to dst. It takes in at most limit bytes of it; what is longer is read
// to its end and reported as errTooLong, unless it goes beyond limit * 128, where reading on has no point. A line that
// ends in a bare LF is errBareLF.
func appendLine(in *bufio.Reader, dst []byte, limit int) ([]byte, error) {
	start, total := len(dst), 0
	for {
		piece, err := in.ReadSlice('\n')
		total += len(piece)
		if room := limit + 2 - (len(dst) - start); room > 0 {
			dst = append(dst, piece[:min(room, len(piece))]...)
		}
		if err == bufio.ErrBufferFull && total < max(limit, 512)*128 {
			continue
		}
		if err == bufio.ErrBufferFull {
			return dst, link.Failure(io.ErrNoProgress)
		}
		if err != nil {
			return dst, err
		}
		break
	}
	if total > limit+2 {
		return dst, errTooLong
	}
	if total < 2 || dst[len(dst)-2] != '\r' {
		return dst[:len(dst)-1], errBareLF
	}
	return dst[:len(dst)-2], nil
}

// splitTag takes the tag and the verb from the beginning of a command. verb is in upper case. rest begins behind the verb.
// RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">.
func splitTag(line []byte) (tag, verb string, rest []byte, err error) {
	p := &parser{b: line}
	tag = p.span(func(c byte) bool { return (atomChar(c) || c == ']') && c != '+' })
	if tag == "" || len(tag) > 255 {
		return "", "", nil, bad("Command without a tag")
	}
	if !p.eat(' ') {
		return tag, "", nil, bad("Tag without a command")
	}
	verb = strings.ToUpper(p.span(func(c byte) bool { return c > ' ' && c < 0x7f && c != '(' && c != '{' && c != '"' }))
	if verb == "" {
		return tag, "", nil, bad("Tag without a command")
	}
	return tag, verb, line[p.i:], nil
}
