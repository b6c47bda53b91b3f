package nettab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// maxMemcacheKey is the protocol's.
const maxMemcacheKey = 250

// Memcache reads a file of memcache_table(5). We never write to the cache: backup is asked for what it does not have, or while
// it cannot be asked, and who fills the cache is somebody else.
func Memcache(text string, env mapconf.Env) (table.Table, []table.Problem, error) {
	f := mapconf.Parse(text)
	at, err := parseEndpoint(f.Text("memcache", "inet:localhost:11211"), "11211")
	if err != nil {
		f.Wrong("memcache", "%v", err)
	}
	shape := f.Shape(env)
	format := f.Template("key_format", "%s")
	data, lines := f.Int("data_size_limit", 10240, 1, 16<<20), f.Int("line_size_limit", 1024, 64, 1<<20)
	t := &Table{name: "memcache", timeout: f.Duration("timeout", 2*time.Second), prepare: prepared(shape, format, memcacheKey), finish: shaped(shape)}
	if t.timeout <= 0 {
		f.Wrong("timeout", "expected is at least 1s")
	}
	f.Ignore("flags", "ttl", "max_try", "retry_pause") // of updates, and of Postfix's own way to try again
	t.ask = func(c *bufio.ReadWriter, asked string) (string, bool, error) { return askMemcache(c, asked, data) }
	t.connect(env, pool.Config[*link]{Hosts: []string{at.address}, Max: f.Int("max_connections", defaultConnections, 1, 1000),
		Idle: f.Duration("idle_interval", defaultIdle), Retry: f.Duration("retry_interval", defaultRetry),
		Dial: func(ctx context.Context, _ string) (*link, error) { return at.dial(ctx, lines) }})
	var all table.Table = t
	if name := f.Text("backup", ""); name != "" {
		backup, err := env.Open(name)
		if err != nil {
			f.Wrong("backup", "%v", err)
		}
		all = cached{t, backup}
	}
	bad, err := f.Done()
	return all, bad, err
}

// cached is a cache with the table behind it. The cache is only a cache: what it cannot say the other one does.
type cached struct {
	*Table
	backup table.List
}

// Lookup implements table.Table.
func (c cached) Lookup(ctx context.Context, key string) (string, bool, error) {
	if value, found, err := c.Table.Lookup(ctx, key); err == nil && found {
		return value, true, nil
	}
	return c.backup.Lookup(ctx, key, false)
}

// prepared is the prepare of services that keep values by key, with key_format and domain.
func prepared(shape mapconf.Shape, format *mapconf.Template, usable func(string) bool) func(context.Context, string) (string, bool, error) {
	return func(ctx context.Context, key string) (string, bool, error) {
		key, ok, err := shape.Key(ctx, key)
		if !ok || err != nil {
			return "", false, err
		}
		asked, ok := format.Query(key, func(s string) string { return s })
		return asked, ok && usable(asked), nil
	}
}

// shaped is their finish.
func shaped(shape mapconf.Shape) func(key, value string) (string, bool, error) {
	return func(key, value string) (string, bool, error) {
		answer := shape.Answer(table.Fold(key))
		if err := answer.Add(value); err != nil {
			return "", false, err
		}
		text, found := answer.Text()
		return text, found, nil
	}
}

// memcacheKey tells whether the protocol can carry a key: blanks and controls would end it.
func memcacheKey(s string) bool {
	return s != "" && len(s) <= maxMemcacheKey && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' }) < 0
}

func askMemcache(c *bufio.ReadWriter, key string, limit int) (string, bool, error) {
	if err := send(c.Writer, "get ", key, "\r\n"); err != nil {
		return "", false, err
	}
	said, err := line(c.Reader)
	if err != nil {
		return "", false, err
	}
	switch fields := strings.Fields(string(said)); {
	case string(said) == "END":
		return "", false, drained(c.Reader)
	case bytes.HasPrefix(said, []byte("SERVER_ERROR")):
		return "", false, pool.Answered{Err: fmt.Errorf("the server says: %q", said)}
	case len(fields) != 4 && len(fields) != 5, fields[0] != "VALUE", fields[1] != key:
		return "", false, errRubbish("reply of memcached", said)
	default:
		n, err := strconv.Atoi(fields[3])
		if err != nil || n < 0 {
			return "", false, errRubbish("reply of memcached", said)
		}
		if n > limit {
			return "", false, fmt.Errorf("a value of %d bytes is longer than data_size_limit", n)
		}
		value := make([]byte, n+len("\r\nEND\r\n"))
		if _, err := io.ReadFull(c.Reader, value); err != nil {
			return "", false, unexpected(err)
		}
		if string(value[n:]) != "\r\nEND\r\n" {
			return "", false, errRubbish("reply of memcached", value[n:])
		}
		return string(value[:n]), true, drained(c.Reader)
	}
}

// drained is an error if more was said than was asked for: the next answer would be another key's.
func drained(r *bufio.Reader) error {
	if n := r.Buffered(); n > 0 {
		more, _ := r.Peek(n)
		return errRubbish("single answer", more)
	}
	return nil
}
