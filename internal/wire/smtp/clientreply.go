package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/mail/status"
)

// Bounds of a reply that the client reads. RFC 5321 §4.5.3.1.5 has lines of 512 octets; some servers say more.
const (
	maxReplyLine   = 4096   // longer ones break the connection
	maxReplyLines  = 20_000 // more break the connection; the reply to a message must not be lost for its length
	keptReplyLines = 40     // what Reply keeps
	keptReplyBytes = 8192
)

// Reply is what a server answered, RFC 5321 §4.2.
type Reply struct {
	Code      int             // 200..599; 0: no reply
	Enhanced  status.Enhanced // of the last line, RFC 2034; zero if there is none or it contradicts Code
	Lines     []string        // text without code and enhanced code; control characters and bad UTF-8 replaced by "?"
	Truncated bool            // there was more than Lines keeps
}

// Positive tells whether the server agreed (2xx, or 3xx where it asks for more).
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Text is the lines joined by line feeds.
func (r Reply) Text() string { return strings.Join(r.Lines, "\n") }

func (r Reply) String() string {
	if r.Enhanced.IsZero() {
		return fmt.Sprintf("%d %s", r.Code, r.Text())
	}
	return fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Text())
}

// Status is a refusal as an error; nil for a positive reply. Public holds the server's words.
func (r Reply) Status() *status.Error {
	if r.Positive() {
		return nil
	}
	class := status.Temporary
	if r.Code >= 500 {
		class = status.Permanent
	}
	e := &status.Error{Class: class, Code: r.Code, Enhanced: r.Enhanced, Public: r.Text()}
	if e.Enhanced.IsZero() {
		e.Enhanced = status.Enhanced{Class: class}
	}
	return e
}

var errReply = errors.New("smtp: malformed reply")

// readReply reads one reply. Some servers end lines with LF alone, which harms nobody here.
func readReply(in *bufio.Reader) (Reply, error) {
	var r Reply
	kept := 0
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull) || n == maxReplyLines:
			return Reply{}, fmt.Errorf("%w: too long", errReply)
		case err == io.EOF:
			return Reply{}, io.ErrUnexpectedEOF
		case err != nil:
			return Reply{}, err
		}
		code, more, text, ok := parseReplyLine(strings.TrimRight(string(line), "\r\n"))
		if !ok || r.Code != 0 && code != r.Code { // RFC 5321 §4.2.1: all lines bear the same code
			return Reply{}, fmt.Errorf("%w: %.80q", errReply, line)
		}
		r.Code = code
		enhanced, rest, found := status.ParseEnhanced(text)
		if found && int(enhanced.Class) == code/100 {
			text = rest
			r.Enhanced = enhanced
		}
		if len(r.Lines) < keptReplyLines && kept+len(text) <= keptReplyBytes {
			r.Lines = append(r.Lines, clean(text))
			kept += len(text)
		} else {
			r.Truncated = true
		}
		if !more {
			return r, nil
		}
	}
}

// parseReplyLine: three digits, then "-" or a space and text, or nothing.
func parseReplyLine(s string) (code int, more bool, text string, ok bool) {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return 0, false, "", false
	}
	code = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	switch {
	case len(s) == 3:
		return code, false, "", true
	case s[3] == '-' || s[3] == ' ':
		return code, s[3] == '-', s[4:], true
	}
	return 0, false, "", false
}

// clean makes a server's words fit for logs and bounces.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}
