package imap

import (
	"context"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// storeExtension is STORE and UID STORE, RFC 9051 §6.4.6 and §6.4.9.
func storeExtension() extension {
	return extension{
		commands: map[string]command{
			"STORE": {states: selected, silent: true, parse: func(p *parser) runner { return parseStore(p, false) }},
		},
		uid: map[string]command{"STORE": {states: selected, parse: func(p *parser) runner { return parseStore(p, true) }}},
	}
}

type storeCommand struct {
	set    numbers
	uid    bool
	op     StoreOp
	silent bool
	flags  view.Flags
}

func parseStore(p *parser, uid bool) runner {
	s := &storeCommand{uid: uid}
	p.sp()
	s.set = p.numbers()
	p.sp()
	if p.eat('+') {
		s.op = StoreAdd
	} else if p.eat('-') {
		s.op = StoreRemove
	}
	switch p.word() {
	case "FLAGS":
	case "FLAGS.SILENT":
		s.silent = true
	default:
		p.fail("Expected FLAGS or FLAGS.SILENT")
	}
	p.sp()
	if p.peek() == '(' {
		s.flags = p.flags()
		return s
	}
	// RFC 9051 §9, store-att-flags: the list may stand without parentheses.
	var words []string
	for p.err == nil {
		p.flag(&s.flags, &words)
		if !p.eat(' ') {
			break
		}
	}
	s.flags.Keywords = view.Keywords(words...)
	return s
}

func (s *storeCommand) run(ctx context.Context, c *conn) (done, error) {
	if err := c.sel.writable(); err != nil {
		return done{}, err
	}
	spans, err := c.sel.resolve(s.set, s.uid)
	if err != nil {
		return done{}, err
	}
	uids, gone := c.sel.uids(spans, nil)
	if len(uids) > 0 {
		modseq, err := c.sel.mailbox.Store(ctx, uids, s.op, s.flags)
		if err != nil {
			return done{}, err
		}
		c.sel.view.Own(modseq)
	}
	if !s.silent {
		c.tellFlags(spans, s.uid)
	}
	if gone && !s.uid {
		return done{}, no("EXPUNGEISSUED", "Some of the messages no longer exist") // RFC 2180 §4.2
	}
	return done{}, nil
}

// tellFlags writes FETCH responses with the flags of the messages.
func (c *conn) tellFlags(spans view.Spans, uid bool) {
	rows := make([]view.Row, 0, min(rowBatch, spans.Len()))
	sh := c.sel.shared
	sh.mu.Lock()
	fresh := c.sel.view.NewKeywords(sh.mailbox)
	sh.mu.Unlock()
	if fresh != nil { // the client must know a keyword before it sees it
		c.out.flagsResponse(fresh)
	}
	for _, sp := range spans {
		for sp.From < sp.To {
			sh.mu.Lock()
			rows, sp = c.sel.view.Rows(sh.mailbox, sp, rows[:0])
			sh.mu.Unlock()
			for i := range rows {
				if !rows[i].Gone {
					c.out.fetchFlags(&rows[i], uid || c.rev2)
				}
			}
		}
	}
}

// writable refuses changes of a mailbox that is selected read-only.
func (s *selection) writable() error {
	if s.readOnly {
		return no("READ-ONLY", "Mailbox is selected read-only")
	}
	return nil
}

// uids lists the messages of the spans that still exist and pass (nil: all do). gone: some exist no more.
func (s *selection) uids(spans view.Spans, pass func(*view.Row) bool) (uids []uint32, gone bool) {
	rows := make([]view.Row, 0, min(rowBatch, spans.Len()))
	if pass == nil {
		uids = make([]uint32, 0, spans.Len())
	}
	for _, sp := range spans {
		for sp.From < sp.To {
			s.shared.mu.Lock()
			rows, sp = s.view.Rows(s.shared.mailbox, sp, rows[:0])
			s.shared.mu.Unlock()
			for i := range rows {
				if rows[i].Gone {
					gone = true
				} else if pass == nil || pass(&rows[i]) {
					uids = append(uids, rows[i].UID)
				}
			}
		}
	}
	return uids, gone
}

// deleted lists the messages with \Deleted.
func (s *selection) deleted(spans view.Spans) []uint32 {
	uids, _ := s.uids(spans, func(r *view.Row) bool { return r.Flags.System&view.Deleted != 0 })
	return uids
}
