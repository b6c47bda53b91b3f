package nettab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
)

// maxTCPLine bounds requests and replies, as tcp_table(5) says.
const maxTCPLine = 4096

// TCP is tcp:host:port.
func TCP(name string, env mapconf.Env) (*Table, error) {
	at, err := parseEndpoint("inet:"+name, "")
	if err != nil {
		return nil, fmt.Errorf("expected is tcp:host:port")
	}
	t := &Table{name: "tcp:" + name, timeout: serviceTimeout, ask: askTCP, finish: asIs,
		prepare: func(_ context.Context, key string) (string, bool, error) {
			encoded := encodeTCP(key) // its case stays: the server decides
			if len(encoded)+len("get \n") > maxTCPLine {
				return "", false, nil
			}
			return encoded, key != "", nil
		}}
	t.connect(env, pool.Config[*link]{Hosts: []string{at.address}, Max: defaultConnections, Idle: defaultIdle, Retry: defaultRetry,
		Dial: func(ctx context.Context, _ string) (*link, error) { return at.dial(ctx, maxTCPLine+2) }})
	return t, nil
}

func askTCP(c *bufio.ReadWriter, key string) (string, bool, error) {
	if err := send(c.Writer, "get ", key, "\n"); err != nil {
		return "", false, err
	}
	said, err := line(c.Reader)
	if err != nil {
		return "", false, err
	}
	if c.Reader.Buffered() > 0 {
		return "", false, errRubbish("single line", said)
	}
	code, rest, ok := strings.Cut(string(said), " ")
	if !ok {
		return "", false, errRubbish("reply of tcp_table(5)", said)
	}
	value, err := decodeTCP(rest)
	switch {
	case err != nil:
		return "", false, err
	case code == "200":
		return value, true, nil
	case code == "500":
		return "", false, nil
	case code == "400":
		return "", false, pool.Answered{Err: fmt.Errorf("the server says: %q", value)}
	}
	return "", false, errRubbish("reply of tcp_table(5)", said)
}

// encodeTCP writes what is not printable, blanks and percent signs as %XX.
func encodeTCP(s string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			out.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func decodeTCP(s string) (string, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", errors.New("a percent sign in the reply is followed by no two hexadecimal digits")
		}
		out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
		i += 2
	}
	return string(out), nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
