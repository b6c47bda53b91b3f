package imap

// fetchItems is the items of RFC 3501 §6.4.5 and RFC 9051 §6.4.5. Extensions add theirs to the same table.
func fetchItems() map[string]fetchItem {
	return map[string]fetchItem{
		"UID": simple("UID", 0, func(c *conn, m *fetched) error {
			c.out.num(uint64(m.row.UID))
			return nil
		}),
		"FLAGS": simple("FLAGS", 0, func(c *conn, m *fetched) error {
			c.out.str("(", m.row.Text, ")")
			return nil
		}),
		"INTERNALDATE": simple("INTERNALDATE", WantDate, func(c *conn, m *fetched) error {
			c.out.dateTime(m.msg.InternalDate)
			return nil
		}),
		"RFC822.SIZE": simple("RFC822.SIZE", WantSize, func(c *conn, m *fetched) error {
			c.out.num(uint64(m.msg.Size))
			return nil
		}),
		"ENVELOPE": simple("ENVELOPE", WantEnvelope, func(c *conn, m *fetched) error {
			c.out.envelope(&m.msg.MIME.Envelope)
			return nil
		}),
		"BODYSTRUCTURE": simple("BODYSTRUCTURE", WantStructure, func(c *conn, m *fetched) error {
			c.out.structure(m.msg.MIME.Root, true)
			return nil
		}),
		"BODY":      parseBody,
		"BODY.PEEK": parsePeek,
		// RFC 3501 §6.4.5: the same as BODY[], BODY.PEEK[HEADER] and BODY[TEXT], under their old names.
		"RFC822":        func(*parser) fetchAttr { return section{}.attr("RFC822", true) },
		"RFC822.HEADER": func(*parser) fetchAttr { return section{kind: sectionHeader}.attr("RFC822.HEADER", false) },
		"RFC822.TEXT":   func(*parser) fetchAttr { return section{kind: sectionText}.attr("RFC822.TEXT", true) },
	}
}

// simple is an item without arguments.
func simple(name string, want Want, write func(*conn, *fetched) error) fetchItem {
	return func(*parser) fetchAttr { return fetchAttr{name: name, want: want, write: write} }
}

// parseBody takes BODY, the structure without extension data, or BODY[section].
func parseBody(p *parser) fetchAttr {
	if p.peek() == '[' {
		s := p.section()
		return s.attr(s.name(), true)
	}
	return fetchAttr{name: "BODY", want: WantStructure, write: func(c *conn, m *fetched) error {
		c.out.structure(m.msg.MIME.Root, false)
		return nil
	}}
}

func parsePeek(p *parser) fetchAttr {
	s := p.section()
	return s.attr(s.name(), false) // the response says BODY[…], RFC 9051 §7.5.2
}
