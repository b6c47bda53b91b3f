package interop

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// sexp is a part of an IMAP response: a string (quoted, literal or atom), NIL, or a list. Comparing two servers needs no
// more meaning than this, and a client library would hide differences by its own decoding.
type sexp struct {
	text string
	null bool
	list []sexp
	many bool // it is a list, even if empty
}

func (n sexp) String() string {
	switch {
	case n.null:
		return "NIL"
	case !n.many:
		return strconv.Quote(n.text)
	}
	parts := make([]string, len(n.list))
	for i, c := range n.list {
		parts[i] = c.String()
	}
	return "(" + strings.Join(parts, " ") + ")"
}

// rawIMAP is the barest client: it sends a line and reads responses into trees.
type rawIMAP struct {
	t *testing.T
	w io.Writer
	r *bufio.Reader
	n int
}

// newRawIMAP reads the greeting.
func newRawIMAP(t *testing.T, w io.Writer, r io.Reader) *rawIMAP {
	t.Helper()
	c := &rawIMAP{t: t, w: w, r: bufio.NewReaderSize(r, 64<<10)}
	if line := c.response(); len(line) < 2 || line[0].text != "*" {
		t.Fatalf("greeting: %v", line)
	}
	return c
}

// do sends a command and returns its untagged responses. Anything but OK fails the test.
func (c *rawIMAP) do(command string) [][]sexp {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d", c.n)
	if _, err := fmt.Fprintf(c.w, "%s %s\r\n", tag, command); err != nil {
		c.t.Fatal(err)
	}
	var out [][]sexp
	for {
		line := c.response()
		if line[0].text != tag {
			out = append(out, line)
			continue
		}
		if line[1].text != "OK" {
			c.t.Fatalf("%.100s: %v", command, line)
		}
		return out
	}
}

// fetch returns the items of the FETCH responses by sequence number.
func (c *rawIMAP) fetch(what string) map[int]map[string]sexp {
	c.t.Helper()
	out := map[int]map[string]sexp{}
	for _, line := range c.do(what) {
		if len(line) != 4 || line[2].text != "FETCH" {
			continue
		}
		seq, err := strconv.Atoi(line[1].text)
		if err != nil || len(line[3].list)%2 != 0 {
			c.t.Fatalf("FETCH response %v", line)
		}
		items := map[string]sexp{}
		for i := 0; i < len(line[3].list); i += 2 {
			items[line[3].list[i].text] = line[3].list[i+1]
		}
		out[seq] = items
	}
	return out
}

// response reads one whole response, literals included.
func (c *rawIMAP) response() []sexp {
	c.t.Helper()
	var out []sexp
	for {
		b := c.byte()
		switch b {
		case '\r':
			if c.byte() != '\n' {
				c.t.Fatal("CR without LF in a response")
			}
			if len(out) == 0 {
				c.t.Fatal("an empty response")
			}
			return out
		case ' ':
		case '[': // the text of a status response is for people
			rest, err := c.r.ReadString('\n')
			if err != nil {
				c.t.Fatal(err)
			}
			return append(out, sexp{text: "[" + strings.TrimSpace(rest)})
		default:
			out = append(out, c.tree(b))
		}
	}
}

func (c *rawIMAP) byte() byte {
	b, err := c.r.ReadByte()
	if err != nil {
		c.t.Fatalf("the server hung up: %v", err)
	}
	return b
}

func (c *rawIMAP) tree(b byte) sexp {
	switch b {
	case '(':
		n := sexp{many: true}
		for {
			switch b := c.byte(); b {
			case ')':
				return n
			case ' ':
			default:
				n.list = append(n.list, c.tree(b))
			}
		}
	case '"':
		var s []byte
		for {
			switch b := c.byte(); b {
			case '"':
				return sexp{text: string(s)}
			case '\\':
				s = append(s, c.byte())
			case '\r', '\n':
				c.t.Fatalf("a line ends within the quoted string %q", s)
			default:
				s = append(s, b)
			}
		}
	case '{':
		size, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSuffix(size, "}\r\n"))
		if err != nil || n > 100<<20 {
			c.t.Fatalf("literal {%s: %v", size, err)
		}
		buf := make([]byte, n)
		if _, err := io.ReadFull(c.r, buf); err != nil {
			c.t.Fatal(err)
		}
		return sexp{text: string(buf)}
	}
	atom := []byte{b}
	for depth := 0; ; {
		b, err := c.r.Peek(1)
		if err != nil {
			c.t.Fatal(err)
		}
		switch b[0] {
		case '[':
			depth++
		case ']':
			depth--
		case ' ', '(', ')', '\r':
			if depth == 0 { // BODY[HEADER.FIELDS (TO)] is one item
				if string(atom) == "NIL" {
					return sexp{null: true}
				}
				return sexp{text: string(atom)}
			}
		}
		atom = append(atom, c.byte())
	}
}
