package submit

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/envelope"
)

// Head is a submission without its bytes.
type Head struct {
	// Token names the submission: the same one handed over twice (by the socket, and by the drop folder when the answer
	// was lost) is taken once.
	Token Token
	// Sender is the envelope's: an address, or a name of the host's domain. Empty: the null reverse-path.
	Sender     string
	Name       string // full name for a From field that is missing; may be empty
	Recipients []string
	Notify     envelope.Notify // of all recipients, RFC 3461 §4.1
	Ret        envelope.Ret    // RFC 3461 §4.3
	EnvID      string          // RFC 3461 §4.4, decoded
	VERP       string          // the two delimiters of the reverse-path that each recipient's copy gets; empty: it has the sender
	Size       int64           // bytes that follow
}

// Limits of a head.
const (
	MaxRecipients = 10_000
	maxHead       = 1 << 20 // bytes
	maxLine       = 1024    // bytes
	maxName       = 256     // bytes
	maxEnvID      = 100     // RFC 3461 §4.4
	maxSize       = 1 << 40
)

// first is the first line: the form's name and version.
const first = "postrider-submit 1"

// ErrHead is wrapped by every failure of ReadHead that is not the reader's.
var ErrHead = errors.New("not a submission")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrHead}, args...)...)
}

// Check tells what no reader would take.
func (h *Head) Check() error {
	switch {
	case h.Token.IsZero():
		return wrong("no token")
	case len(h.Recipients) == 0:
		return wrong("no recipients")
	case len(h.Recipients) > MaxRecipients:
		return wrong("more than %d recipients", MaxRecipients)
	case len(h.Name) > maxName, !isText(h.Name):
		return wrong("the name is too long, or has control characters")
	case len(h.EnvID) > maxEnvID, !isText(h.EnvID):
		return wrong("the envelope id is too long, or has control characters")
	case h.Size < 0 || h.Size > maxSize:
		return wrong("size")
	case h.Notify&envelope.NotifyNever != 0 && h.Notify != envelope.NotifyNever, h.Notify > 15: // RFC 3461 §4.1
		return wrong("notify")
	case h.Ret > envelope.RetHeaders:
		return wrong("ret")
	case h.VERP != "" && (len(h.VERP) != 2 || strings.Trim(h.VERP, "-=+") != ""):
		return wrong("the delimiters of VERP are two of the characters -=+")
	case h.Sender != "" && !isAddress(h.Sender):
		return wrong("the sender %s is not an address", shown(h.Sender))
	}
	for _, to := range h.Recipients {
		if !isAddress(to) {
			return wrong("%s is not an address", shown(to))
		}
	}
	return nil
}

func isAddress(s string) bool {
	_, err := ParseAddress(s, "host.invalid")
	return err == nil
}

// shown is a stranger's text for an error.
func shown(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	return strconv.Quote(s)
}

// isText tells whether s may stand in a line.
func isText(s string) bool {
	if !utf8.ValidString(s) || strings.Trim(s, " ") != s {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }) < 0
}

// Append appends the head with its empty line. h must pass Check.
func (h *Head) Append(b []byte) []byte {
	line := func(key, value string) { b = append(append(append(append(b, key...), ' '), value...), '\n') }
	b = append(b, first+"\n"...)
	line("token", h.Token.String())
	if h.Sender != "" {
		line("sender", h.Sender)
	}
	if h.Name != "" {
		line("name", h.Name)
	}
	if h.Notify != 0 {
		line("notify", strconv.Itoa(int(h.Notify)))
	}
	if h.Ret != 0 {
		line("ret", strconv.Itoa(int(h.Ret)))
	}
	if h.EnvID != "" {
		line("envid", h.EnvID)
	}
	if h.VERP != "" {
		line("verp", h.VERP)
	}
	for _, to := range h.Recipients {
		line("to", to)
	}
	line("size", strconv.FormatInt(h.Size, 10))
	return append(b, '\n')
}

// ReadHead reads a head with its empty line; the message's bytes come next.
func ReadHead(r *bufio.Reader) (*Head, error) {
	h, seen, total := &Head{}, map[string]bool{}, 0
	for n := 0; ; n++ {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if total += len(line); total > maxHead {
			return nil, wrong("the head is too long")
		}
		switch {
		case n == 0 && line != first:
			return nil, wrong("it does not begin with %q", first)
		case n == 0:
			continue
		case line == "":
			if !seen["size"] {
				return nil, wrong("no size")
			}
			return h, h.Check()
		}
		key, value, ok := strings.Cut(line, " ")
		if !ok || value == "" {
			return nil, wrong("%s is no line of a head", shown(line))
		}
		if seen[key] && key != "to" {
			return nil, wrong("%s is there twice", shown(key))
		}
		seen[key] = true
		if err := h.set(key, value); err != nil {
			return nil, err
		}
	}
}

func (h *Head) set(key, value string) (err error) {
	switch key {
	case "token":
		h.Token, err = ParseToken(value)
	case "sender":
		h.Sender = value
	case "name":
		h.Name = value
	case "to":
		if len(h.Recipients) == MaxRecipients {
			return wrong("more than %d recipients", MaxRecipients)
		}
		h.Recipients = append(h.Recipients, value)
	case "notify":
		var n int
		n, err = number(value, 1, 15)
		h.Notify = envelope.Notify(n)
	case "ret":
		var n int
		n, err = number(value, 1, int(envelope.RetHeaders))
		h.Ret = envelope.Ret(n)
	case "envid":
		h.EnvID = value
	case "verp":
		h.VERP = value
	case "size":
		var n int
		n, err = number(value, 0, maxSize)
		h.Size = int64(n)
	default:
		err = wrong("unknown line %s", shown(key))
	}
	return err
}

// number reads a number as strconv writes it.
func number(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high || strconv.Itoa(n) != s {
		return 0, wrong("%s is not a number from %d to %d", shown(s), low, high)
	}
	return n, nil
}

// readLine reads a line without its LF.
func readLine(r *bufio.Reader) (string, error) {
	var b []byte
	for {
		piece, err := r.ReadSlice('\n')
		if b = append(b, piece...); len(b) > maxLine {
			return "", wrong("a line is too long")
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return "", wrong("it ends too early")
		case err != nil:
			return "", err
		}
		return string(bytes.TrimSuffix(b, []byte("\n"))), nil
	}
}

// Token names a submission: when it was made, in microseconds since 1970, and a random number.
type Token struct {
	Micros int64
	Random [16]byte
}

// NewToken makes a token.
func NewToken(now time.Time) Token {
	t := Token{Micros: now.UnixMicro()}
	_, _ = rand.Read(t.Random[:]) // never fails; see crypto/rand
	return t
}

// IsZero tells whether t is none.
func (t Token) IsZero() bool { return t.Random == [16]byte{} }

func (t Token) String() string { return fmt.Sprintf("%d-%x", t.Micros, t.Random) }

// ParseToken reads what String wrote.
func ParseToken(s string) (t Token, err error) {
	micros, random, _ := strings.Cut(s, "-")
	if len(random) == 2*len(t.Random) {
		t.Micros, err = strconv.ParseInt(micros, 10, 64)
		if err == nil {
			_, err = hex.Decode(t.Random[:], []byte(random))
		}
	}
	if err != nil || t.IsZero() || t.Micros < 0 || t.String() != s {
		return Token{}, wrong("%s is not a token", shown(s))
	}
	return t, nil
}
