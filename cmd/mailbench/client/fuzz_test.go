package client

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

// memory is a connection that has said all it will.
type memory struct {
	net.Conn
	in *bytes.Reader
}

func (m *memory) Read(b []byte) (int, error)  { return m.in.Read(b) }
func (m *memory) Write(b []byte) (int, error) { return len(b), nil }
func (m *memory) SetDeadline(time.Time) error { return nil }

func linkTo(in []byte) link {
	m := &memory{in: bytes.NewReader(in)}
	return link{Conn: m, r: bufio.NewReaderSize(m, 16)}
}

// FuzzAnswer reads answers: none has more octets than came, the text holds no line end, and reading what an answer says
// of itself does not go wrong.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		m := &IMAP{link: linkTo(in)}
		for total := 0; ; {
			a, err := m.read()
			if err != nil {
				return
			}
			if total += len(a.Text) + int(a.Octets); total > len(in) {
				t.Fatalf("%d octets of %d", total, len(in))
			}
			if bytes.IndexByte(a.Text, '\n') >= 0 {
				t.Fatalf("text %q", a.Text)
			}
			if n, word, rest, ok := a.Numbered(); ok {
				if len(word)+len(rest) >= len(a.Text) {
					t.Fatalf("%d %q %q of %q", n, word, rest, a.Text)
				}
			}
			if v, ok := Value(a.Text, "RFC822.SIZE"); ok && (v < 0 || !Has(a.Text, "RFC822.SIZE")) {
				t.Fatalf("size %d in %q", v, a.Text)
			}
			if word, rest := a.Word(); Is(word, "SEARCH") {
				found := 0
				if Numbers(rest, func(uint32) error { found++; return nil }) == nil && found > len(strings.Fields(string(rest))) {
					t.Fatalf("%d numbers in %q", found, rest)
				}
			}
		}
	})
}

// FuzzRetrieve reads a message by POP3; what it counts is what a slow reader counts.
func FuzzRetrieve(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		p := &POP3{linkTo(append([]byte("+OK\r\n"), in...))}
		got, err := p.Retrieve(1)
		want, whole := int64(0), false
		for line := range bytes.Lines(in) {
			if string(line) == ".\r\n" {
				whole = true
				break
			}
			want += int64(len(bytes.TrimPrefix(line, []byte("."))))
		}
		if whole != (err == nil) || whole && got != want {
			t.Fatalf("%d octets, %v; want %d, %v", got, err, want, whole)
		}
	})
}
