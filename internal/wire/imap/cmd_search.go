package imap

import (
	"context"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// searchExtension is SEARCH and UID SEARCH, RFC 9051 §6.4.4, with ESEARCH (RFC 4731) and SEARCHRES
// (RFC 5182).
func searchExtension() extension {
	return extension{
		capabilities: afterLogin("ESEARCH", "SEARCHRES"),
		commands: map[string]command{
			"SEARCH": {states: selected, silent: true, parse: func(p *parser) runner { return parseSearch(p, false) }},
		},
		uid:    map[string]command{"SEARCH": {states: selected, parse: func(p *parser) runner { return parseSearch(p, true) }}},
		search: searchKeys(),
	}
}

type searchCommand struct {
	uid     bool
	returns searchReturn
	program *searchNode
	modseqs bool     // MODSEQ is among the keys
	refused *failure // found while parsing, but a NO: RFC 5182 §2.1 has it clear "$"
}

// searchReturn is the result options of RFC 4731 §3.1, RFC 5182 §2 and RFC 9394 §3.1.
type searchReturn struct {
	given, min, max, all, count, save bool
	window                            bool // PARTIAL
	partial                           partialRange
}

func parseSearch(p *parser, uid bool) runner {
	s := &searchCommand{uid: uid}
	p.sp()
	if p.eatWord("RETURN ") {
		s.returns.parse(p)
		p.sp()
	}
	if p.eatWord("CHARSET ") {
		// RFC 9051 §6.4.4: both are read as UTF-8.
		if cs := strings.ToUpper(p.astring()); p.err == nil && cs != "UTF-8" && cs != "US-ASCII" {
			p.err = no("BADCHARSET (US-ASCII UTF-8)", "Unknown charset")
		}
		p.sp()
	}
	s.program, s.modseqs = p.searchProgram(), p.modseqs
	if f, ok := p.err.(*failure); ok && f.status == "NO" {
		s.refused, p.err, p.i = f, nil, len(p.b)
	}
	return s
}

func (r *searchReturn) parse(p *parser) {
	r.given = true
	p.list(func() {
		switch w := p.word(); w {
		case "MIN":
			r.min = true
		case "MAX":
			r.max = true
		case "ALL":
			r.all = true
		case "COUNT":
			r.count = true
		case "SAVE":
			r.save = true
		case "PARTIAL":
			p.sp()
			r.window, r.partial = true, p.partialRange()
		default:
			p.fail("Unknown SEARCH return option %s", w)
		}
	})
	if !r.min && !r.max && !r.count && !r.save && !r.window { // RFC 4731 §3.1: () is (ALL)
		r.all = true
	}
	if r.all && r.window {
		p.fail("ALL and PARTIAL exclude each other") // RFC 9394 §3.1
	}
}

func (s *searchCommand) run(ctx context.Context, c *conn) (done, error) {
	if s.modseqs {
		c.enableCondstore()
	}
	var hits []int
	var err error
	if s.refused != nil {
		err = s.refused
	} else {
		hits, err = c.search(ctx, s.program)
	}
	if s.returns.save && (err == nil || asFailure(err).status == "NO") {
		s.save(c, hits) // RFC 5182 §2.1: after a NO nothing is saved any more; BAD leaves what was
	}
	if err != nil {
		return done{}, err
	}
	found := make([]uint32, len(hits))
	for i, index := range hits {
		if found[i] = uint32(index) + 1; s.uid {
			found[i] = c.sel.view.UID(found[i])
		}
	}
	// RFC 9051 §6.4.4: SEARCH of RFC 3501 is answered with ESEARCH once rev2 is enabled.
	if !s.returns.given && !c.rev2 {
		c.out.str("* SEARCH")
		for _, n := range found {
			c.out.WriteByte(' ')
			c.out.num(uint64(n))
		}
		if n := s.highest(c, hits); n > 0 { // RFC 7162 §3.1.5
			c.out.str(" (MODSEQ ")
			c.out.num(n)
			c.out.WriteByte(')')
		}
		c.out.crlf()
		return done{}, nil
	}
	if !s.returns.given {
		s.returns.all = true
	}
	if r := s.returns; r.min || r.max || r.all || r.count || r.window { // SAVE alone is not answered
		s.esearch(c, found, hits)
	}
	return done{}, nil
}

// highest is the highest modification sequence of some messages; 0: it was not asked for, or all are gone by now.
func (s *searchCommand) highest(c *conn, hits []int) uint64 {
	if !s.modseqs {
		return 0
	}
	c.sel.shared.mu.Lock()
	defer c.sel.shared.mu.Unlock()
	return c.sel.view.HighestOf(c.sel.shared.mailbox, hits)
}

// chosen is what the result options other than COUNT and ALL are about: RFC 5182 §2.4, RFC 9394 §3.2.
func (r *searchReturn) chosen(hits []int) []int {
	if r.all || r.count || !r.min && !r.max && !r.window || len(hits) == 0 {
		return hits
	}
	var out []int
	if r.window {
		from, to := r.partial.ends(len(hits))
		out = append(out, hits[from:to]...)
	}
	if r.min {
		out = append(out, hits[0])
	}
	if r.max {
		out = append(out, hits[len(hits)-1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// save keeps the result for "$".
func (s *searchCommand) save(c *conn, hits []int) {
	c.sel.saved = nil
	for _, index := range s.returns.chosen(hits) {
		uid := c.sel.view.UID(uint32(index) + 1)
		if n := len(c.sel.saved); n > 0 && c.sel.saved[n-1].Last+1 == uid {
			c.sel.saved[n-1].Last = uid
		} else {
			c.sel.saved = append(c.sel.saved, view.Range{First: uid, Last: uid})
		}
	}
}

// esearch writes the ESEARCH response, RFC 9051 §7.3.4.
func (s *searchCommand) esearch(c *conn, found []uint32, hits []int) {
	c.out.str("* ESEARCH (TAG ")
	c.out.string(c.tag)
	c.out.str(")")
	if s.uid {
		c.out.str(" UID")
	}
	item := func(name string, n uint32) {
		c.out.str(" ", name, " ")
		c.out.num(uint64(n))
	}
	if len(found) > 0 { // RFC 4731 §3.1: without a match only COUNT is told
		if s.returns.min {
			item("MIN", found[0])
		}
		if s.returns.max {
			item("MAX", found[len(found)-1])
		}
		if s.returns.all {
			c.out.str(" ALL ")
			c.out.uidSet(found)
		}
	}
	if s.returns.count {
		item("COUNT", uint32(len(found)))
	}
	if r := s.returns; r.window { // RFC 9394 §3.1
		c.out.str(" PARTIAL (", r.partial.String(), " ")
		if from, to := r.partial.ends(len(found)); from < to {
			c.out.uidSet(found[from:to])
		} else {
			c.out.str("NIL")
		}
		c.out.WriteByte(')')
	}
	if n := s.highest(c, s.returns.chosen(hits)); n > 0 { // RFC 4731 §3.2, RFC 7162 §3.1.10
		c.out.str(" MODSEQ ")
		c.out.num(n)
	}
	c.out.crlf()
}
