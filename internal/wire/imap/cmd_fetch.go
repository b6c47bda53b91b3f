package imap

import (
	"context"
	"strings"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

const (
	maxFetchItems = 100
	rowBatch      = 512 // messages at a time where flags and UID are all that is asked
)

// fetchItem parses one item of FETCH, behind its name, into what will be written for each message.
type fetchItem func(p *parser) fetchAttr

// fetchAttr is one parsed item.
type fetchAttr struct {
	name string // as it stands in the response
	want Want
	seen bool // sets \Seen
	// condstore: asking for it enables CONDSTORE (RFC 7162 §3.1).
	condstore bool
	// check, if there is one, may refuse a message before its response begins.
	check func(m *fetched) error
	write func(c *conn, m *fetched) error
}

// fetched is a message while its FETCH response is written.
type fetched struct {
	row    view.Row
	msg    *Message
	header []byte // of the top-level message, once read
}

// fetchExtension is FETCH and UID FETCH, RFC 9051 §6.4.5 and §6.4.9, with the items of RFC 3501 too.
func fetchExtension() extension {
	return extension{
		commands: map[string]command{
			"FETCH": {states: selected, silent: true, parse: func(p *parser) runner { return parseFetch(p, false) }},
		},
		uid:   map[string]command{"FETCH": {states: selected, parse: func(p *parser) runner { return parseFetch(p, true) }}},
		fetch: fetchItems(),
	}
}

type fetchCommand struct {
	set      numbers
	uid      bool
	items    []fetchAttr
	want     Want
	seen     bool
	flags    bool // FLAGS is among the items
	modseq   bool // MODSEQ is
	changed  bool // CHANGEDSINCE since, RFC 7162 §3.1.4
	since    uint64
	vanished bool // VANISHED, RFC 7162 §3.2.6
	partial  partialRange
}

func parseFetch(p *parser, uid bool) runner {
	f := &fetchCommand{uid: uid}
	p.sp()
	f.set = p.numbers()
	p.sp()
	if p.peek() == '(' {
		p.list(func() { f.item(p) })
		if p.err == nil && len(f.items) == 0 {
			p.fail("FETCH without items")
		}
	} else if !f.macro(p) {
		f.item(p)
	}
	p.modifiers(func(name string) { f.modifier(p, name) })
	if f.vanished && (!uid || !f.changed) {
		p.fail("VANISHED belongs to UID FETCH with CHANGEDSINCE")
	}
	if f.changed && !f.modseq && p.err == nil {
		f.add(p.tables.fetch["MODSEQ"](p)) // RFC 7162 §3.1.4.1: it is told without being asked for
	}
	// RFC 9051 §6.4.9: UID FETCH always tells the UID.
	if uid && !f.has("UID") && p.err == nil {
		f.add(p.tables.fetch["UID"](p))
	}
	return f
}

func (f *fetchCommand) has(name string) bool {
	for _, a := range f.items {
		if a.name == name {
			return true
		}
	}
	return false
}

func (f *fetchCommand) add(a fetchAttr) {
	f.items = append(f.items, a)
	f.want |= a.want
	f.seen = f.seen || a.seen
	f.flags = f.flags || a.name == "FLAGS"
	f.modseq = f.modseq || a.condstore
}

// macro takes ALL, FAST or FULL, RFC 9051 §6.4.5. They stand alone.
func (f *fetchCommand) macro(p *parser) bool {
	for _, m := range []struct {
		name  string
		items []string
	}{
		{"ALL", []string{"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"}},
		{"FAST", []string{"FLAGS", "INTERNALDATE", "RFC822.SIZE"}},
		{"FULL", []string{"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"}},
	} {
		if p.eatWord(m.name) {
			for _, name := range m.items {
				f.add(p.tables.fetch[name](p))
			}
			return true
		}
	}
	return false
}

func (f *fetchCommand) item(p *parser) {
	name := strings.ToUpper(p.span(func(c byte) bool { return atomChar(c) && c != '[' && c != '<' }))
	item := p.tables.fetch[name]
	if item == nil {
		p.fail("Unknown FETCH item %q", name)
		return
	}
	if len(f.items) == maxFetchItems {
		p.fail("Too many FETCH items")
		return
	}
	a := item(p)
	if !f.has(a.name) || strings.HasPrefix(a.name, "BODY[") {
		f.add(a)
	}
}

func (f *fetchCommand) run(ctx context.Context, c *conn) (done, error) {
	spans, err := c.sel.resolve(f.set, f.uid)
	if err == nil {
		spans, err = f.narrow(ctx, c, spans)
	}
	if err != nil {
		return done{}, err
	}
	b := &fetchBatch{rows: make([]view.Row, 0, min(MaxBatch, spans.Len()))}
	gone := false
	for _, sp := range spans {
		for sp.From < sp.To {
			sh := c.sel.shared
			sh.mu.Lock()
			b.rows, sp = c.sel.view.Rows(sh.mailbox, sp, b.rows[:0])
			sh.mu.Unlock()
			g, err := f.batch(ctx, c, b)
			gone = gone || g
			if err != nil {
				return done{}, err
			}
		}
	}
	if b.damaged {
		// RFC 5530 §3. The others were shown: one damaged record does not hide its neighbours.
		return done{}, no("CORRUPTION", "Some of the messages are damaged on the server and cannot be shown")
	}
	if gone && !f.uid {
		// RFC 2180 §4.1.2: what is gone cannot be shown, and may not be announced as expunged now.
		return done{}, no("EXPUNGEISSUED", "Some of the messages no longer exist")
	}
	return done{}, nil
}

// fetchBatch is the memory of one FETCH, used again for each batch.
type fetchBatch struct {
	rows []view.Row
	uids []uint32
	cur  fetched

	damaged bool // some message could not be read
}

// batch writes the responses for some messages. gone: some of them exist no more.
func (f *fetchCommand) batch(ctx context.Context, c *conn, b *fetchBatch) (gone bool, err error) {
	changed, err := f.markSeen(ctx, c, b)
	if err != nil {
		return false, err
	}
	show := func(row *view.Row, msg *Message) error {
		b.cur = fetched{row: *row, msg: msg}
		return f.write(c, &b.cur, changed[row.UID])
	}
	b.uids = b.uids[:0]
	for i := range b.rows {
		switch row := &b.rows[i]; {
		case row.Gone:
			gone = true
		case f.want != 0:
			b.uids = append(b.uids, row.UID)
		default:
			if err := show(row, nil); err != nil {
				return gone, err
			}
		}
	}
	i, shown := 0, 0
	if len(b.uids) == 0 {
		return gone, nil
	}
	err = c.sel.mailbox.Messages(ctx, b.uids, f.want, func(msg *Message) error {
		for b.rows[i].UID != msg.UID {
			i++
		}
		if shown++; msg.Damaged {
			b.damaged = true
			return nil
		}
		return show(&b.rows[i], msg)
	})
	return gone || shown < len(b.uids), err
}

// markSeen sets \Seen where the items ask for it and it is not set (RFC 9051 §6.4.5), and returns for which messages.
func (f *fetchCommand) markSeen(ctx context.Context, c *conn, b *fetchBatch) (map[uint32]bool, error) {
	if !f.seen || c.sel.readOnly {
		return nil, nil
	}
	b.uids = b.uids[:0]
	for i := range b.rows {
		if r := &b.rows[i]; !r.Gone && r.Flags.System&view.Seen == 0 {
			b.uids = append(b.uids, r.UID)
		}
	}
	if len(b.uids) == 0 {
		return nil, nil
	}
	res, err := c.sel.mailbox.Store(ctx, b.uids, StoreChange{Op: StoreAdd, Flags: view.Flags{System: view.Seen}})
	if err != nil {
		return nil, err
	}
	c.sel.view.Own(res.ModSeqs...)
	changed := make(map[uint32]bool, len(b.uids))
	for _, uid := range b.uids {
		changed[uid] = true
	}
	c.sel.refresh(b.rows)
	return changed, nil
}

// refresh reads the rows again.
func (s *selection) refresh(rows []view.Row) {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	for i := range rows {
		seq := rows[i].Seq
		row, ok := s.shared.mailbox.Get(rows[i].UID)
		row.Seq, row.Gone = seq, !ok
		rows[i] = row
	}
}

// resolve makes spans of a sequence set.
func (s *selection) resolve(set numbers, uid bool) (view.Spans, error) {
	if set.saved {
		return s.view.ByUID(s.saved), nil // RFC 5182 §2.1: what has been expunged since is left out
	}
	if uid {
		return s.view.ByUID(set.set), nil
	}
	spans, ok := s.view.BySeq(set.set)
	if !ok {
		return nil, bad("No such message sequence number")
	}
	return spans, nil
}

// write writes one FETCH response.
func (f *fetchCommand) write(c *conn, m *fetched, changed bool) error {
	for i := range f.items {
		if check := f.items[i].check; check != nil {
			if err := check(m); err != nil {
				return err
			}
		}
	}
	c.out.str("* ")
	c.out.num(uint64(m.row.Seq))
	c.out.str(" FETCH (")
	for i := range f.items {
		if i > 0 {
			c.out.WriteByte(' ')
		}
		c.out.str(f.items[i].name, " ")
		if err := f.items[i].write(c, m); err != nil {
			// The response cannot be completed: only the end of the connection keeps the client from misreading it.
			c.log.Error("imap: message cannot be read", "uid", m.row.UID, "item", f.items[i].name, "err", err)
			_ = c.flush()
			return errClose
		}
	}
	if changed && c.out.vanished && !f.has("UID") { // RFC 7162 §3.2.4: what tells a change has the UID
		c.out.str(" UID ", decimal(m.row.UID))
	}
	if changed && !f.flags {
		c.out.str(" FLAGS (", m.row.Text, ")")
	}
	if changed && c.out.modseq && !f.modseq {
		c.out.str(" MODSEQ ")
		c.out.modSeqValue(m.row.ModSeq)
	}
	c.out.str(")\r\n")
	return nil
}
