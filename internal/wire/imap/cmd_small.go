package imap

import (
	"context"
	"slices"
	"strings"
)

// literalExtension advertises how large a non-synchronising literal may be, RFC 7888: LITERAL- before login, where we
// know nobody, LITERAL+ after it. Never both.
func literalExtension() extension {
	return extension{capabilities: func(c *conn) []string {
		if c.state&loggedIn == 0 {
			return []string{"LITERAL-"}
		}
		return []string{"LITERAL+"}
	}}
}

// idExtension is ID, RFC 2971.
func idExtension() extension {
	return extension{
		capabilities: always("ID"),
		commands:     map[string]command{"ID": {states: anyState, parse: parseID}},
	}
}

type idCommand struct{ client []string }

func parseID(p *parser) runner {
	p.sp()
	cmd := &idCommand{}
	if p.eatWord("NIL") {
		return cmd
	}
	p.list(func() {
		if len(cmd.client) >= 60 { // RFC 2971 §3.3: at most 30 pairs
			p.fail("Too many ID fields")
		}
		cmd.client = append(cmd.client, p.str())
		p.sp()
		if p.eatWord("NIL") {
			cmd.client = append(cmd.client, "")
		} else {
			cmd.client = append(cmd.client, p.str())
		}
	})
	return cmd
}

func (cmd *idCommand) run(_ context.Context, c *conn) (done, error) {
	if len(cmd.client) > 0 {
		text := strings.Join(cmd.client, " ")
		c.log.Info("imap: client", "id", text[:min(len(text), 500)])
	}
	if len(c.cfg.ID) == 0 {
		c.out.str("* ID NIL\r\n")
		return done{}, nil
	}
	c.out.str("* ID (")
	for i, s := range c.cfg.ID {
		if i > 0 {
			c.out.WriteByte(' ')
		}
		c.out.string(s)
	}
	c.out.str(")\r\n")
	return done{}, nil
}

// enableExtension is ENABLE (RFC 5161), with UTF8=ACCEPT (RFC 6855) and IMAP4rev2 (RFC 9051 §6.3.1).
func enableExtension() extension {
	return extension{
		capabilities: afterLogin("ENABLE", "UTF8=ACCEPT"),
		commands:     map[string]command{"ENABLE": {states: loggedIn, parse: parseEnable}},
		enable: map[string]enableOption{
			"UTF8=ACCEPT": {"UTF8=ACCEPT", func(c *conn) { c.out.utf8 = true }},
			"IMAP4REV2":   {"IMAP4rev2", func(c *conn) { c.out.utf8, c.rev2 = true, true }},
		},
	}
}

type enableCommand struct{ names []string }

func parseEnable(p *parser) runner {
	cmd := &enableCommand{}
	for first := true; p.err == nil && (first || p.peek() == ' '); first = false {
		p.sp()
		cmd.names = append(cmd.names, p.word())
	}
	return cmd
}

func (cmd *enableCommand) run(_ context.Context, c *conn) (done, error) {
	slices.Sort(cmd.names)
	var names string
	for _, name := range slices.Compact(cmd.names) {
		if o, ok := c.srv.tables.enable[name]; ok {
			o.on(c)
			names += " " + o.name
		}
	}
	c.out.str("* ENABLED", names)
	c.out.crlf()
	return done{}, nil
}

// namespaceExtension is NAMESPACE, RFC 2342.
func namespaceExtension() extension {
	return extension{
		capabilities: afterLogin("NAMESPACE"),
		commands:     map[string]command{"NAMESPACE": {states: loggedIn, parse: fixed(namespaceCommand{})}},
	}
}

type namespaceCommand struct{}

func (namespaceCommand) run(_ context.Context, c *conn) (done, error) {
	n := c.account.Namespaces()
	c.out.str("* NAMESPACE ")
	for i, prefix := range []string{n.Personal, n.Other, n.Shared} {
		if i > 0 {
			c.out.WriteByte(' ')
			if prefix == "" {
				c.out.str("NIL")
				continue
			}
		}
		c.out.str("((")
		if !c.out.utf8 {
			prefix = encodeUTF7(prefix)
		}
		c.out.string(prefix)
		c.out.WriteByte(' ')
		c.out.string(n.Separator)
		c.out.str("))")
	}
	c.out.crlf()
	return done{}, nil
}
