package nettab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
)

// maxSocketmap bounds a reply, as socketmap_table(5) says.
const maxSocketmap = 100_000

// Socketmap is socketmap:inet:host:port:name or socketmap:unix:/path:name.
func Socketmap(name string, env mapconf.Env) (*Table, error) {
	i := strings.LastIndexByte(name, ':')
	var at endpoint
	err := errors.New("no name")
	if i > 0 && i < len(name)-1 && (strings.HasPrefix(name, "inet:") || strings.HasPrefix(name, "unix:")) {
		at, err = parseEndpoint(name[:i], "")
	}
	if err != nil || strings.ContainsAny(name, " \t") {
		return nil, errors.New("expected is socketmap:inet:host:port:name or socketmap:unix:/path:name")
	}
	which := name[i+1:]
	t := &Table{name: "socketmap:" + name, timeout: serviceTimeout, ask: askSocketmap, finish: asIs,
		prepare: func(_ context.Context, key string) (string, bool, error) {
			return which + " " + key, key != "" && len(key) < maxSocketmap/2, nil
		}}
	t.connect(env, pool.Config[*link]{Hosts: []string{at.address}, Max: defaultConnections, Idle: defaultIdle, Retry: defaultRetry,
		Dial: func(ctx context.Context, _ string) (*link, error) { return at.dial(ctx, 4096) }})
	return t, nil
}

func askSocketmap(c *bufio.ReadWriter, asked string) (string, bool, error) {
	if err := send(c.Writer, strconv.Itoa(len(asked)), ":", asked, ","); err != nil {
		return "", false, err
	}
	said, err := netstring(c.Reader)
	if err != nil {
		return "", false, err
	}
	if c.Reader.Buffered() > 0 {
		return "", false, errRubbish("single netstring", said)
	}
	word, rest, _ := strings.Cut(string(said), " ")
	switch word {
	case "OK":
		return rest, true, nil
	case "NOTFOUND":
		return "", false, nil
	case "TEMP", "TIMEOUT", "PERM": // PERM too: the table could not be asked
		return "", false, pool.Answered{Err: fmt.Errorf("the server says: %s %q", word, rest)}
	}
	return "", false, errRubbish("reply of socketmap_table(5)", said)
}

// netstring reads length:bytes, with a bound.
func netstring(r *bufio.Reader) ([]byte, error) {
	n := 0
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		if err != nil {
			return nil, unexpected(err)
		}
		if c == ':' && digits > 0 {
			break
		}
		if c < '0' || c > '9' || digits > 0 && n == 0 {
			return nil, errRubbish("netstring", []byte{c})
		}
		if n = n*10 + int(c-'0'); n > maxSocketmap {
			return nil, fmt.Errorf("the reply is longer than %d bytes", maxSocketmap)
		}
	}
	text := make([]byte, n+1)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, unexpected(err)
	}
	if text[n] != ',' {
		return nil, errRubbish("netstring", text)
	}
	return text[:n], nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
