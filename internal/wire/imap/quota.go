package imap

import "context"

// quotaExtension is the reading part of QUOTA, RFC 9208: one quota root, named "", for the whole account if it has a limit.
// Limits are set by the operator, never by IMAP: there is no QUOTASET.
func quotaExtension() extension {
	return extension{
		capabilities: afterLogin("QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE"),
		commands: map[string]command{
			"GETQUOTA":     {states: loggedIn, parse: func(p *parser) runner { p.sp(); return &quotaCommand{root: p.astring()} }},
			"GETQUOTAROOT": {states: loggedIn, parse: func(p *parser) runner { p.sp(); return &quotaCommand{mailbox: p.mailbox(), roots: true} }},
			"SETQUOTA":     {states: loggedIn, parse: parseSetQuota},
		},
		status: map[string]statusItem{
			deletedStorage: func(c *conn, s *Status) { c.out.num(uint64(kib(s.deletedSize))) }, // RFC 9208 §4.1.4
		},
	}
}

const deletedStorage = "DELETED-STORAGE"

type quotaCommand struct {
	root, mailbox string
	roots         bool // GETQUOTAROOT
}

func (cmd *quotaCommand) run(ctx context.Context, c *conn) (done, error) {
	q, err := c.account.Quota(ctx)
	if err != nil {
		return done{}, err
	}
	// A list of resources is never empty (RFC 9208 §7, quota-list): an account without limits has no root. Thunderbird takes
	// an empty list for a broken line and ends the connection.
	limited := q.MaxBytes > 0 || q.MaxMessages > 0
	if cmd.roots {
		name, err := c.name(cmd.mailbox)
		if err != nil {
			return done{}, err
		}
		if _, err := c.account.Status(ctx, name); err != nil {
			return done{}, err
		}
		c.out.str("* QUOTAROOT ")
		c.out.mailbox(c.account.Namespaces().show(name))
		if !limited {
			c.out.str("\r\n")
			return done{}, nil
		}
		c.out.str(" \"\"\r\n")
	} else if cmd.root != "" || !limited {
		return done{}, no("NONEXISTENT", "No such quota root")
	}
	c.out.str(`* QUOTA "" (`)
	c.quota("STORAGE", kib(q.Bytes), kib(q.MaxBytes), "")
	sep := ""
	if q.MaxBytes > 0 {
		sep = " "
	}
	c.quota("MESSAGE", q.Messages, q.MaxMessages, sep)
	c.out.str(")\r\n")
	return done{}, nil
}

// quota writes one resource, if it is limited: RFC 9208 §5.1 has no word for "no limit".
func (c *conn) quota(name string, used, limit int64, before string) {
	if limit > 0 {
		c.out.str(before, name, " ", decimal64(max(used, 0)), " ", decimal64(limit))
	}
}

// kib is bytes in units of 1024, rounded up (RFC 9208 §5.1).
func kib(n int64) int64 { return (max(n, 0) + 1023) / 1024 }

type setQuota struct{}

func parseSetQuota(p *parser) runner {
	p.sp()
	p.astring()
	p.sp()
	p.list(func() {
		p.atom()
		p.sp()
		p.number64()
	})
	return setQuota{}
}

func (setQuota) run(context.Context, *conn) (done, error) {
	return done{}, no("NOPERM", "Quotas are set by the operator")
}
