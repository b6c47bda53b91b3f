package pop3

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Limits of what a client sends.
const (
	// maxLine is the longest command, without its line end. RFC 2449 §4 wants 255; a line of an AUTH exchange may be as long
	// as sasl takes (RFC 5034 §4).
	maxLine          = sasl.MaxLine + 64
	maxEndless       = 128 << 10 // a line that goes on beyond this ends the connection
	readBuffer       = 2 << 10   // permanent, so kept small
	keepLineCapacity = 2 << 10   // a longer line's memory is given back
	maxVerb          = 16
)

var (
	errTooLong   = misuse("Line too long")
	errMalformed = misuse("Malformed command")
)

// readLine appends the next line without its end to dst. A line of more than maxLine bytes is read to its end and is
// errTooLong. A bare LF ends a line as well: whoever types at a terminal sends that, and nothing that a client sends in POP3
// is data of others, so nothing can be smuggled in it.
func readLine(in *bufio.Reader, dst []byte) ([]byte, error) {
	total := 0
	for {
		piece, err := in.ReadSlice('\n')
		total += len(piece)
		if room := maxLine + 2 - len(dst); room > 0 {
			dst = append(dst, piece[:min(room, len(piece))]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			if total < maxEndless {
				continue
			}
			err = link.Failure(io.ErrNoProgress)
		}
		if err != nil {
			return dst, err
		}
		break
	}
	if total > maxLine+2 {
		return dst, errTooLong
	}
	dst = dst[:len(dst)-1]
	if n := len(dst); n > 0 && dst[n-1] == '\r' {
		dst = dst[:n-1]
	}
	if len(dst) > maxLine {
		return dst, errTooLong
	}
	return dst, nil
}

// request is one command line.
type request struct {
	verb string // in upper case
	rest string // behind the first space, as it is
	more bool   // there was a space
}

// parse takes a command line apart. RFC 1939 §3: keyword and arguments, printable, each separated by a single space; a
// password may hold any character but controls.
func parse(line []byte) (request, error) {
	verb, rest, more := strings.Cut(string(line), " ")
	if verb == "" || len(verb) > maxVerb {
		return request{}, errMalformed
	}
	for i := range len(verb) {
		if c := verb[i] | 0x20; (c < 'a' || c > 'z') && (i == 0 || verb[i] < '0' || verb[i] > '9') {
			return request{}, errMalformed
		}
	}
	for i := range len(rest) {
		if c := rest[i]; c < ' ' && c != '\t' || c == 0x7f {
			return request{}, errMalformed
		}
	}
	return request{strings.ToUpper(verb), rest, more}, nil
}

// arguments splits what stands behind the verb. Spaces too many, which old clients send, do no harm.
func (r request) arguments(least, most int) ([]string, error) {
	args := strings.Fields(r.rest)
	switch {
	case len(args) < least:
		return nil, misuse(r.verb + " lacks an argument")
	case len(args) > most:
		return nil, misuse("Too many arguments for " + r.verb)
	}
	return args, nil
}

// number reads digits, up to nine of them.
func number(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
