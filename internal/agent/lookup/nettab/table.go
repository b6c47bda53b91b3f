package nettab

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// Defaults.
const (
	defaultIdle        = time.Minute
	defaultRetry       = 10 * time.Second
	defaultConnections = 10
	serviceTimeout     = 30 * time.Second // of tcp and socketmap, which have no file to set it in
)

// Table is a table that a service answers for.
type Table struct {
	name    string
	timeout time.Duration
	// prepare makes the service's key of a key; ok is false where it cannot be asked for.
	prepare func(ctx context.Context, key string) (asked string, ok bool, err error)
	// ask does one question and reads one answer. An error that is no pool.Answered ends the connection.
	ask func(c *bufio.ReadWriter, asked string) (value string, found bool, err error)
	// finish makes the answer of the value.
	finish func(key, value string) (string, bool, error)
	pool   *pool.Pool[*link]
}

var _ table.Table = (*Table)(nil)

// link is one connection.
type link struct {
	net.Conn
	rw *bufio.ReadWriter
}

// Lookup implements table.Table.
func (t *Table) Lookup(ctx context.Context, key string) (value string, found bool, err error) {
	asked, ok, err := t.prepare(ctx, key)
	if !ok || err != nil {
		return "", false, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	err = t.pool.Do(ctx, func(ctx context.Context, c *link) error {
		stop, err := c.until(ctx)
		if err != nil {
			return err
		}
		defer stop()
		value, found, err = t.ask(c.rw, asked)
		return err
	})
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", t.name, err)
	}
	if !found {
		return "", false, nil
	}
	return t.finish(key, value)
}

// Pattern implements table.Table.
func (*Table) Pattern() bool { return false }

// Close closes connections as they fall idle.
func (t *Table) Close() error {
	t.pool.Shut()
	return nil
}

// until ends reading and writing when the context does.
func (c *link) until(ctx context.Context) (stop func() bool, err error) {
	deadline, _ := ctx.Deadline() // Lookup has set one
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }), nil
}

// endpoint is where a service listens.
type endpoint struct {
	network, address string
	tls              *tls.Config
}

func (e endpoint) dial(ctx context.Context, size int) (*link, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, e.network, e.address)
	if err != nil {
		return nil, err
	}
	if e.tls != nil {
		secure := tls.Client(c, e.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c = secure
	}
	return &link{c, bufio.NewReadWriter(bufio.NewReaderSize(c, size), bufio.NewWriter(c))}, nil
}

// parseEndpoint reads inet:host:port or unix:/path; port is the default, "" if there is none.
func parseEndpoint(word, port string) (e endpoint, err error) {
	if path, ok := strings.CutPrefix(word, "unix:"); ok && strings.HasPrefix(path, "/") {
		return endpoint{network: "unix", address: path}, nil
	}
	host := strings.TrimPrefix(word, "inet:")
	h, p, err := net.SplitHostPort(host)
	switch {
	case strings.HasPrefix(word, "unix:"):
	case err == nil && h != "" && p != "":
		return endpoint{network: "tcp", address: net.JoinHostPort(h, p)}, nil
	case host != "" && port != "" && (err != nil || p == ""):
		return endpoint{network: "tcp", address: net.JoinHostPort(strings.Trim(strings.TrimSuffix(host, ":"), "[]"), port)}, nil
	}
	return endpoint{}, fmt.Errorf("%q: expected is inet:host:port or unix:/path", word)
}

// connect makes the pool.
func (t *Table) connect(env mapconf.Env, c pool.Config[*link]) {
	c.Close = func(l *link) { _ = l.Conn.Close() }
	c.Now, c.Intn = env.Now, env.Intn
	t.pool = pool.New(c)
}

// errRubbish is what a service says that does not speak its protocol.
func errRubbish(what string, said []byte) error {
	const shown = 60
	if len(said) > shown {
		said = said[:shown]
	}
	return fmt.Errorf("the reply is no %s: %q", what, said)
}

// line reads one line, without its end. The reader's size bounds it.
func line(r *bufio.Reader) ([]byte, error) {
	text, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errRubbish("line of bearable length", text)
	}
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	text = text[:len(text)-1]
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	return text, nil
}

// send writes a question.
func send(w *bufio.Writer, parts ...string) error {
	for _, p := range parts {
		if _, err := w.WriteString(p); err != nil {
			return err
		}
	}
	return w.Flush()
}

// asIs is the finish of tables without result_format. An empty value is a mistake of the server's: nobody knows whether it
// means "not found" (Postfix's programs take it for a failure too).
func asIs(_, value string) (string, bool, error) {
	if value == "" {
		return "", false, errors.New("the server's value is empty; it should say that there is none")
	}
	return value, true, nil
}
