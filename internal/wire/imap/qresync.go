package imap

import (
	"context"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// resync is the QRESYNC parameter of SELECT, RFC 7162 §3.2.5: what the client knew when it left.
type resync struct {
	validity uint32
	modseq   uint64
	known    view.Set // the UIDs it is interested in
}

// allUIDs is what is asked for when nothing is named.
func allUIDs() view.Set { return view.Set{{First: 1, Last: 1<<32 - 1}} }

// parseResync takes "(uidvalidity modseq [known-uids] [(seqs uids)])".
func parseResync(p *parser) *resync {
	p.sp()
	p.need('(')
	// §7 lets neither be 0. A client that has nothing yet says so all the same; Dovecot takes it, and so do we: 0 is no
	// UIDVALIDITY of ours.
	r := &resync{validity: p.number(), known: allUIDs()}
	p.sp()
	r.modseq = p.modSeq()
	if p.eat(' ') && p.peek() != '(' {
		r.known = p.plainSet()
		if !p.eat(' ') {
			p.need(')')
			return r
		}
	}
	if p.peek() == '(' {
		// §3.2.5.2: a hint for servers that have forgotten what was expunged, to shorten their answer. Ours then tells all
		// that is missing, which is right too.
		p.need('(')
		p.plainSet()
		p.sp()
		p.plainSet()
		p.need(')')
	}
	p.need(')')
	return r
}

// plainSet takes a set without "*", RFC 7162 §7.
func (p *parser) plainSet() view.Set {
	set := p.set()
	for _, r := range set {
		if r.First == 0 || r.Last == 0 {
			p.fail(`"*" means nothing here`)
		}
	}
	return set
}

// resync tells a client that comes back what has changed meanwhile: first what is gone, then what has other flags.
func (c *conn) resync(ctx context.Context, r *resync) error {
	if r.validity != c.sel.mailbox.ID().UIDValidity {
		return nil // RFC 7162 §3.2.5.1: as if it had not been given; the client sees the new UIDVALIDITY
	}
	if err := c.vanishedEarlier(ctx, r.modseq, r.known); err != nil {
		return err
	}
	c.eachRow(c.sel.changed(c.sel.view.ByUID(r.known), r.modseq), func(row *view.Row) { c.out.fetchFlags(row, true) })
	return nil
}

// vanishedEarlier writes VANISHED (EARLIER) for those of a set of UIDs that were expunged after a modification sequence.
func (c *conn) vanishedEarlier(ctx context.Context, since uint64, set view.Set) error {
	gone, known, err := c.sel.mailbox.Vanished(ctx, since)
	if err != nil {
		return err
	}
	var out view.Set
	if known {
		out = c.sel.view.Vanished(gone, set)
	} else {
		c.sel.shared.mu.Lock()
		next := c.sel.shared.mailbox.UIDNext()
		c.sel.shared.mu.Unlock()
		out = c.sel.view.Missing(set, next)
	}
	if len(out) > 0 {
		c.out.str("* VANISHED (EARLIER) ")
		c.out.rangeSet(out)
		c.out.crlf()
	}
	return nil
}

// changed narrows spans down to the messages that changed after a modification sequence.
func (s *selection) changed(spans view.Spans, since uint64) view.Spans {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	return s.view.Changed(s.shared.mailbox, spans, since)
}

// eachRow calls do for the messages of the spans that still exist.
func (c *conn) eachRow(spans view.Spans, do func(*view.Row)) {
	rows := make([]view.Row, 0, min(rowBatch, spans.Len()))
	sh := c.sel.shared
	for _, sp := range spans {
		for sp.From < sp.To {
			sh.mu.Lock()
			rows, sp = c.sel.view.Rows(sh.mailbox, sp, rows[:0])
			sh.mu.Unlock()
			for i := range rows {
				if !rows[i].Gone {
					do(&rows[i])
				}
			}
		}
	}
}
