package imap

import (
	"context"
	"strings"
)

// mailboxExtension is CREATE (with CREATE-SPECIAL-USE, RFC 6154 §3), DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051
// §6.3.4 to §6.3.8).
func mailboxExtension() extension {
	return extension{
		capabilities: afterLogin("CREATE-SPECIAL-USE"),
		commands: map[string]command{
			"CREATE":      {states: loggedIn, parse: parseCreate},
			"DELETE":      {states: loggedIn, parse: parseDelete},
			"RENAME":      {states: loggedIn, parse: parseRename},
			"SUBSCRIBE":   {states: loggedIn, parse: func(p *parser) runner { p.sp(); return &subscribeCommand{p.mailbox(), true} }},
			"UNSUBSCRIBE": {states: loggedIn, parse: func(p *parser) runner { p.sp(); return &subscribeCommand{p.mailbox(), false} }},
		},
	}
}

// name makes a Name of what the client wrote.
func (c *conn) name(s string) (Name, error) { return c.account.Namespaces().name(s) }

func (n Name) isInbox() bool { return len(n) == 1 && n[0] == "INBOX" }

type createCommand struct {
	name string
	use  []string
}

func parseCreate(p *parser) runner {
	p.sp()
	c := &createCommand{name: p.mailbox()}
	if p.eat(' ') { // RFC 6154 §6: create-param
		p.need('(')
		if p.word() != "USE" && p.err == nil {
			p.fail("Unknown CREATE parameter")
		}
		p.sp()
		p.list(func() {
			p.need('\\')
			c.use = append(c.use, `\`+p.atom())
		})
		p.need(')')
	}
	return c
}

func (cmd *createCommand) run(ctx context.Context, c *conn) (done, error) {
	name, err := c.name(cmd.name)
	if err != nil {
		return done{}, err
	}
	if name.isInbox() {
		return done{}, no("ALREADYEXISTS", "INBOX exists always")
	}
	use := ""
	if len(cmd.use) > 1 {
		return done{}, no("USEATTR", "One special use at a time") // RFC 6154 §3
	} else if len(cmd.use) == 1 {
		if use = specialUse(cmd.use[0]); use == "" {
			return done{}, no("USEATTR", "Not a special use that can be set")
		}
	}
	id, err := c.account.Create(ctx, name, use)
	if err != nil {
		return done{}, err
	}
	return done{code: id.mailboxIDCode()}, nil
}

// specialUse returns the registered spelling of a special use that a mailbox can be given (RFC 6154 §2), or "".
func specialUse(attr string) string {
	for _, u := range []string{`\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`} {
		if strings.EqualFold(u, attr) {
			return u
		}
	}
	return ""
}

type deleteCommand struct{ name string }

func parseDelete(p *parser) runner {
	p.sp()
	return &deleteCommand{p.mailbox()}
}

func (cmd *deleteCommand) run(ctx context.Context, c *conn) (done, error) {
	name, err := c.name(cmd.name)
	if err != nil {
		return done{}, err
	}
	if name.isInbox() {
		return done{}, no("CANNOT", "INBOX cannot be deleted") // RFC 9051 §6.3.5
	}
	if err := c.account.Delete(ctx, name); err != nil {
		return done{}, err
	}
	if c.sel != nil && c.sel.gone() { // it was the selected one: our own doing, so no reason to end the connection
		c.deselect()
		c.untagged("OK", "CLOSED", "Selected mailbox was deleted")
	}
	return done{}, nil
}

type renameCommand struct{ from, to string }

func parseRename(p *parser) runner {
	p.sp()
	from := p.mailbox()
	p.sp()
	return &renameCommand{from, p.mailbox()}
}

func (cmd *renameCommand) run(ctx context.Context, c *conn) (done, error) {
	from, err := c.name(cmd.from)
	if err != nil {
		return done{}, err
	}
	to, err := c.name(cmd.to)
	if err != nil {
		return done{}, err
	}
	if to.isInbox() {
		return done{}, no("ALREADYEXISTS", "INBOX exists always")
	}
	// RFC 9051 §6.3.6: no mailbox can move into itself. Not so INBOX, of which only the messages move.
	if len(to) > len(from) && equalNames(from, to[:len(from)]) && !from.isInbox() {
		return done{}, no("CANNOT", "A mailbox cannot be moved below itself")
	}
	if err := c.account.Rename(ctx, from, to); err != nil || !c.rev2 || from.isInbox() {
		return done{}, err
	}
	c.oldName(from, to)
	return done{}, nil
}

// oldName tells by which name a mailbox went before, RFC 9051 §6.3.9.7.
func (c *conn) oldName(from, to Name) {
	ns := c.account.Namespaces()
	c.out.str("* LIST () ")
	c.out.string(ns.Separator)
	c.out.WriteByte(' ')
	c.out.mailbox(ns.show(to))
	c.out.str(` ("OLDNAME" (`)
	c.out.mailbox(ns.show(from))
	c.out.str("))\r\n")
}

func equalNames(a, b Name) bool {
	return strings.Join(a, "\x00") == strings.Join(b, "\x00")
}

type subscribeCommand struct {
	name string
	on   bool
}

func (cmd *subscribeCommand) run(ctx context.Context, c *conn) (done, error) {
	name, err := c.name(cmd.name)
	if err != nil {
		return done{}, err
	}
	return done{}, c.account.Subscribe(ctx, name, cmd.on)
}
