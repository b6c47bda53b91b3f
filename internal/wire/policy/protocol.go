// Package policy is a client of Postfix's protocol for policy servers (SMTPD_POLICY_README), such as postgrey and policyd-spf:
// a request is lines name=value and an empty line; the answer is action=… and an empty line. A server answers many requests
// on a connection, one after the other.
//
// What it never does: judge. What an action means, and what holds when there is none, its caller knows.
//
// Failures: an error is a server that could not be asked, or whose answer is unusable, after all attempts. Answers are bounded.
//
// Map: protocol.go requests and answers · client.go connections.
package policy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Attribute is a line of a request.
type Attribute struct{ Name, Value string }

// Bounds of an answer. Postfix's own is 2048 bytes for a value.
const (
	maxLine  = 4096
	maxLines = 100
)

// write writes a request. A value cannot end its line.
func write(w *bufio.Writer, request []Attribute) error {
	for _, a := range request {
		if _, err := w.WriteString(oneLine(a.Name) + "=" + oneLine(a.Value) + "\n"); err != nil {
			return err
		}
	}
	if err := w.WriteByte('\n'); err != nil {
		return err
	}
	return w.Flush()
}

// oneLine replaces what would end a line, or a string in C.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == 0 {
			return '?'
		}
		return r
	}, s)
}

// errRubbish is an answer that is none.
var errRubbish = errors.New("the answer is not of the policy protocol")

// read reads an answer. started tells that something of it came.
func read(r *bufio.Reader) (action string, started bool, err error) {
	found := false
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		started = started || len(line) > 0
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return "", true, fmt.Errorf("%w: a line of more than %d bytes", errRubbish, maxLine)
		case errors.Is(err, io.EOF) && started:
			return "", true, fmt.Errorf("%w: it ends in the middle", errRubbish)
		case err != nil:
			return "", started, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		switch {
		case !ok || n >= maxLines:
			return "", true, fmt.Errorf("%w: %.100q", errRubbish, line)
		case string(name) != "action": // of versions to come
		case found:
			return "", true, fmt.Errorf("%w: two actions", errRubbish)
		default:
			action, found = strings.TrimSpace(string(value)), true
		}
	}
	if action == "" {
		return "", true, fmt.Errorf("%w: no action", errRubbish)
	}
	if r.Buffered() > 0 {
		return "", true, fmt.Errorf("%w: more than was asked for", errRubbish)
	}
	return action, true, nil
}
