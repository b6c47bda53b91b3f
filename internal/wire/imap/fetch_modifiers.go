package imap

import (
	"context"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// modifier takes one modifier of FETCH: CHANGEDSINCE, VANISHED (RFC 7162 §3.1.4, §3.2.6), PARTIAL (RFC 9394 §3.3).
func (f *fetchCommand) modifier(p *parser, name string) {
	switch name {
	case "CHANGEDSINCE":
		p.sp()
		f.changed, f.since = true, p.modSeq()
	case "VANISHED":
		f.vanished = true
	case "PARTIAL":
		p.sp()
		f.partial = p.partialRange()
		if !f.uid {
			p.fail("PARTIAL belongs to UID FETCH") // RFC 9394 §3.3
		}
	default:
		p.fail("Unknown FETCH modifier %s", name)
	}
}

// narrow applies the modifiers.
func (f *fetchCommand) narrow(ctx context.Context, c *conn, spans view.Spans) (view.Spans, error) {
	if f.vanished && !c.out.vanished {
		return nil, bad("ENABLE QRESYNC first") // RFC 7162 §3.2.6
	}
	if f.modseq {
		c.enableCondstore()
	}
	if f.vanished {
		set := f.set.set
		if f.set.saved {
			set = c.sel.saved
		}
		if err := c.vanishedEarlier(ctx, f.since, set); err != nil {
			return nil, err
		}
	}
	if f.changed {
		spans = c.sel.changed(spans, f.since)
	}
	return f.partial.of(spans), nil
}
