package imap

import (
	"errors"
	"io"
)

// read takes in one command and parses it. What is wrong with it comes back as a *failure for the tagged reply, with the
// tag, or "*" where there was none; then all of it has been read, so that the next line is the next command.
func (c *conn) read() (tag string, cmd command, run runner, err error) {
	limit := c.cfg.MaxLine
	if c.account == nil {
		limit = maxLineBefore
	}
	if c.line, err = appendLine(c.in, c.line[:0], limit); err != nil && !errors.Is(err, errBareLF) && !errors.Is(err, errTooLong) {
		return "*", cmd, nil, err
	}
	lineErr := err
	tag, verb, rest, err := splitTag(c.line)
	if tag == "" {
		tag = "*" // RFC 9051 §7.1.3: an untagged BAD where the command has no tag
	}
	if err == nil {
		err = lineError(lineErr)
	}
	if err == nil {
		cmd, rest, err = c.lookup(verb, rest)
	}
	if lineErr != nil && c.account == nil && errors.Is(lineErr, errTooLong) {
		c.bye("", "Command line too long")
		return tag, cmd, nil, errClose
	}
	start := len(c.line) - len(rest)
	run, err = c.literals(cmd, start, limit, err)
	if err != nil || run != nil {
		return tag, cmd, run, err
	}
	run, err = c.parse(cmd, start)
	return tag, cmd, run, err
}

func lineError(err error) error {
	switch {
	case errors.Is(err, errBareLF):
		return bad("Lines end with CR LF") // RFC 9051 §2.2
	case errors.Is(err, errTooLong):
		return bad("Command line too long")
	}
	return nil
}

// lookup finds the command by its verb.
func (c *conn) lookup(verb string, rest []byte) (command, []byte, error) {
	table := c.srv.tables.commands
	if verb == "UID" && len(rest) > 0 {
		p := &parser{b: rest, i: 1}
		verb, table = p.word(), c.srv.tables.uid
		rest = rest[min(p.i, len(rest)):]
	}
	cmd, ok := table[verb]
	switch {
	case !ok:
		return cmd, rest, bad("Unknown command")
	case cmd.states&c.state != 0:
		return cmd, rest, nil
	case c.state == notAuthenticated:
		return cmd, rest, bad("Log in first")
	case cmd.states == notAuthenticated:
		return cmd, rest, bad("Already logged in")
	}
	return cmd, rest, bad("No mailbox selected")
}

// parse runs the command's parser over what has been read.
func (c *conn) parse(cmd command, start int) (runner, error) {
	p := c.parser(start)
	run := cmd.parse(p)
	p.end()
	if p.err != nil {
		return nil, p.err
	}
	return run, nil
}

func (c *conn) parser(start int) *parser {
	return &parser{b: c.line, i: start, utf8: c.out.utf8, now: c.cfg.Clock(), tables: c.srv.tables}
}

// literals reads the literals of a command and the lines that follow them into c.line. With refused set, the command is
// already known to be wrong: then a synchronising literal ends it (the client gets the tagged reply instead of its
// consent) and others are read and forgotten. For a command with a stream it stops in front of the message's literal and
// returns the parsed command.
func (c *conn) literals(cmd command, start, limit int, refused error) (runner, error) {
	lineStart, total := 0, int64(0)
	text := len(c.line) // bytes outside of literals
	for {
		head, ok := parseLiteralHead(c.line[lineStart:])
		if !ok {
			return nil, refused
		}
		if refused == nil && cmd.stream {
			p := c.parser(start)
			run := cmd.parse(p)
			if p.err == nil {
				return run, nil
			} else if !p.short {
				refused = p.err
			}
		}
		total += head.size
		if refused == nil {
			refused = c.limitLiteral(head, total)
		}
		if errors.Is(refused, errClose) {
			return nil, refused
		}
		if refused != nil && head.sync {
			return nil, refused
		}
		var err error
		if refused != nil {
			if err = c.skip(head.size); err != nil {
				return nil, err
			}
			c.line, lineStart = c.line[:0], 0
		} else if err = c.takeLiteral(head); err != nil {
			return nil, err
		} else {
			lineStart = len(c.line)
		}
		c.line, err = appendLine(c.in, c.line, max(limit-text, 0))
		if le := lineError(err); le != nil && refused == nil {
			refused = le
		} else if err != nil && le == nil {
			return nil, err
		}
		if refused == nil {
			text += len(c.line) - lineStart
		}
	}
}

// limitLiteral judges a literal by its announced size, total being the sum so far.
func (c *conn) limitLiteral(head literalHead, total int64) error {
	switch {
	case c.account == nil && !head.sync && head.size > maxLiteralMinus:
		// RFC 7888 §4: rather than read it all from somebody unknown.
		c.bye("", "Literal too large before login")
		return errClose
	case c.account == nil && total > maxLineBefore, total > maxLiterals:
		return &failure{status: "BAD", code: "TOOBIG", text: "Literal too large"}
	}
	return nil
}

// takeLiteral reads a literal into c.line, behind its head.
func (c *conn) takeLiteral(head literalHead) error {
	if head.sync {
		c.out.str("+ Ready for literal data\r\n")
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.line = append(c.line, "\r\n"...)
	n := len(c.line)
	c.line = append(c.line, make([]byte, head.size)...)
	_, err := io.ReadFull(c.in, c.line[n:])
	return err
}

// skip reads and forgets an unwanted non-synchronising literal.
func (c *conn) skip(n int64) error {
	if n > maxDrain {
		c.bye("TOOBIG", "Literal too large")
		return errClose
	}
	for n > 0 {
		m, err := c.in.Discard(int(min(n, 1<<20)))
		if n -= int64(m); err != nil {
			return err
		}
	}
	return nil
}
