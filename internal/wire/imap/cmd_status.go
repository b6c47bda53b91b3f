package imap

import (
	"context"
	"slices"
)

// statusItem writes the value of one item of STATUS.
type statusItem func(c *conn, s *Status)

// statusExtension is STATUS, RFC 9051 §6.3.11, with SIZE (RFC 8438).
func statusExtension() extension {
	count := func(f func(*Status) uint32) statusItem {
		return func(c *conn, s *Status) { c.out.num(uint64(f(s))) }
	}
	return extension{
		capabilities: afterLogin("STATUS=SIZE"),
		commands:     map[string]command{"STATUS": {states: loggedIn, parse: parseStatus}},
		status: map[string]statusItem{
			"MESSAGES":    count(func(s *Status) uint32 { return s.Messages }),
			"RECENT":      count(func(*Status) uint32 { return 0 }), // see view.System
			"UIDNEXT":     count(func(s *Status) uint32 { return s.UIDNext }),
			"UIDVALIDITY": count(func(s *Status) uint32 { return s.UIDValidity }),
			"UNSEEN":      count(func(s *Status) uint32 { return s.Unseen }),
			"DELETED":     count(func(s *Status) uint32 { return s.Deleted }),
			"SIZE":        func(c *conn, s *Status) { c.out.num(uint64(max(s.Size, 0))) },
		},
	}
}

type statusCommand struct {
	name  string
	names []string
	items []statusItem
}

func parseStatus(p *parser) runner {
	p.sp()
	s := &statusCommand{name: p.mailbox()}
	p.sp()
	s.names, s.items = p.statusItems()
	return s
}

// statusItems takes a list of STATUS items in parentheses.
func (p *parser) statusItems() (names []string, items []statusItem) {
	p.list(func() {
		w := p.word()
		item, ok := p.tables.status[w]
		if !ok && p.err == nil {
			p.fail("Unknown STATUS item %s", w)
		}
		if len(items) == 20 {
			p.fail("Too many STATUS items")
		}
		names, items = append(names, w), append(items, item)
	})
	return names, items
}

func (s *statusCommand) run(ctx context.Context, c *conn) (done, error) {
	c.statusEnables(s.names)
	name, err := c.name(s.name)
	if err != nil {
		return done{}, err
	}
	st, err := c.account.Status(ctx, name)
	if err != nil {
		return done{}, err
	}
	return done{}, c.writeStatus(ctx, name, s.names, s.items, &st)
}

// statusEnables: asking for HIGHESTMODSEQ enables CONDSTORE, RFC 7162 §3.1.
func (c *conn) statusEnables(names []string) {
	if slices.Contains(names, "HIGHESTMODSEQ") {
		c.enableCondstore()
	}
}

func (c *conn) writeStatus(ctx context.Context, name Name, names []string, items []statusItem, st *Status) (err error) {
	if slices.Contains(names, deletedStorage) {
		if st.deletedSize, err = c.account.DeletedSize(ctx, name); err != nil {
			return err
		}
	}
	c.out.str("* STATUS ")
	c.out.mailbox(c.account.Namespaces().show(name))
	c.out.str(" (")
	for i, item := range items {
		if i > 0 {
			c.out.WriteByte(' ')
		}
		c.out.str(names[i], " ")
		item(c, st)
	}
	c.out.str(")\r\n")
	return nil
}
