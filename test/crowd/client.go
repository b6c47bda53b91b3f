package crowd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// patience is what a client waits for one answer: long, for the machine may be busy; only a server that hangs takes it.
const patience = 2 * time.Minute

// Source is the address that a crowd's i-th client comes from, 127.1.0.1 and on.
func Source(i int) netip.Addr {
	i++
	return netip.AddrFrom4([4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)})
}

// Client is a connection that speaks lines.
type Client struct {
	net.Conn
	in *bufio.Reader
}

// Dial connects from an address of this host; config is for TLS from the first byte, nil: none.
func Dial(to string, from netip.Addr, config *tls.Config) (*Client, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	nc, err := d.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: nc}
	if config != nil {
		if err := c.StartTLS(config); err != nil {
			return nil, err
		}
	}
	c.in = bufio.NewReaderSize(c.Conn, 512)
	return c, nil
}

// StartTLS goes on under TLS; the connection is closed after an error.
func (c *Client) StartTLS(config *tls.Config) error {
	up := tls.Client(c.Conn, config)
	_ = c.Conn.SetDeadline(time.Now().Add(patience)) // what fails shows in the handshake
	if err := up.Handshake(); err != nil {
		return errors.Join(err, c.Conn.Close())
	}
	c.Conn, c.in = up, bufio.NewReaderSize(up, 512)
	return nil
}

// Line reads one line, without its end.
func (c *Client) Line() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	if err == io.EOF && line != "" {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimRight(line, "\r\n"), err
}

// Say sends one line.
func (c *Client) Say(line string) error {
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.WriteString(c, line+"\r\n")
	return err
}

// Refused is an answer that was not the one wanted.
type Refused struct{ Said, Answer string }

func (r *Refused) Error() string { return fmt.Sprintf("%s: %q", r.Said, r.Answer) }

// SMTP says a command, unless it is empty, and reads its reply, which must begin with want.
func (c *Client) SMTP(command, want string) error {
	if command != "" {
		if err := c.Say(command); err != nil {
			return err
		}
	}
	for {
		line, err := c.Line()
		if err != nil {
			return fmt.Errorf("after %q: %w", command, err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, want) {
			return &Refused{command, line}
		}
		return nil
	}
}

// Hello is the beginning of an SMTP session, with STARTTLS if there is a configuration.
func (c *Client) Hello(config *tls.Config) error {
	if err := errors.Join(c.SMTP("", "220"), c.SMTP("EHLO crowd.example", "250")); err != nil || config == nil {
		return err
	}
	if err := c.SMTP("STARTTLS", "220"); err != nil {
		return err
	}
	if err := c.StartTLS(config); err != nil {
		return err
	}
	return c.SMTP("EHLO crowd.example", "250")
}

// IMAP says a command with a tag and reads up to its tagged answer, which must be OK; or up to the request to go on.
func (c *Client) IMAP(command string) error {
	if err := c.Say("a " + command); err != nil {
		return err
	}
	for {
		line, err := c.Line()
		switch {
		case err != nil:
			return fmt.Errorf("after %q: %w", command, err)
		case strings.HasPrefix(line, "+ "), strings.HasPrefix(line, "a OK"):
			return nil
		case strings.HasPrefix(line, "a "), strings.HasPrefix(line, "* BYE"):
			return &Refused{command, line}
		}
	}
}

// Greeted reads IMAP's greeting.
func (c *Client) Greeted() error {
	line, err := c.Line()
	if err == nil && !strings.HasPrefix(line, "* OK") {
		err = &Refused{"", line}
	}
	return err
}

// Idle is the session of a phone: login, INBOX, IDLE.
func (c *Client) Idle(address, password string) error {
	for _, command := range []string{fmt.Sprintf("LOGIN %q %q", address, password), "SELECT INBOX", "IDLE"} {
		if err := c.IMAP(command); err != nil {
			return err
		}
	}
	return nil
}
