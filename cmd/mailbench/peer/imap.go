package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	imapTimeout  = 60 * time.Second
	maxIMAPLines = 1000 // of one answer
)

// Reader is one user's IMAP connection, good for counting messages.
type Reader struct {
	c   net.Conn
	r   *bufio.Reader
	tag int
}

// Open logs a user in.
func (a Access) Open(ctx context.Context, user int) (*Reader, error) {
	c, err := (&net.Dialer{Timeout: imapTimeout}).DialContext(ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	if a.TLS != nil {
		c = tls.Client(c, a.TLS)
	}
	m := &Reader{c: c, r: bufio.NewReader(c)}
	c.SetDeadline(time.Now().Add(imapTimeout))
	greeting, err := m.line()
	if err == nil && !strings.HasPrefix(greeting, "* OK") {
		err = fmt.Errorf("IMAP greeting %q", greeting)
	}
	if err == nil {
		_, err = m.command(fmt.Sprintf("LOGIN %q %q", Address(user), a.Password(user)), "")
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("IMAP login of %s: %w", Address(user), err)
	}
	return m, nil
}

// Messages returns how many messages INBOX has.
func (m *Reader) Messages() (int64, error) {
	answer, err := m.command("STATUS INBOX (MESSAGES)", "* STATUS ")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(answer, "(MESSAGES ")
	digits, _, ok2 := strings.Cut(rest, ")")
	if !ok || !ok2 {
		return 0, fmt.Errorf("IMAP STATUS answers %q", answer)
	}
	return strconv.ParseInt(digits, 10, 64)
}

// Close logs out.
func (m *Reader) Close() error {
	m.command("LOGOUT", "")
	return m.c.Close()
}

// command sends one and returns the last untagged answer that begins with want, if want is not empty.
func (m *Reader) command(text, want string) (string, error) {
	m.tag++
	tag := fmt.Sprintf("b%d ", m.tag)
	m.c.SetDeadline(time.Now().Add(imapTimeout))
	if _, err := m.c.Write([]byte(tag + text + "\r\n")); err != nil {
		return "", err
	}
	found := ""
	for range maxIMAPLines {
		line, err := m.line()
		if err != nil {
			return "", err
		}
		if rest, ok := strings.CutPrefix(line, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				return "", fmt.Errorf("the server says %q", rest)
			}
			return found, nil
		}
		if want != "" && strings.HasPrefix(strings.ToUpper(line), want) {
			found = line
		}
	}
	return "", fmt.Errorf("an answer of more than %d lines", maxIMAPLines)
}

func (m *Reader) line() (string, error) {
	b, err := m.r.ReadSlice('\n')
	return strings.TrimRight(string(b), "\r\n"), err
}
