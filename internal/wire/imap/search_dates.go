package imap

import "time"

// withinExtension is WITHIN, RFC 5032: OLDER and YOUNGER compare INTERNALDATE with the time of the search, in seconds.
func withinExtension() extension {
	key := func(match func(date, limit time.Time) bool) searchKey {
		return func(p *parser, _ int) *searchNode {
			p.sp()
			limit := p.now.Add(-time.Duration(p.nzNumber()) * time.Second)
			return &searchNode{want: WantDate, match: func(m *candidate) (bool, error) { return match(m.msg.InternalDate, limit), nil }}
		}
	}
	return extension{
		capabilities: afterLogin("WITHIN"),
		search: map[string]searchKey{
			// RFC 5032 §2: OLDER is on or before, YOUNGER on or after.
			"OLDER":   key(func(date, limit time.Time) bool { return !date.After(limit) }),
			"YOUNGER": key(func(date, limit time.Time) bool { return !date.Before(limit) }),
		},
	}
}

// saveDateExtension is SAVEDATE, RFC 8514: when a message came into this mailbox. Every mailbox has it.
func saveDateExtension() extension {
	x := extension{
		capabilities: afterLogin("SAVEDATE"),
		fetch: map[string]fetchItem{"SAVEDATE": simple("SAVEDATE", WantDate, func(c *conn, m *fetched) error {
			c.out.dateTime(m.msg.Saved)
			return nil
		})},
		search: map[string]searchKey{"SAVEDATESUPPORTED": onRow(everyRow)},
	}
	for name, match := range dateRelations() {
		x.search["SAVED"+name] = func(p *parser, _ int) *searchNode {
			p.sp()
			arg := p.date()
			return &searchNode{want: WantDate, match: func(m *candidate) (bool, error) { return match(dayOf(m.msg.Saved), arg), nil }}
		}
	}
	return x
}
