package dialogue

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// patience is how long a server may think before it answers: virtual time in a bubble, real time outside.
const patience = 30 * time.Second

// Files runs every script that matches the glob pattern as a subtest of its own in a synctest bubble. setup is called
// inside the bubble and returns the server side of one connection, which must return when its connection ends; what it
// starts it ends through t.Cleanup.
func Files(t *testing.T, pattern string, setup func(t *testing.T) func(net.Conn)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dialogue scripts match %s (%v)", pattern, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { Play(t, Script{Name: path, Text: string(text), Serve: setup(t)}) })
		})
	}
}

// Script is a dialogue and its partner.
type Script struct {
	Name  string                             // shown in failures
	Text  string                             // see the package comment
	Serve func(net.Conn)                     // run in its own goroutine for each connection; it closes its end
	Dial  func(n int) (client, srv net.Conn) // how connection n (1, 2, …) is made; nil means Pipe
	TLS   *tls.Config                        // for C-tls; nil trusts everybody
	Vars  map[string]string                  // ${name} known from the start
}

// Play runs one script and returns when every server goroutine has returned.
func Play(t testing.TB, s Script) {
	t.Helper()
	p := &player{Script: s, conns: map[int]*side{}, vars: map[string]string{}}
	for k, v := range s.Vars {
		p.vars[k] = v
	}
	defer p.end()
	for i, line := range strings.Split(s.Text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if err := p.step(line); err != nil {
			t.Fatalf("%s:%d: %s\n%v", s.Name, i+1, line, err)
		}
	}
}

type player struct {
	Script
	conns map[int]*side
	vars  map[string]string
}

// side is our end of one connection.
type side struct {
	net.Conn
	raw  *conn // below TLS; nil if the caller brought its own connection
	in   *bufio.Reader
	done chan struct{} // closed when Serve has returned
}

func (p *player) end() {
	for _, c := range p.conns {
		c.Close()
	}
	for _, c := range p.conns {
		<-c.done
	}
}

func (p *player) side(n int) *side {
	if c := p.conns[n]; c != nil {
		return c
	}
	dial := p.Dial
	if dial == nil {
		dial = func(int) (net.Conn, net.Conn) { return Pipe() }
	}
	client, server := dial(n)
	raw, _ := client.(*conn)
	c := &side{Conn: client, raw: raw, in: bufio.NewReader(client), done: make(chan struct{})}
	p.conns[n] = c
	go func() {
		defer close(c.done)
		p.Serve(server)
	}()
	return c
}

// directive is C or S, a connection's number, a repeat count, an operator.
var directive = regexp.MustCompile(`^([CS])([2-9]?)(?:\*(\d+))?(: ?|> ?|\.\.\.: ?|-close$|-tls$|-silent$)`)

func (p *player) step(line string) error {
	if rest, ok := strings.CutPrefix(line, "sleep "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(rest))
		time.Sleep(d)
		return err
	}
	if line == "" || line[0] == '#' {
		return nil
	}
	m := directive.FindStringSubmatch(line)
	if m == nil {
		return errors.New("not a directive")
	}
	n, times := 1, 1
	if m[2] != "" {
		n, _ = strconv.Atoi(m[2])
	}
	if m[3] != "" {
		times, _ = strconv.Atoi(m[3])
	}
	c, text := p.side(n), line[len(m[0]):]
	switch m[1] + strings.TrimSpace(m[4]) {
	case "C:":
		return c.send(strings.Repeat(p.expand(text, plain)+"\r\n", times))
	case "C>":
		raw, err := unescape(p.expand(text, plain))
		if err != nil {
			return err
		}
		return c.send(strings.Repeat(raw, times))
	case "S:":
		return p.expect(c, text, false)
	case "S...:":
		return p.expect(c, text, true)
	case "S>":
		return p.expectRaw(c, text)
	case "S-silent":
		return c.silent()
	case "S-close":
		return c.expectClose()
	case "C-close":
		return c.Close()
	case "C-tls":
		return p.upgrade(c)
	}
	return errors.New("not a directive")
}

func plain(s string) string { return s }

func (p *player) expand(text string, quote func(string) string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	for k, v := range p.vars {
		text = strings.ReplaceAll(text, "${"+k+"}", quote(v))
	}
	return text
}

func unescape(s string) (string, error) {
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		return "", fmt.Errorf("bad escape in %s", s)
	}
	return out, nil
}

func (c *side) send(s string) error {
	c.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(c, s)
	return err
}

// line reads one line; without its CRLF.
func (c *side) line() (string, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	s, err := c.in.ReadString('\n')
	if err != nil {
		return s, fmt.Errorf("got %q, then %w", s, err)
	}
	if !strings.HasSuffix(s, "\r\n") {
		return s, fmt.Errorf("got %q, a line that ends without CRLF", s)
	}
	return s[:len(s)-2], nil
}

func (p *player) expect(c *side, want string, skip bool) error {
	match := func(got string) bool { return got == p.expand(want, plain) }
	if len(want) > 1 && want[0] == '/' && want[len(want)-1] == '/' {
		re, err := regexp.Compile(`^(?:` + p.expand(want[1:len(want)-1], regexp.QuoteMeta) + `)$`)
		if err != nil {
			return err
		}
		match = func(got string) bool {
			m := re.FindStringSubmatch(got)
			for i, name := range re.SubexpNames() {
				if m != nil && name != "" {
					p.vars[name] = m[i]
				}
			}
			return m != nil
		}
	}
	for skipped := 0; ; skipped++ {
		got, err := c.line()
		if err != nil {
			return err
		}
		if match(got) {
			return nil
		}
		if !skip || skipped == 10000 {
			return fmt.Errorf("got: %s", got)
		}
	}
}

func (p *player) expectRaw(c *side, text string) error {
	want, err := unescape(p.expand(text, plain))
	if err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.in, got); err != nil {
		return fmt.Errorf("got %q, then %w", got[:n], err)
	}
	if string(got) != want {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func (c *side) silent() error {
	synctest.Wait()
	n := c.in.Buffered()
	if c.raw != nil {
		n += c.raw.in.unread()
	}
	if n > 0 {
		got, _ := c.line()
		return fmt.Errorf("got: %s", got)
	}
	return nil
}

func (c *side) expectClose() error {
	c.SetReadDeadline(time.Now().Add(patience))
	b, err := c.in.ReadByte()
	if err == nil {
		rest, _ := c.in.Peek(c.in.Buffered())
		return fmt.Errorf("still talking: %q", string(b)+string(rest))
	}
	if os.IsTimeout(err) {
		return errors.New("still open")
	}
	return nil
}

func (p *player) upgrade(c *side) error {
	if n := c.in.Buffered(); n > 0 {
		rest, _ := c.in.Peek(n)
		return fmt.Errorf("unread before TLS: %q", rest)
	}
	config := p.TLS
	if config == nil {
		config = &tls.Config{InsecureSkipVerify: true}
	}
	up := tls.Client(c.Conn, config)
	up.SetDeadline(time.Now().Add(patience))
	if err := up.Handshake(); err != nil {
		return err
	}
	up.SetDeadline(time.Time{})
	c.Conn, c.in = up, bufio.NewReader(up)
	return nil
}
