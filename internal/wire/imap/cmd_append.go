package imap

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// maxAppend is how many messages one APPEND may bring. Those beyond are refused, and with them all: what is known of each
// is kept in memory until the last has come.
const maxAppend = 1000

// maxAppendTime is how long one APPEND may take from its second message on. What has come so far waits in the journal, and
// with it all mail that came since: a client that sends a byte now and then must not hold that up for days.
const maxAppendTime = time.Hour

// A message may be as slow as Config.CommandTimeout allows for slowStart, and then slowest octets a second from its beginning
// on: a slower one only holds its place among those on their way in.
const (
	slowStart = 10 * time.Minute
	slowest   = 64
)

// appendExtension is APPEND (RFC 9051 §6.3.12) with MULTIAPPEND (RFC 3502), APPENDLIMIT (RFC 7889), APPENDUID (RFC 4315 §3)
// and the UTF8 form of RFC 6855 §4.
func appendExtension() extension {
	return extension{
		capabilities: func(c *conn) []string {
			if c.state&loggedIn == 0 {
				return nil
			}
			// RFC 7889 §2: the number says that all mailboxes have this limit.
			return []string{"UIDPLUS", "MULTIAPPEND", "APPENDLIMIT=" + decimal64(c.cfg.MaxMessage)}
		},
		commands: map[string]command{"APPEND": {states: loggedIn, parse: parseAppend, stream: true}},
		status:   map[string]statusItem{"APPENDLIMIT": func(c *conn, _ *Status) { c.out.num(uint64(c.cfg.MaxMessage)) }},
	}
}

type appendCommand struct {
	name  string
	first appendPart
}

// appendPart is what stands before one message, and the head of its literal.
type appendPart struct {
	flags view.Flags
	date  time.Time
	utf8  bool // UTF8 (~{n} … )
	head  literalHead
}

func parseAppend(p *parser) runner {
	p.sp()
	a := &appendCommand{name: p.mailbox()}
	a.first.parse(p)
	return a
}

func (a *appendPart) parse(p *parser) {
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
}

func (a *appendCommand) run(ctx context.Context, c *conn) (done, error) {
	res, err := c.appendTo(ctx, a.name, nil, a.first, true)
	if err != nil {
		return done{}, err
	}
	return done{code: appendUID(res), text: "Stored"}, nil
}

func appendUID(res AppendResult) string { return uidCode("APPENDUID", res.UIDValidity, res.UIDs) }

// appendTo takes the messages of an APPEND, or the one of a REPLACE, and stores them: all or none.
func (c *conn) appendTo(ctx context.Context, mailbox string, replaces *Replaced, part appendPart, several bool) (AppendResult, error) {
	in := &appendInput{c: c, part: part, several: several}
	name, err := c.name(mailbox)
	var to Appender
	if err == nil {
		// Asked before the message comes: the client need not send it in vain.
		to, err = c.account.Append(ctx, AppendTarget{Name: name, Replaces: replaces})
		err = withCode(err, "NONEXISTENT", "TRYCREATE") // RFC 9051 §6.3.12
	}
	if err != nil {
		return AppendResult{}, in.refuse(err)
	}
	defer to.Close()
	defer func() { c.t.Limit(time.Time{}) }()
	end := func() {}
	defer func() { end() }()
	for more := true; more; {
		err := in.limits()
		if err == nil {
			end() // nobody waits for a second place while it has one
			end, err = in.begin(ctx)
		}
		if err != nil {
			return AppendResult{}, in.refuse(err)
		}
		if more, err = in.message(ctx, to); err != nil {
			return AppendResult{}, err
		}
		if more && in.count == 1 {
			in.until = c.cfg.Clock().Add(maxAppendTime)
			c.t.Limit(in.until)
		}
	}
	res, err := to.Commit(ctx)
	return res, withCode(err, "NONEXISTENT", "TRYCREATE")
}

// appendInput is the messages of the command as they come.
type appendInput struct {
	c       *conn
	part    appendPart // the one whose literal comes next
	count   int
	several bool
	until   time.Time // when all must have come; zero: not bounded yet
}

// begin asks whether one more message may come in now. end is never nil.
func (in *appendInput) begin(ctx context.Context) (end func(), err error) {
	end, err = in.c.cfg.Begin(ctx, in.c.peer().Remote.Addr(), in.part.head.size)
	if err != nil {
		end = func() {}
	}
	return end, err
}

// limits judges the next message by what is announced.
func (in *appendInput) limits() error {
	switch {
	case in.part.head.size > in.c.cfg.MaxMessage:
		return no("TOOBIG", "Message too large") // RFC 7889 §4
	case in.part.head.size == 0:
		return no("", "Message is empty") // RFC 3502 §6.3.11: so a client cancels
	case in.count == maxAppend:
		return no("LIMIT", "Too many messages in one APPEND")
	}
	return nil
}

// message takes in one message and what follows it. more: another one, whose part is parsed.
func (in *appendInput) message(ctx context.Context, to Appender) (more bool, err error) {
	c := in.c
	if in.part.head.sync {
		c.out.str("+ Ready for the message\r\n")
		if err := c.flush(); err != nil {
			return false, err
		}
	}
	body := &appendBody{c: c, left: in.part.head.size, due: c.cfg.Clock().Add(slowStart), until: in.until}
	err = to.Add(ctx, &AppendMessage{Flags: in.part.flags, Date: in.part.date, Size: in.part.head.size, Body: body})
	if derr := body.drain(); derr != nil {
		return false, derr
	}
	c.t.Limit(in.until)
	in.count++
	more, terr := in.next()
	if err == nil || terr != nil && isFatal(terr) {
		return more, terr
	}
	if more {
		return false, in.refuse(err)
	}
	return false, err
}

// next reads what follows a message: the end of the command, or the next message's part. After an error the command has
// been read to its end.
func (in *appendInput) next() (more bool, err error) {
	line, err := appendLine(in.c.in, nil, in.c.cfg.MaxLine)
	if le := lineError(err); le != nil {
		return false, le
	} else if err != nil {
		return false, err
	}
	p := in.c.parser(0)
	p.b = line
	if in.part.utf8 {
		p.need(')')
	}
	if p.err == nil && len(line) == p.i {
		return false, nil
	}
	head, literal := parseLiteralHead(line)
	if !in.several || !literal {
		p.fail("Unexpected argument after the message")
	}
	in.part = appendPart{}
	in.part.parse(p)
	if p.err == nil {
		return true, nil
	}
	if literal {
		in.part.head = head
		return false, in.refuse(p.err)
	}
	return false, p.err
}

// refuse answers instead of taking the next message in, and reads the rest of the command.
func (in *appendInput) refuse(cause error) error {
	for budget := int64(maxDrain); ; {
		if in.part.head.sync {
			return cause // the client waits: the tagged reply takes the place of our consent
		}
		if budget -= in.part.head.size; budget < 0 {
			in.c.bye("TOOBIG", asFailure(cause).text)
			return errClose
		}
		if err := in.c.skip(in.part.head.size); err != nil {
			return err
		}
		line, err := appendLine(in.c.in, nil, in.c.cfg.MaxLine)
		if err != nil && lineError(err) == nil {
			return err
		}
		head, more := parseLiteralHead(line)
		if err != nil || !more {
			return cause
		}
		in.part.head = head
	}
}

// appendBody is a message literal. NUL is let through in any of them, although CHAR8 excludes it: mail that is moved here
// from elsewhere has it, and refusing it would lose that mail.
type appendBody struct {
	c     *conn
	left  int64
	err   error
	got   int64
	due   time.Time // when it must have come, or be beyond what slowest asks for
	until time.Time // when it must have come in any case; zero: that is not bounded
}

func (b *appendBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	due := b.due.Add(time.Duration(b.got/slowest) * time.Second)
	if !b.until.IsZero() && b.until.Before(due) {
		due = b.until
	}
	b.c.t.Limit(due)
	n, err := b.c.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.got += int64(n)
	b.err = err
	return n, err
}

// drain reads what nobody has read. Its error is one of the connection.
func (b *appendBody) drain() error {
	if _, err := io.Copy(io.Discard, readerOnly{b}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if b.err != nil && b.left > 0 {
		return b.err
	}
	return nil
}

// readerOnly hides other methods, so that io.Copy brings its own small buffer.
type readerOnly struct{ io.Reader }
