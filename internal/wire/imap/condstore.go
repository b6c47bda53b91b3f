package imap

import (
	"strconv"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// condstoreExtension is CONDSTORE and QRESYNC, RFC 7162. A client that never used one of the enabling commands (§3.1) is
// never shown MODSEQ; HIGHESTMODSEQ in SELECT's answer all are (§3.1.2.1).
func condstoreExtension() extension {
	return extension{
		capabilities: afterLogin("CONDSTORE", "QRESYNC"),
		enable: map[string]enableOption{
			"CONDSTORE": {"CONDSTORE", (*conn).enableCondstore},
			// RFC 7162 §3.2.3: QRESYNC includes CONDSTORE.
			"QRESYNC": {"QRESYNC", func(c *conn) { c.enableCondstore(); c.out.vanished = true }},
		},
		fetch: map[string]fetchItem{"MODSEQ": func(*parser) fetchAttr {
			return fetchAttr{name: "MODSEQ", condstore: true, write: func(c *conn, m *fetched) error {
				c.out.modSeqValue(m.row.ModSeq)
				return nil
			}}
		}},
		status: map[string]statusItem{"HIGHESTMODSEQ": func(c *conn, s *Status) { c.out.num(max(s.ModSeq, 1)) }},
		search: map[string]searchKey{"MODSEQ": parseModSeqKey},
	}
}

// enableCondstore is what every CONDSTORE enabling command does first.
func (c *conn) enableCondstore() {
	if c.out.modseq {
		return
	}
	c.out.modseq = true
	if c.sel != nil { // RFC 7162 §3.1: so that the client knows from where on it is told
		c.untagged("OK", c.highestModSeq(), "Modification sequences are told from here on")
	}
}

// highestModSeq is the response code as of the last Sync.
func (c *conn) highestModSeq() string {
	return "HIGHESTMODSEQ " + strconv.FormatUint(c.sel.view.ModSeq(), 10)
}

// expunged is the tagged OK of a command that removed messages: with the state in which the client knows of it, RFC 7162
// §3.2.7.
func (c *conn) expunged(d done) done {
	if c.out.modseq {
		d.late = (*conn).highestModSeq
	}
	return d
}

// modSeqValue writes "(n)".
func (e *encoder) modSeqValue(n uint64) {
	e.WriteByte('(')
	e.num(n)
	e.WriteByte(')')
}

// modSeq takes a modification sequence: 63 bits (RFC 7162 §7, mod-sequence-valzer).
func (p *parser) modSeq() uint64 {
	n, ok := p.number64()
	if !ok {
		p.fail("Expected a modification sequence%s", p.where())
		return 0
	}
	return uint64(n)
}

// modifiers takes an optional list of FETCH or STORE modifiers behind what stands before it (RFC 4466 §2.4, §2.5).
func (p *parser) modifiers(one func(name string)) {
	if p.i+1 >= len(p.b) || p.b[p.i] != ' ' || p.b[p.i+1] != '(' {
		return
	}
	p.sp()
	n := 0
	p.list(func() {
		if n++; n > 5 {
			p.fail("Too many modifiers")
			return
		}
		one(p.word())
	})
	if n == 0 {
		p.fail("Empty list of modifiers")
	}
}

// parseModSeqKey is SEARCH MODSEQ, RFC 7162 §3.1.5. Modification sequences are those of messages, so the name and type of
// a single flag, where they are given, change nothing: the answer may then hold more than was asked for.
func parseModSeqKey(p *parser, _ int) *searchNode {
	p.sp()
	if p.peek() == '"' {
		if name := p.quoted(); p.err == nil && (len(name) < len("/flags/x") || name[:len("/flags/")] != "/flags/") {
			p.fail("Unknown metadata item %q", name)
		}
		p.sp()
		if w := p.word(); w != "PRIV" && w != "SHARED" && w != "ALL" {
			p.fail("Expected priv, shared or all")
		}
		p.sp()
	}
	p.modseqs = true
	n := p.modSeq()
	return &searchNode{match: func(m *candidate) (bool, error) { return m.row.ModSeq >= n, nil }}
}

// rangeSet writes a set of UIDs whose ranges ascend.
func (e *encoder) rangeSet(set view.Set) {
	for i, r := range set {
		if i > 0 {
			e.WriteByte(',')
		}
		e.num(uint64(r.First))
		if r.Last != r.First {
			e.WriteByte(':')
			e.num(uint64(r.Last))
		}
	}
}
