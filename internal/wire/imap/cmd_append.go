package imap

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// appendExtension is APPEND (RFC 9051 §6.3.12) with APPENDUID (RFC 4315 §3) and the UTF8 form of RFC 6855 §4.
func appendExtension() extension {
	return extension{
		capabilities: afterLogin("UIDPLUS"),
		commands:     map[string]command{"APPEND": {states: loggedIn, parse: parseAppend, stream: true}},
	}
}

type appendCommand struct {
	name  string
	flags view.Flags
	date  time.Time
	utf8  bool // UTF8 (~{n} … )
	head  literalHead
}

func parseAppend(p *parser) runner {
	p.sp()
	a := &appendCommand{name: p.mailbox()}
	p.sp()
	if p.peek() == '(' {
		a.flags = p.flags()
		p.sp()
	}
	if p.peek() == '"' {
		a.date = p.dateTime()
		p.sp()
	}
	if p.eatWord("UTF8 (") {
		if !p.utf8 {
			p.fail("ENABLE UTF8=ACCEPT first") // RFC 6855 §4
		}
		a.utf8 = true
	}
	a.head = p.streamHead()
	return a
}

func (a *appendCommand) run(ctx context.Context, c *conn) (done, error) {
	name, err := c.name(a.name)
	switch {
	case err != nil:
	case a.head.size > c.cfg.MaxMessage:
		err = no("TOOBIG", "Message too large")
	case a.head.size == 0:
		err = no("", "Message is empty") // RFC 3502 §6.3.11 uses it to cancel
	default:
		// Asked before the message comes: the client need not send it in vain.
		_, err = c.account.Status(ctx, name)
		err = withCode(err, "NONEXISTENT", "TRYCREATE") // RFC 9051 §6.3.12
	}
	if err != nil {
		return done{}, a.refuse(c, err)
	}
	if a.head.sync {
		c.out.str("+ Ready for the message\r\n")
		if err := c.flush(); err != nil {
			return done{}, err
		}
	}
	body := &appendBody{c: c, left: a.head.size, closing: a.utf8}
	res, err := c.account.Append(ctx, name, &AppendMessage{Flags: a.flags, Date: a.date, Size: a.head.size, Body: body})
	if derr := body.drain(); derr != nil {
		return done{}, derr
	}
	if err != nil {
		return done{}, withCode(err, "NONEXISTENT", "TRYCREATE")
	}
	return done{code: "APPENDUID " + decimal(res.UIDValidity) + " " + decimal(res.UID), text: "Stored"}, nil
}

// refuse answers instead of taking the message in.
func (a *appendCommand) refuse(c *conn, cause error) error {
	if a.head.sync {
		return cause
	}
	if a.head.size > maxDrain {
		c.bye("TOOBIG", asFailure(cause).text)
		return errClose
	}
	body := &appendBody{c: c, left: a.head.size, closing: a.utf8}
	if err := body.drain(); err != nil {
		return err
	}
	return cause
}

// appendBody is the message literal. Before it reports its end it has read the rest of the command, so that a Backend that
// stores what it has read to io.EOF never stores the message of a malformed command. NUL is let through although CHAR8
// excludes it: mail that is moved here from elsewhere has it, and refusing it would lose that mail.
type appendBody struct {
	c       *conn
	left    int64
	closing bool  // a ")" follows
	err     error // io.EOF: all is well
}

func (b *appendBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.left == 0 {
		b.err = b.tail()
		return 0, b.err
	}
	n, err := b.c.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.err = err
	return n, err
}

// tail reads what follows the literal.
func (b *appendBody) tail() error {
	line, err := appendLine(b.c.in, nil, 256)
	want := ""
	if b.closing {
		want = ")"
	}
	if lineError(err) != nil || err == nil && string(line) != want {
		return bad("Unexpected argument after the message")
	}
	if err != nil {
		return err
	}
	return io.EOF
}

// drain reads what nobody has read. Its error is one of the connection, or the failure of a malformed rest.
func (b *appendBody) drain() error {
	if _, err := io.Copy(io.Discard, readerOnly{b}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// readerOnly hides other methods, so that io.Copy brings its own small buffer.
type readerOnly struct{ io.Reader }
