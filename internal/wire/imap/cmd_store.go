package imap

import (
	"bufio"
	"context"
	"slices"
	"strings"

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
	change StoreChange
	silent bool
}

func parseStore(p *parser, uid bool) runner {
	s := &storeCommand{uid: uid}
	p.sp()
	s.set = p.numbers()
	p.modifiers(func(name string) {
		if name != "UNCHANGEDSINCE" {
			p.fail("Unknown STORE modifier %s", name)
		}
		p.sp()
		s.change.Conditional, s.change.UnchangedSince = true, p.modSeq()
	})
	p.sp()
	if p.eat('+') {
		s.change.Op = StoreAdd
	} else if p.eat('-') {
		s.change.Op = StoreRemove
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
		s.change.Flags = p.flags()
		return s
	}
	// RFC 9051 §9, store-att-flags: the list may stand without parentheses.
	var words []string
	for p.err == nil {
		p.flag(&s.change.Flags, &words)
		if !p.eat(' ') {
			break
		}
	}
	s.change.Flags.Keywords = view.Keywords(words...)
	return s
}

func (s *storeCommand) run(ctx context.Context, c *conn) (done, error) {
	if s.change.Conditional {
		c.enableCondstore()
	}
	if err := c.sel.writable(); err != nil {
		return done{}, err
	}
	spans, err := c.sel.resolve(s.set, s.uid)
	if err != nil {
		return done{}, err
	}
	uids, gone := c.sel.uids(spans, nil)
	var res StoreResult
	if len(uids) > 0 {
		if res, err = c.sel.mailbox.Store(ctx, uids, s.change); err != nil {
			return done{}, err
		}
		c.sel.view.Own(res.ModSeqs...)
	}
	s.tell(c, spans, res.Kept)
	modified := s.modified(c, res.Kept)
	if gone && !s.uid {
		// RFC 2180 §4.2, RFC 7162 §3.1.3
		code := "EXPUNGEISSUED"
		if modified != "" {
			code = modified
		}
		return done{}, no(code, "Some of the messages no longer exist")
	}
	if modified != "" {
		return done{code: modified, text: "Some of the messages were changed meanwhile"}, nil
	}
	return done{}, nil
}

// modified is the response code with the messages that the condition kept, by the numbers that the client used.
func (s *storeCommand) modified(c *conn, kept []uint32) string {
	if len(kept) == 0 {
		return ""
	}
	list := make([]uint32, 0, len(kept))
	for _, uid := range kept {
		if seq, ok := c.sel.view.Seq(uid); ok && !s.uid {
			uid = seq
		} else if !s.uid {
			continue
		}
		list = append(list, uid)
	}
	var b strings.Builder
	e := encoder{Writer: bufio.NewWriter(&b)}
	e.str("MODIFIED ")
	e.uidSet(list)
	_ = e.Flush() // into memory
	return b.String()
}

// tell writes FETCH responses for the messages that were not kept. To who has enabled CONDSTORE .SILENT tells the new
// modification sequence all the same: without it the next condition would fail (RFC 7162 §3.1.3).
func (s *storeCommand) tell(c *conn, spans view.Spans, kept []uint32) {
	if s.silent && !c.out.modseq {
		return
	}
	sh := c.sel.shared
	sh.mu.Lock()
	fresh := c.sel.view.NewKeywords(sh.mailbox)
	sh.mu.Unlock()
	if fresh != nil { // the client must know a keyword before it sees it
		c.out.flagsResponse(fresh)
	}
	uid := s.uid || c.rev2 || c.out.vanished // RFC 7162 §3.2.4: always for who has enabled QRESYNC
	c.eachRow(spans, func(row *view.Row) {
		switch _, skip := slices.BinarySearch(kept, row.UID); {
		case skip:
		case s.silent:
			c.out.fetchModSeq(row, uid)
		default:
			c.out.fetchFlags(row, uid)
		}
	})
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
