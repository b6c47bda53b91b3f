package system

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/postrider/postrider/test/crash/ledger"
)

// patience bounds every wait for an answer.
const patience = time.Minute

// SMTP is a client's connection for SMTP, LMTP or submission.
type SMTP struct {
	tap  *ledger.Tap
	conn net.Conn // tap, or TLS over it
	in   *bufio.Reader
	lmtp bool
	from string
}

// Mail is one transaction.
type Mail struct {
	Token string
	Size  int
	To    []string // local parts, or whole addresses
	Bdat  bool     // BDAT in chunks instead of DATA
	Hint  bool     // SIZE= in MAIL
}

// Refused is a reply that is not positive.
type Refused struct{ Reply string }

func (r *Refused) Error() string { return "refused: " + r.Reply }

// DialSMTP connects to port 25 and says EHLO.
func DialSMTP(addr string) (*SMTP, error) {
	return dialSMTP(addr, "EHLO", nil)
}

// DialLMTP connects for LMTP: each recipient has a reply of its own (RFC 2033 §4.2).
func DialLMTP(addr string) (*SMTP, error) {
	c, err := dialSMTP(addr, "LHLO", nil)
	if err == nil {
		c.lmtp = true
	}
	return c, err
}

// DialSubmission connects for submission under TLS and logs in to an account.
func DialSubmission(addr, account string) (*SMTP, error) {
	c, err := dialSMTP(addr, "EHLO", &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	c.from = account + "@here.example"
	if _, err := c.command("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+account+"\x00secret"))); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func dialSMTP(addr, hello string, secure *tls.Config) (*SMTP, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	tap := &ledger.Tap{Conn: conn}
	c := &SMTP{tap: tap, conn: tap, from: "sender@far.example"}
	if secure != nil {
		c.conn = tls.Client(tap, secure)
	}
	c.in = bufio.NewReader(c.conn)
	if err = tap.SetDeadline(time.Now().Add(patience)); err == nil {
		_, err = c.reply()
	}
	if err == nil {
		_, err = c.command(hello + " client.far.example")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Close hangs up.
func (c *SMTP) Close() error { return c.tap.Close() }

// Send sends one message. The acknowledgements of its reply are one for each recipient, named account/token. An error that
// is not a *Refused leaves open whether the message was accepted.
func (c *SMTP) Send(m Mail) ([]ledger.Ack, error) {
	text := Make(m.Token, m.Size)
	from := "MAIL FROM:<" + c.from + ">"
	if m.Hint {
		from += fmt.Sprintf(" SIZE=%d", len(text))
	}
	if _, err := c.command(from); err != nil {
		return nil, err
	}
	for _, to := range m.To {
		if !strings.Contains(to, "@") {
			to += "@here.example"
		}
		if _, err := c.command("RCPT TO:<" + to + ">"); err != nil {
			c.command("RSET")
			return nil, err
		}
	}
	body := c.data
	if m.Bdat {
		body = c.bdat
	}
	err := body(text)
	for range m.To[1:] { // the others' replies
		if c.lmtp {
			_, other := c.reply()
			err = errors.Join(err, other)
		}
	}
	if err != nil {
		return nil, err
	}
	var acks []ledger.Ack
	for _, to := range m.To {
		acks = append(acks, ledger.Ack{ID: to + "/" + m.Token, Kind: "250", Marks: []string{m.Token},
			Reply: c.tap.Reply(1 << 10), Peer: c.tap.Peer()})
	}
	return acks, nil
}

func (c *SMTP) data(text []byte) error {
	if _, err := c.command("DATA"); err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte("\r\n."), []byte("\r\n..")) // RFC 5321 §4.5.2
	_, err := c.command(string(text) + ".")
	return err
}

// bdat sends the text in three chunks (RFC 3030).
func (c *SMTP) bdat(text []byte) error {
	for i := range 3 {
		chunk, last := text[i*len(text)/3:(i+1)*len(text)/3], ""
		if i == 2 {
			last = " LAST"
		}
		c.tap.Mark()
		if err := c.write(fmt.Sprintf("BDAT %d%s\r\n%s", len(chunk), last, chunk)); err != nil {
			return err
		}
		if _, err := c.reply(); err != nil {
			return err
		}
	}
	return nil
}

// command sends a line and reads its reply.
func (c *SMTP) command(line string) (string, error) {
	c.tap.Mark()
	if err := c.write(line + "\r\n"); err != nil {
		return "", err
	}
	return c.reply()
}

// write sends; when the server hung up meanwhile, what it said before is the better error.
func (c *SMTP) write(s string) error {
	if err := c.tap.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, s)
	if err != nil {
		if _, rerr := c.reply(); rerr != nil {
			if _, refused := rerr.(*Refused); refused {
				return rerr
			}
		}
	}
	return err
}

func (c *SMTP) reply() (string, error) {
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		all.WriteString(line)
		if len(line) >= 4 && line[3] == '-' {
			continue
		}
		if line[0] > '3' {
			return "", &Refused{strings.TrimSpace(all.String())}
		}
		return all.String(), nil
	}
}
