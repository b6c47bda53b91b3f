package view

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The model: the truth is a plain list; each client is a plain list built only from what the responses say. Random
// commands of four sessions run over one mailbox. Held to:
//   - a sequence number never means another message than the one the client thinks of,
//   - no EXPUNGE at a time that forbids it,
//   - after a NOOP each client knows exactly the truth, flags too.

type truth struct {
	list   []Message
	next   uint32
	modseq uint64
}

func (tr *truth) find(uid uint32) *Message {
	for i := range tr.list {
		if tr.list[i].UID == uid {
			return &tr.list[i]
		}
	}
	return nil
}

// client knows a message by its UID and flags; UID 0: told by EXISTS but never fetched.
type client struct {
	view *Session
	list []Message
}

// tell applies responses as RFC 9051 §7 has a client do it.
func (c *client) tell(t *rapid.T, u Updates, allowed bool) {
	if len(u.Expunged) > 0 && !allowed {
		t.Fatalf("EXPUNGE %v at a forbidden time", u.Expunged)
	}
	for i, seq := range u.Expunged {
		if seq < 1 || int(seq) > len(c.list) {
			t.Fatalf("EXPUNGE %d with %d messages", seq, len(c.list))
		}
		if known := c.list[seq-1].UID; known != 0 && known != u.UIDs[i] {
			t.Fatalf("EXPUNGE %d: the client has UID %d there, the server means %d", seq, known, u.UIDs[i])
		}
		c.list = slices.Delete(c.list, int(seq)-1, int(seq))
	}
	if u.Exists >= 0 {
		if u.Exists <= len(c.list) {
			t.Fatalf("EXISTS %d with %d messages", u.Exists, len(c.list))
		}
		c.list = append(c.list, make([]Message, u.Exists-len(c.list))...)
	}
	for _, r := range u.Flags {
		c.row(t, r)
	}
}

// row is an untagged FETCH with UID and FLAGS.
func (c *client) row(t *rapid.T, r Row) {
	if r.Seq < 1 || int(r.Seq) > len(c.list) {
		t.Fatalf("FETCH %d with %d messages", r.Seq, len(c.list))
	}
	m := &c.list[r.Seq-1]
	if m.UID != 0 && m.UID != r.UID {
		t.Fatalf("sequence number %d was UID %d, now is %d", r.Seq, m.UID, r.UID)
	}
	m.UID = r.UID
	if !r.Gone {
		m.Flags = r.Flags
	}
}

// fetch is FETCH (UID FLAGS) of a span, in pieces.
func (c *client) fetch(t *rapid.T, m *Mailbox, spans Spans) {
	for _, sp := range spans {
		for sp.From < sp.To {
			var rows []Row
			rows, sp = c.view.Rows(m, sp, make([]Row, 0, 3))
			for _, r := range rows {
				c.row(t, r)
			}
		}
	}
}

type world struct {
	truth   truth
	mailbox *Mailbox
	clients []*client
}

func (w *world) commit(ev Event) { w.mailbox.Apply(ev) }

// draw picks some messages that the client knows of.
func (w *world) draw(t *rapid.T, c *client) Spans {
	n := c.view.Exists()
	if n == 0 {
		return nil
	}
	a := rapid.IntRange(1, n).Draw(t, "from")
	b := rapid.IntRange(1, n).Draw(t, "to")
	sp, ok := c.view.BySeq(Set{{uint32(a), uint32(b)}})
	if !ok {
		t.Fatalf("%d:%d refused with %d messages", a, b, n)
	}
	if len(c.list) != n {
		t.Fatalf("the server believes that the client has %d messages; it has %d", n, len(c.list))
	}
	return sp
}

func (w *world) store(t *rapid.T, c *client, silent bool) {
	spans := w.draw(t, c)
	flags := Flags{System: System(rapid.IntRange(0, 31).Draw(t, "flags"))}
	if rapid.Bool().Draw(t, "keyword") {
		flags.Keywords = fmt.Sprintf("k%d", rapid.IntRange(0, 3).Draw(t, "k"))
	}
	w.truth.modseq++
	ev := Event{ModSeq: w.truth.modseq}
	for _, sp := range spans {
		for i := sp.From; i < sp.To; i++ {
			uid := c.view.UID(uint32(i) + 1)
			if known := c.list[i].UID; known != 0 && known != uid {
				t.Fatalf("STORE %d would change UID %d, the client means %d", i+1, uid, known)
			}
			if m := w.truth.find(uid); m != nil {
				m.Flags, m.ModSeq = flags, ev.ModSeq
				ev.Messages = append(ev.Messages, *m)
			}
			c.list[i].Flags = flags // what the client now believes, answered or not
		}
	}
	c.view.Own(ev.ModSeq)
	w.commit(ev)
	if !silent {
		c.fetch(t, w.mailbox, spans)
	}
	w.sync(t, c, false)
}

// sync tells the client all that there is, in as many pieces as it takes.
func (w *world) sync(t *rapid.T, c *client, expunge bool) {
	for more := true; more; {
		u := c.view.Sync(w.mailbox, expunge)
		c.tell(t, u, expunge)
		more = u.More
	}
}

func (w *world) expunge(t *rapid.T, c *client) {
	w.truth.modseq++
	ev := Event{ModSeq: w.truth.modseq}
	for _, sp := range w.draw(t, c) {
		for i := sp.From; i < sp.To; i++ {
			if m := w.truth.find(c.view.UID(uint32(i) + 1)); m != nil {
				ev.Expunged = append(ev.Expunged, m.UID)
			}
		}
	}
	w.truth.list = slices.DeleteFunc(w.truth.list, func(m Message) bool { return slices.Contains(ev.Expunged, m.UID) })
	w.commit(ev)
	w.sync(t, c, true)
}

func (w *world) deliver(t *rapid.T) {
	w.truth.modseq++
	ev := Event{ModSeq: w.truth.modseq}
	w.truth.next += uint32(rapid.IntRange(0, 2).Draw(t, "gap"))
	for range rapid.IntRange(1, 4).Draw(t, "messages") {
		m := Message{UID: w.truth.next, Flags: Flags{System: Flagged}, ModSeq: ev.ModSeq}
		w.truth.next++
		w.truth.list = append(w.truth.list, m)
		ev.Messages = append(ev.Messages, m)
	}
	w.commit(ev)
	if rapid.Bool().Draw(t, "fed twice") {
		w.commit(ev)
	}
}

// noop is NOOP, then a FETCH of all: the client must know the truth, and must have known the flags of what it had seen
// before without asking.
func (w *world) noop(t *rapid.T, c *client) {
	w.sync(t, c, true)
	if len(c.list) != len(w.truth.list) || c.view.Exists() != len(c.list) {
		t.Fatalf("the client has %d messages, the view %d, the truth %d", len(c.list), c.view.Exists(), len(w.truth.list))
	}
	for i, m := range w.truth.list {
		if k := c.list[i]; k.UID != 0 && (k.UID != m.UID || k.Flags != m.Flags) {
			t.Fatalf("sequence number %d: the client has UID %d (%v), the truth is %d (%v)", i+1, k.UID, k.Flags, m.UID, m.Flags)
		}
	}
	c.fetch(t, w.mailbox, c.view.All())
	for i, m := range w.truth.list {
		if k := c.list[i]; k.UID != m.UID || k.Flags != m.Flags {
			t.Fatalf("fetched %d: UID %d (%v), the truth is %d (%v)", i+1, k.UID, k.Flags, m.UID, m.Flags)
		}
	}
	if u := c.view.Sync(w.mailbox, true); !u.Empty() {
		t.Fatalf("a second NOOP has news: %+v", u)
	}
}

func TestSessionsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{truth: truth{next: 1, modseq: 1}, mailbox: NewMailbox(0)}
		w.mailbox.logLimit = rapid.SampledFrom([]int{2, 6, logLimit}).Draw(t, "log limit")
		atOnce := rapid.SampledFrom([]int{1, 2, tellAtOnce}).Draw(t, "at once")
		for range 4 {
			c := &client{view: NewSession(w.mailbox)}
			c.view.atOnce = atOnce
			w.clients = append(w.clients, c)
		}
		pick := func(t *rapid.T) *client { return rapid.SampledFrom(w.clients).Draw(t, "client") }
		t.Repeat(map[string]func(*rapid.T){
			"deliver": w.deliver,
			"store":   func(t *rapid.T) { w.store(t, pick(t), false) },
			"silent":  func(t *rapid.T) { w.store(t, pick(t), true) },
			"expunge": func(t *rapid.T) { w.expunge(t, pick(t)) },
			"fetch": func(t *rapid.T) {
				c := pick(t)
				c.fetch(t, w.mailbox, w.draw(t, c))
				w.sync(t, c, false)
			},
			"noop": func(t *rapid.T) { w.noop(t, pick(t)) },
			"select again": func(t *rapid.T) {
				c := pick(t)
				c.view, c.list = NewSession(w.mailbox), make([]Message, len(w.truth.list))
			},
		})
		for _, c := range w.clients {
			w.noop(t, c)
		}
	})
}

func TestOwnSilentStoreIsNotEchoed(t *testing.T) {
	m := NewMailbox(1)
	m.Add(Message{UID: 1, ModSeq: 1})
	a, b := NewSession(m), NewSession(m)
	a.Own(2)
	m.Apply(Event{ModSeq: 2, Messages: []Message{{UID: 1, Flags: Flags{System: Seen}}}})
	if u := a.Sync(m, true); !u.Empty() {
		t.Errorf("echoed: %+v", u)
	}
	if u := b.Sync(m, true); len(u.Flags) != 1 || u.Flags[0].Text != `\Seen` {
		t.Errorf("the other session was told %+v", u)
	}
	// A change by someone else after one's own is told.
	a.Own(3)
	m.Apply(Event{ModSeq: 3, Messages: []Message{{UID: 1, Flags: Flags{System: Draft}}}})
	m.Apply(Event{ModSeq: 4, Messages: []Message{{UID: 1, Flags: Flags{System: Draft | Seen}}}})
	if u := a.Sync(m, true); len(u.Flags) != 1 || u.Flags[0].Flags.System != Draft|Seen {
		t.Errorf("told %+v", u)
	}
}

// A large STORE of one's own pushed somebody else's change out of the log and hid it: the client never heard of it.
func TestOwnLargeStoreHidesNoOther(t *testing.T) {
	m := NewMailbox(10)
	m.logLimit = 6
	for uid := range uint32(10) {
		m.Add(Message{UID: uid + 1, ModSeq: 1})
	}
	s := NewSession(m)
	store := func(modseq uint64, add System) {
		ev := Event{ModSeq: modseq}
		for uid := range uint32(10) {
			row, _ := m.Get(uid + 1)
			ev.Messages = append(ev.Messages, Message{UID: uid + 1, Flags: Flags{System: row.Flags.System | add}, ModSeq: modseq})
		}
		m.Apply(ev)
	}
	m.Apply(Event{ModSeq: 2, Messages: []Message{{UID: 7, Flags: Flags{System: Flagged}, ModSeq: 2}}})
	s.Own(3)
	store(3, Seen)
	if u := s.Sync(m, true); !slices.ContainsFunc(u.Flags, func(r Row) bool { return r.UID == 7 && r.Flags.System == Flagged|Seen }) {
		t.Errorf("told %+v", u)
	}
	s.Own(4)
	store(4, Draft)
	if u := s.Sync(m, true); !u.Empty() {
		t.Errorf("echoed: %+v", u)
	}
}

// Each STORE of a new keyword left its combination in memory, and made the FLAGS response longer, for ever.
func TestInventedKeywordsAreBounded(t *testing.T) {
	m := NewMailbox(2)
	m.Add(Message{UID: 1, ModSeq: 1})
	m.Add(Message{UID: 2, Flags: Flags{System: Flagged, Keywords: "stays"}, ModSeq: 1})
	s := NewSession(m)
	told := 0
	for i := range uint64(3200) {
		m.Apply(Event{ModSeq: i + 2, Messages: []Message{{UID: 1, Flags: Flags{Keywords: fmt.Sprintf("k%d", i)}}}})
		if u := s.Sync(m, true); len(u.Flags) != 1 || u.Flags[0].Text != fmt.Sprintf("k%d", i) {
			t.Fatalf("%d: %+v", i, u)
		} else if u.Keywords != nil {
			told++
		}
	}
	if row, _ := m.Get(2); row.Text != `\Flagged stays` || !row.Flags.HasKeyword("stays") {
		t.Errorf("%+v", row)
	}
	if len(m.table.list) > 2+spareCombinations || len(m.table.ids) != len(m.table.list) || len(m.Keywords()) != maxWords || told != maxWords-1 {
		t.Errorf("%d combinations, %d keywords, told %d times", len(m.table.list), len(m.Keywords()), told)
	}
}

func TestFetchOfExpungedIsMarked(t *testing.T) {
	m := NewMailbox(2)
	m.Add(Message{UID: 5, ModSeq: 1})
	m.Add(Message{UID: 6, ModSeq: 1})
	s := NewSession(m)
	m.Apply(Event{ModSeq: 2, Expunged: []uint32{5}})
	rows, _ := s.Rows(m, Span{0, 2}, make([]Row, 0, 2))
	if !rows[0].Gone || rows[1].Gone || rows[1].UID != 6 || rows[1].Seq != 2 {
		t.Fatalf("%+v", rows)
	}
}

func BenchmarkRows100k(b *testing.B) {
	m := NewMailbox(100000)
	for i := range uint32(100000) {
		m.Add(Message{UID: i + 1 + i/3, Flags: Flags{System: System(i % 3)}, ModSeq: 1})
	}
	s := NewSession(m)
	buf := make([]Row, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		for sp := (Span{0, 100000}); sp.From < sp.To; {
			_, sp = s.Rows(m, sp, buf[:0])
		}
	}
}

func BenchmarkExpungeHalf(b *testing.B) {
	for b.Loop() {
		m := NewMailbox(100000)
		var gone []uint32
		for i := range uint32(100000) {
			m.Add(Message{UID: i + 1, ModSeq: 1})
			if i%2 == 0 {
				gone = append(gone, i+1)
			}
		}
		s := NewSession(m)
		m.Apply(Event{ModSeq: 2, Expunged: gone})
		if u := s.Sync(m, true); len(u.Expunged) != 50000 {
			b.Fatal(len(u.Expunged))
		}
	}
}
