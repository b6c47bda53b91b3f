package imap

import (
	"context"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// selectExtension is SELECT, EXAMINE, CLOSE (RFC 9051 §6.3.2, §6.3.3, §6.4.1), UNSELECT (RFC 3691) and rev1's CHECK.
func selectExtension() extension {
	return extension{
		capabilities: afterLogin("UNSELECT"),
		commands: map[string]command{
			"SELECT":   {states: loggedIn, parse: func(p *parser) runner { return parseSelect(p, false) }},
			"EXAMINE":  {states: loggedIn, parse: func(p *parser) runner { return parseSelect(p, true) }},
			"CLOSE":    {states: selected, parse: fixed(closeCommand{expunge: true})},
			"UNSELECT": {states: selected, parse: fixed(closeCommand{})},
			// RFC 3501 §6.4.1, gone from rev2; mbsync sends it. All is durable at its tagged OK already, so it does nothing.
			"CHECK": {states: selected, parse: fixed(noopCommand{})},
		},
	}
}

// selection is the selected mailbox of a connection.
type selection struct {
	mailbox  Mailbox
	shared   *shared
	view     *view.Session
	readOnly bool
	saved    view.Set // the UIDs of SEARCH RETURN (SAVE), RFC 5182
}

type selectCommand struct {
	name      string
	readOnly  bool
	condstore bool    // SELECT mailbox (CONDSTORE), RFC 7162 §3.1.8
	resync    *resync // SELECT mailbox (QRESYNC (…)), RFC 7162 §3.2.5
}

func parseSelect(p *parser, readOnly bool) runner {
	p.sp()
	s := &selectCommand{name: p.mailbox(), readOnly: readOnly}
	p.modifiers(func(name string) {
		switch name {
		case "CONDSTORE":
			s.condstore = true
		case "QRESYNC":
			s.resync = parseResync(p)
		default:
			p.fail("Unknown SELECT parameter %s", name)
		}
	})
	return s
}

func (s *selectCommand) run(ctx context.Context, c *conn) (done, error) {
	if s.resync != nil && !c.out.vanished {
		return done{}, bad("ENABLE QRESYNC first") // RFC 7162 §3.2.5
	}
	// RFC 9051 §6.3.2: whatever was selected is no longer, even if this fails.
	if c.sel != nil {
		c.deselect()
		c.untagged("OK", "CLOSED", "Previous mailbox is closed") // RFC 9051 §7.1
	}
	name, err := c.name(s.name)
	if err != nil {
		return done{}, err
	}
	m, err := c.account.Select(ctx, name)
	if err != nil {
		return done{}, err
	}
	sh, err := c.srv.hub.open(ctx, m.ID(), c.t)
	if err != nil {
		m.Close()
		return done{}, err
	}
	c.sel = &selection{mailbox: m, shared: sh, readOnly: s.readOnly || m.ReadOnly()}
	c.state = selected
	c.t.Take(sigNews)
	c.describe(name)
	if s.condstore {
		c.out.modseq = true // the code has just been told
	}
	if s.resync != nil {
		if err := c.resync(ctx, s.resync); err != nil {
			c.deselect()
			return done{}, err
		}
	}
	if c.sel.readOnly {
		return done{code: "READ-ONLY", text: "Selected"}, nil
	}
	return done{code: "READ-WRITE", text: "Selected"}, nil
}

// describe writes the untagged responses of SELECT.
func (c *conn) describe(name Name) {
	sh := c.sel.shared
	sh.mu.Lock()
	c.sel.view = view.NewSession(sh.mailbox)
	keywords, next := sh.mailbox.Keywords(), sh.mailbox.UIDNext()
	exists := c.sel.view.Exists()
	unseen, hasUnseen := sh.mailbox.FirstUnseen()
	sh.mu.Unlock()

	c.out.flagsResponse(keywords)
	if c.sel.readOnly {
		c.untagged("OK", "PERMANENTFLAGS ()", "No flags can be changed")
	} else {
		all := view.Flags{System: view.AllSystem, Keywords: view.Keywords(keywords...)}.String()
		c.untagged("OK", "PERMANENTFLAGS ("+all+` \*)`, "These flags are kept")
	}
	c.out.str("* ")
	c.out.num(uint64(exists))
	c.out.str(" EXISTS\r\n")
	if !c.rev2 { // RFC 9051 has neither RECENT nor UNSEEN here
		c.out.str("* 0 RECENT\r\n")
		if hasUnseen {
			c.out.str("* OK [UNSEEN ")
			c.out.num(uint64(unseen) + 1)
			c.out.str("] First unseen\r\n")
		}
	}
	c.out.str("* OK [UIDVALIDITY ")
	c.out.num(uint64(c.sel.mailbox.ID().UIDValidity))
	c.out.str("] UIDs are valid\r\n* OK [UIDNEXT ")
	c.out.num(uint64(next))
	c.out.str("] Predicted next UID\r\n")
	c.untagged("OK", c.highestModSeq(), "Highest") // RFC 7162 §3.1.2.1: to all clients
	c.untagged("OK", c.sel.mailbox.ID().mailboxIDCode(), "Stays with the mailbox")
	if c.rev2 { // RFC 9051 §6.3.2: one LIST response, with the name as the server writes it
		ns := c.account.Namespaces()
		c.out.str("* LIST () ")
		c.out.string(ns.Separator)
		c.out.WriteByte(' ')
		c.out.mailbox(ns.show(name))
		c.out.crlf()
	}
}

// deselect leaves the selected mailbox, if any, without touching it.
func (c *conn) deselect() {
	if c.sel == nil {
		return
	}
	c.srv.hub.close(c.sel.shared, c.t)
	c.sel.mailbox.Close()
	c.sel, c.state = nil, authenticated
	c.t.Take(sigNews)
}

// sync tells the client what is new in the selected mailbox.
func (c *conn) sync(expunge bool) error {
	c.t.Take(sigNews)
	sh := c.sel.shared
	for {
		sh.mu.Lock()
		u := c.sel.view.Sync(sh.mailbox, expunge)
		gone := sh.mailbox.Gone()
		sh.mu.Unlock()
		c.out.updates(&u)
		if gone {
			return errGone
		}
		if !u.More {
			return nil
		}
		if err := c.flush(); err != nil { // nobody reads it: no reason to go through the rest
			return err
		}
	}
}

// gone tells whether the mailbox exists no more.
func (s *selection) gone() bool {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	return s.shared.mailbox.Gone()
}

type closeCommand struct{ expunge bool }

func (cmd closeCommand) run(ctx context.Context, c *conn) (done, error) {
	defer c.deselect()
	if !cmd.expunge || c.sel.readOnly {
		return done{}, nil
	}
	// RFC 9051 §6.4.1: \Deleted messages go, no EXPUNGE is sent.
	uids := c.sel.deleted(c.sel.view.All())
	if len(uids) == 0 {
		return done{}, nil
	}
	return done{}, c.sel.mailbox.Expunge(ctx, uids)
}
