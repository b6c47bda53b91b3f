package load

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"time"
)

// template is what all messages of one size have in common. It has no line that begins with a dot, so it needs no
// dot-stuffing (RFC 5321 §4.5.2), and ends in CRLF.
type template struct {
	bytes []byte // the message and the end of data ".\r\n"
	size  int    // without the end of data
	stamp []int  // where the stamp stands: in the Message-ID and in the body, so that no two bodies are equal
	split int    // where the part begins that sessions share
}

// message is a template with an identity that is patched in before each use. head and tail follow each other.
type message struct {
	head, tail []byte
	stamp      []int
}

const (
	stampLen  = 24
	lineChars = 76
	alphabet  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	shareFrom = 64 << 10 // messages up to this size leave in one write; of larger ones the sessions share all that is equal
)

// What a receiver can check a message by: the stamp in the Message-ID stands again in the first line of the body, and
// SumHeader has the CRC-32C of all lines after that one, with their CRLF, in eight hexadecimal digits.
const (
	SumHeader = "X-Mailbench-Sum"
	IDDomain  = "@mailbench.invalid"
)

// newTemplate makes one of exactly size bytes. Its body looks like the base64 of random bytes: what neither
// compression nor deduplication can turn into an advantage that real attachments would not give.
func newTemplate(size int, from, to string, now time.Time, rnd *rand.Rand) *template {
	blank := strings.Repeat("0", stampLen)
	if from == "" {
		from = "mailbench" + IDDomain
	}
	// RFC 5322 §3.6: Date and From are what a message must have.
	head := fmt.Sprintf("Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\nMessage-ID: <", now.Format("Mon, 02 Jan 2006 15:04:05 -0700"), from, to)
	t := &template{size: size, stamp: []int{len(head)}}
	head += blank + IDDomain + ">\r\nSubject: mailbench\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n" + SumHeader + ": "
	t.stamp = append(t.stamp, len(head)+len("00000000\r\n\r\n"))
	t.split = t.stamp[1] + stampLen + 2
	rest := lines(size-t.split, rnd)
	head += fmt.Sprintf("%08x\r\n\r\n%s\r\n", Sum([]byte(rest)), blank)
	t.bytes = []byte(head + rest + ".\r\n")
	if size <= shareFrom {
		t.split = len(t.bytes)
	}
	return t
}

// Sum is the checksum that SumHeader carries.
func Sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// lines fills size bytes; fewer than three have room for none.
func lines(size int, rnd *rand.Rand) string {
	var b strings.Builder
	for left := size; left > 0; left = size - b.Len() {
		n := min(left-2, lineChars)
		if left-n-2 == 1 { // never leave one byte, which no line can fill
			n--
		}
		for range n {
			b.WriteByte(alphabet[rnd.IntN(len(alphabet))])
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func (t *template) message() *message {
	return &message{head: append([]byte(nil), t.bytes[:t.split]...), tail: t.bytes[t.split:], stamp: t.stamp}
}

// next patches a new identity in: run, session and number, in hexadecimal digits.
func (m *message) next(run uint32, session int, number int64) {
	m.put(0, 8, uint64(run))
	m.put(8, 4, uint64(session))
	m.put(12, stampLen-12, uint64(number))
}

func (m *message) put(at, digits int, v uint64) {
	for _, start := range m.stamp {
		x := v
		for i := at + digits - 1; i >= at; i-- {
			m.head[start+i] = "0123456789abcdef"[x&15]
			x >>= 4
		}
	}
}

// ParseStamp reads a stamp: the run's id and the number of the message.
func ParseStamp(s string) (run uint32, number int64, ok bool) {
	var session uint32
	if len(s) != stampLen {
		return 0, 0, false
	}
	n, err := fmt.Sscanf(s, "%8x%4x%12x", &run, &session, &number)
	return run, number, err == nil && n == 3
}
