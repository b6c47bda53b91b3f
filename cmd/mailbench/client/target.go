package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/source"
)

// Target is where to connect, and how.
type Target struct {
	Addr     string      // host:port, or the path of a unix socket
	TLS      *tls.Config // for either of the next two
	Implicit bool        // TLS from the first byte (RFC 8314 §3)
	StartTLS bool
	Local    net.IP        // where to connect from; nil: wherever the system says
	Buffer   int           // for reading; 0 is enough for everything
	Timeout  time.Duration // for connecting, and for each command with its whole answer
}

// DefaultTimeout is for a command; a text search through a large mailbox may take minutes.
const DefaultTimeout = 10 * time.Minute

const bufferSize = 32 << 10

// Refused is a server's answer that is no success; the connection is still good.
type Refused struct{ Command, Answer string }

func (r *Refused) Error() string {
	return fmt.Sprintf("%s: the server says %q", r.Command, clip(r.Answer))
}

// clip keeps an error on one line of a terminal.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// link is a connection with its buffers.
type link struct {
	net.Conn
	r       *bufio.Reader
	out     []byte
	timeout time.Duration
	stop    func() bool
}

// connect makes a connection which ends with ctx.
func (t *Target) connect(ctx context.Context) (*link, error) {
	if t.Implicit && t.StartTLS {
		return nil, errors.New("STARTTLS and TLS from the start exclude each other")
	}
	network := "tcp"
	if strings.HasPrefix(t.Addr, "/") {
		network = "unix"
	}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	c, err := source.Dialer(t.Local, timeout).DialContext(ctx, network, t.Addr)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: c, timeout: timeout}
	if t.Implicit {
		l.Conn = tls.Client(c, t.TLS)
	}
	l.stop = context.AfterFunc(ctx, func() { c.Close() }) // what hangs in a read or a write ends with ctx
	buffer := t.Buffer
	if buffer <= 0 {
		buffer = bufferSize
	}
	l.r = bufio.NewReaderSize(l.Conn, buffer)
	return l, l.extend()
}

// extend gives the next command its time.
func (l *link) extend() error { return l.SetDeadline(time.Now().Add(l.timeout)) }

// startTLS changes to TLS after the server has agreed; it may not have sent anything else (RFC 3501 §6.2.1).
func (l *link) startTLS(c *tls.Config) error {
	if l.r.Buffered() > 0 {
		return errors.New("the server sent more after its reply to STARTTLS")
	}
	l.Conn = tls.Client(l.Conn, c)
	l.r.Reset(l.Conn)
	return l.extend()
}

// flush sends what has gathered.
func (l *link) flush() error {
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.Write(l.out)
	l.out = l.out[:0]
	return err
}

// Close ends the connection without a word.
func (l *link) Close() error {
	l.stop()
	return l.Conn.Close()
}
