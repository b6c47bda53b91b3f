package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/source"
)

// Bounds on what a server may answer.
const (
	maxReplyLine  = 4096
	maxReplyLines = 128
	maxWords      = 100 // of a reply, as an error is counted under
)

// reply is a server's answer. The words are kept only where they may be needed: of greetings and refusals.
type reply struct {
	code  int
	lines []string
}

func (r reply) ok() bool { return r.code/100 == 2 }

func (r reply) words() string {
	s := fmt.Sprintf("%d", r.code)
	if len(r.lines) > 0 {
		s += " " + r.lines[0]
	}
	if len(s) > maxWords {
		s = s[:maxWords] + "…"
	}
	return s
}

// conn is one connection to the server.
type conn struct {
	net.Conn
	r          *bufio.Reader
	out        []byte
	timeout    time.Duration
	pipelining bool
	mechanisms []string // of AUTH
	mailMax    int      // transactions that the server takes on a connection (RFC 9422 §4.1); 0: it does not say
	stop       func() bool
}

// dial connects and speaks until the first MAIL may be sent.
func dial(ctx context.Context, c *Config) (*conn, error) {
	network := "tcp"
	if strings.HasPrefix(c.Addr, "/") {
		network = "unix"
	}
	nc, err := source.Dialer(c.Local, c.ReplyTimeout).DialContext(ctx, network, c.Addr)
	if err != nil {
		return nil, err
	}
	if c.ImplicitTLS {
		nc = tls.Client(nc, c.TLS)
	}
	k := &conn{Conn: nc, r: bufio.NewReaderSize(nc, maxReplyLine), timeout: c.ReplyTimeout}
	raw := nc
	k.stop = context.AfterFunc(ctx, func() { raw.Close() }) // what hangs in a read or a write ends with ctx
	if err := k.greet(c); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *conn) close() {
	k.stop()
	k.Close()
}

func (k *conn) greet(c *Config) error {
	if err := k.expect("", 220); err != nil {
		return err
	}
	if err := k.hello(c); err != nil {
		return err
	}
	if c.StartTLS {
		if err := k.expect("STARTTLS\r\n", 220); err != nil {
			return err
		}
		if k.r.Buffered() > 0 { // RFC 3207 §4.2 knows nothing from before the handshake
			return errors.New("the server sent more after its reply to STARTTLS")
		}
		k.Conn = tls.Client(k.Conn, c.TLS)
		k.r.Reset(k.Conn)
		if err := k.hello(c); err != nil {
			return err
		}
	}
	if c.Username == "" {
		return nil
	}
	return k.authenticate(c.Username, c.Password)
}

// authenticate uses PLAIN (RFC 4616), or LOGIN, which some servers offer alone; the exchange is RFC 4954 §4.
func (k *conn) authenticate(user, password string) error {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	switch {
	case slices.Contains(k.mechanisms, "PLAIN"):
		return k.expect("AUTH PLAIN "+b64("\x00"+user+"\x00"+password)+"\r\n", 235)
	case slices.Contains(k.mechanisms, "LOGIN"):
		if err := k.expect("AUTH LOGIN\r\n", 334); err != nil {
			return err
		}
		if err := k.expect(b64(user)+"\r\n", 334); err != nil {
			return err
		}
		return k.expect(b64(password)+"\r\n", 235)
	}
	return errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN here")
}

func (k *conn) hello(c *Config) error {
	verb := "EHLO "
	if c.LMTP {
		verb = "LHLO " // RFC 2033 §4.1
	}
	k.out = append(append(append(k.out[:0], verb...), c.Helo...), "\r\n"...)
	if err := k.flush(); err != nil {
		return err
	}
	r, err := k.reply(true)
	if err != nil {
		return err
	}
	if !r.ok() {
		return refusal(r)
	}
	k.pipelining, k.mechanisms, k.mailMax = false, nil, 0
	for _, line := range r.lines {
		f := strings.Fields(strings.ToUpper(line))
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "PIPELINING":
			k.pipelining = !c.NoPipelining
		case "AUTH":
			k.mechanisms = f[1:]
		case "LIMITS":
			for _, l := range f[1:] {
				if n, err := strconv.Atoi(strings.TrimPrefix(l, "MAILMAX=")); err == nil && n > 0 {
					k.mailMax = n
				}
			}
		}
	}
	return nil
}

// refusal makes an error of a reply; its text is the reply's.
type refusal reply

func (r refusal) Error() string { return reply(r).words() }

// expect sends a command and wants one reply code. An empty command only waits.
func (k *conn) expect(command string, code int) error {
	k.out = append(k.out[:0], command...)
	if err := k.flush(); err != nil {
		return err
	}
	r, err := k.reply(false)
	if err == nil && r.code != code {
		err = refusal(r)
	}
	return err
}

// flush sends what has gathered in out.
func (k *conn) flush() error {
	if len(k.out) == 0 {
		return nil
	}
	err := k.send(k.out)
	k.out = k.out[:0]
	return err
}

func (k *conn) send(b []byte) error {
	if err := k.SetDeadline(time.Now().Add(k.timeout)); err != nil {
		return err
	}
	_, err := k.Write(b)
	return err
}

// reply reads one reply, which may have several lines (RFC 5321 §4.2.1). keep asks for the words of a good one.
func (k *conn) reply(keep bool) (reply, error) {
	var r reply
	for range maxReplyLines {
		line, err := k.r.ReadSlice('\n')
		if err != nil {
			return r, err
		}
		for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
			line = line[:len(line)-1]
		}
		code, last, ok := splitReply(line)
		if !ok || (r.code != 0 && code != r.code) {
			return r, fmt.Errorf("not a reply: %.60q", line)
		}
		r.code = code
		if keep || code >= 400 {
			r.lines = append(r.lines, string(line[min(4, len(line)):]))
		}
		if last {
			return r, nil
		}
	}
	return r, errors.New("endless reply")
}

func splitReply(line []byte) (code int, last, ok bool) {
	if len(line) < 3 {
		return 0, false, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		code = code*10 + int(c-'0')
	}
	known := code >= 200 && code < 600 // RFC 5321 §4.2
	if len(line) == 3 {
		return code, true, known
	}
	return code, line[3] == ' ', known && (line[3] == ' ' || line[3] == '-')
}
