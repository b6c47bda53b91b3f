package system

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/test/crash/ledger"
)

// IMAP is a client's TLS session, logged in to one account.
type IMAP struct {
	Account string
	tap     *ledger.Tap
	conn    *tls.Conn
	in      *bufio.Reader
	tag     int
	before  []byte // the end of the reply before the last command, as it was on the wire
}

// Response is an untagged response or the tagged one; in Text each literal is replaced by "{}".
type Response struct {
	Text     string
	Literals [][]byte
}

// DialIMAP connects and logs in.
func DialIMAP(addr, account string) (*IMAP, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	tap := &ledger.Tap{Conn: conn}
	c := &IMAP{Account: account, tap: tap}
	c.conn = tls.Client(tap, &tls.Config{InsecureSkipVerify: true}) // a certificate of its own, made at the first start
	c.in = bufio.NewReader(c.conn)
	if err = c.deadline(); err == nil {
		_, err = c.response()
	}
	if err == nil {
		_, err = c.Do("LOGIN " + account + " secret")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("login of %s: %w", account, err)
	}
	return c, nil
}

// Close hangs up.
func (c *IMAP) Close() error { return c.conn.Close() }

func (c *IMAP) deadline() error { return c.conn.SetDeadline(time.Now().Add(patience)) }

// Do sends a command, given as its text and literals in turn, and returns all responses, the tagged one last. NO and BAD
// are a *Refused; any other error leaves open whether it was done.
func (c *IMAP) Do(text string, literals ...[]byte) ([]Response, error) {
	if err := c.deadline(); err != nil {
		return nil, err
	}
	c.tag++
	tag := fmt.Sprintf("a%d", c.tag)
	var b strings.Builder
	b.WriteString(tag + " " + text)
	for _, l := range literals {
		fmt.Fprintf(&b, " {%d+}\r\n%s", len(l), l) // RFC 7888
	}
	b.WriteString("\r\n")
	c.before = c.tap.Reply(1 << 10)
	c.tap.Mark()
	if _, err := io.WriteString(c.conn, b.String()); err != nil {
		return nil, err
	}
	var all []Response
	for {
		r, err := c.response()
		if err != nil {
			return all, err
		}
		all = append(all, r)
		if strings.HasPrefix(r.Text, "* BYE") {
			return all, io.EOF
		}
		if rest, ok := strings.CutPrefix(r.Text, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return all, &Refused{rest}
			}
			return all, nil
		}
	}
}

// ack is an acknowledgement by the last reply.
func (c *IMAP) ack(id, kind, mark string) ledger.Ack {
	return ledger.Ack{ID: id, Kind: kind, Marks: []string{mark}, Reply: c.tap.Reply(1 << 10), Before: c.before, Peer: c.tap.Peer()}
}

// gone is an acknowledgement that what id names is there no more.
func (c *IMAP) gone(id, kind, mark string) ledger.Ack {
	a := c.ack(id, kind, mark)
	a.Gone = true
	return a
}

func (c *IMAP) response() (r Response, err error) {
	var b strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return r, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		open := strings.LastIndexByte(line, '{')
		if open < 0 || !strings.HasSuffix(line, "}") {
			b.WriteString(line)
			r.Text = b.String()
			return r, nil
		}
		n, err := strconv.Atoi(line[open+1 : len(line)-1])
		if err != nil || n > 1<<26 {
			return r, fmt.Errorf("literal: %q", line)
		}
		b.WriteString(line[:open] + "{}")
		l := make([]byte, n)
		if _, err := io.ReadFull(c.in, l); err != nil {
			return r, err
		}
		r.Literals = append(r.Literals, l)
	}
}

// Append appends a message and returns its UID.
func (c *IMAP) Append(mailbox, flags string, text []byte) (uid uint32, err error) {
	all, err := c.Do(fmt.Sprintf("APPEND %s (%s)", mailbox, flags), text)
	if err != nil {
		return 0, err
	}
	code := code(all, "APPENDUID")
	if len(code) != 2 {
		return 0, fmt.Errorf("no APPENDUID: %q", all[len(all)-1].Text)
	}
	n, err := strconv.ParseUint(code[1], 10, 32)
	return uint32(n), err
}

// code returns the arguments of a response code, wherever it stands among the responses.
func code(all []Response, name string) []string {
	for _, r := range all {
		if _, rest, ok := strings.Cut(r.Text, "["+name+" "); ok {
			args, _, _ := strings.Cut(rest, "]")
			return strings.Fields(args)
		}
	}
	return nil
}
