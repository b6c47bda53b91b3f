package load

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// message is a ready-made message whose identity is patched in before each use. It has no line that begins with a dot,
// so it needs no dot-stuffing (RFC 5321 §4.5.2), and ends in CRLF.
type message struct {
	bytes []byte // the message and the end of data ".\r\n"
	size  int    // without the end of data
	stamp []int  // where the stamp stands: in the Message-ID and in the body, so that no two bodies are equal
}

const (
	stampLen  = 24
	lineChars = 76
	alphabet  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)

// newMessage makes a message of exactly size bytes. Its body looks like the base64 of random bytes: what neither
// compression nor deduplication can turn into an advantage that real attachments would not give.
func newMessage(size int, from, to string, now time.Time, rnd *rand.Rand) *message {
	blank := strings.Repeat("0", stampLen)
	var b strings.Builder
	b.Grow(size + 3)
	mark := func(before, after string) int {
		b.WriteString(before)
		at := b.Len()
		b.WriteString(blank + after)
		return at
	}
	if from == "" {
		from = "mailbench@mailbench.invalid"
	}
	// RFC 5322 §3.6: Date and From are what a message must have.
	fmt.Fprintf(&b, "Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\n", now.Format("Mon, 02 Jan 2006 15:04:05 -0700"), from, to)
	m := &message{size: size}
	m.stamp = append(m.stamp, mark("Message-ID: <", "@mailbench.invalid>\r\n"))
	b.WriteString("Subject: mailbench\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n")
	m.stamp = append(m.stamp, mark("", "\r\n"))
	for left := size - b.Len(); left > 0; left = size - b.Len() {
		n := min(left-2, lineChars)
		if left-n-2 == 1 { // never leave one byte, which no line can fill
			n--
		}
		for range n {
			b.WriteByte(alphabet[rnd.IntN(len(alphabet))])
		}
		b.WriteString("\r\n")
	}
	b.WriteString(".\r\n")
	m.bytes = []byte(b.String())
	return m
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
			m.bytes[start+i] = "0123456789abcdef"[x&15]
			x >>= 4
		}
	}
}
