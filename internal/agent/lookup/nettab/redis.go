package nettab

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// redisLine bounds what is not a value: the length of one, an error.
const redisLine = 1024

// Redis reads a file: hosts, user, password, db, key_format, result_format, domain, data_size_limit, timeout, tls,
// tls_ca_cert_file. Values are strings (GET), a list in one is written with commas.
func Redis(text string, env mapconf.Env) (*Table, []table.Problem, error) {
	f := mapconf.Parse(text)
	shape := f.Shape(env)
	format := f.Template("key_format", "%s")
	limit := f.Int("data_size_limit", 10240, 1, 16<<20)
	t := &Table{name: "redis", timeout: f.Duration("timeout", 5*time.Second), finish: shaped(shape),
		prepare: prepared(shape, format, func(s string) bool { return s != "" })}
	if t.timeout <= 0 {
		f.Wrong("timeout", "expected is at least 1s")
	}
	t.ask = func(c *bufio.ReadWriter, asked string) (string, bool, error) {
		value, found, err := redisCommand(c, limit, "GET", asked)
		if err == nil {
			err = drained(c.Reader)
		}
		return value, found, err
	}
	login := redisLogin{user: f.Text("user", ""), password: f.Text("password", ""), db: f.Int("db", 0, 0, 1<<20)}
	secure := redisTLS(f)
	hosts := f.Words("hosts", "inet:localhost:6379")
	at := map[string]endpoint{}
	for _, h := range hosts {
		e, err := parseEndpoint(h, "6379")
		if err != nil {
			f.Wrong("hosts", "%v", err)
		}
		if secure != nil && e.network == "tcp" {
			e.tls = secure.Clone()
			e.tls.ServerName, _, _ = net.SplitHostPort(e.address)
		}
		at[h] = e
	}
	t.connect(env, pool.Config[*link]{Hosts: hosts, Max: f.Int("max_connections", defaultConnections, 1, 1000),
		Idle: f.Duration("idle_interval", defaultIdle), Retry: f.Duration("retry_interval", defaultRetry),
		Dial: func(ctx context.Context, host string) (*link, error) {
			c, err := at[host].dial(ctx, redisLine)
			if err != nil {
				return nil, err
			}
			if err := login.run(ctx, c); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			return c, nil
		}})
	bad, err := f.Done()
	return t, bad, err
}

func redisTLS(f *mapconf.File) *tls.Config {
	on, ca := f.Bool("tls", false), f.Text("tls_ca_cert_file", "")
	if !on {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		c.RootCAs = x509.NewCertPool()
		if err != nil {
			f.Wrong("tls_ca_cert_file", "%v", err)
		} else if !c.RootCAs.AppendCertsFromPEM(pem) {
			f.Wrong("tls_ca_cert_file", "no certificate in PEM form")
		}
	}
	return c
}

type redisLogin struct {
	user, password string
	db             int
}

func (l redisLogin) run(ctx context.Context, c *link) error {
	stop, err := c.until(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var commands [][]string
	switch {
	case l.user != "":
		commands = append(commands, []string{"AUTH", l.user, l.password})
	case l.password != "":
		commands = append(commands, []string{"AUTH", l.password})
	}
	if l.db != 0 {
		commands = append(commands, []string{"SELECT", strconv.Itoa(l.db)})
	}
	for _, command := range commands {
		if _, _, err := redisCommand(c.rw, redisLine, command...); err != nil {
			return fmt.Errorf("%s: %w", command[0], err)
		}
	}
	return nil
}

// redisCommand does one command, in RESP: a status or a bulk string is the answer.
func redisCommand(c *bufio.ReadWriter, limit int, words ...string) (string, bool, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(w), w)
	}
	if err := send(c.Writer, out.String()); err != nil {
		return "", false, err
	}
	said, err := line(c.Reader)
	if err != nil {
		return "", false, err
	}
	if len(said) == 0 {
		return "", false, errRubbish("reply of Redis", said)
	}
	switch rest := string(said[1:]); said[0] {
	case '+':
		return rest, true, nil
	case '-':
		return "", false, pool.Answered{Err: fmt.Errorf("the server says: %q", rest)}
	case '$':
		n, err := strconv.Atoi(rest)
		switch {
		case err != nil || n < -1:
			return "", false, errRubbish("reply of Redis", said)
		case n == -1:
			return "", false, nil
		case n > limit:
			return "", false, fmt.Errorf("a value of %d bytes is longer than data_size_limit", n)
		}
		value := make([]byte, n+2)
		if _, err := io.ReadFull(c.Reader, value); err != nil {
			return "", false, unexpected(err)
		}
		if string(value[n:]) != "\r\n" {
			return "", false, errRubbish("reply of Redis", value[n:])
		}
		return string(value[:n]), true, nil
	}
	return "", false, errRubbish("reply of Redis", said)
}
