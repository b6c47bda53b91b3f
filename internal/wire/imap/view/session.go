package view

import (
	"slices"
)

// Session is one client's view of a mailbox: exactly what the responses sent so far let it conclude.
type Session struct {
	uids    UIDs     // index+1 is the sequence number
	pending []uint32 // UIDs in uids that are gone from the mailbox and not yet reported, ascending
	pos     uint64   // number of the next log entry to look at
	modseq  uint64   // the mailbox's highest at the last Sync
	own     []uint64 // modification sequences of this session's own changes since the last Sync, ascending
	words   int      // number of keywords told
	changed []uint32 // UIDs whose new flags the client has yet to be told, ascending
	atOnce  int      // how many of them one Sync tells: 512 but in tests
}

// tellAtOnce bounds the rows that one Sync gathers, and so the time for which it keeps the Mailbox: somebody may change the
// flags of a million messages.
const tellAtOnce = 512

// NewSession begins a view that knows all of m: SELECT tells the client EXISTS and FLAGS.
func NewSession(m *Mailbox) *Session {
	return &Session{uids: m.uids.Clone(), pos: m.logEnd(), modseq: m.modseq, words: m.KeywordCount(), atOnce: tellAtOnce}
}

// Exists is the number of messages that the client knows of, the pending expunges among them.
func (s *Session) Exists() int { return s.uids.Len() }

// UID returns the UID of the message with that sequence number, which must be in [1, Exists].
func (s *Session) UID(seq uint32) uint32 { return s.uids.At(int(seq) - 1) }

// Seq returns the sequence number of a message that the client knows, or false.
func (s *Session) Seq(uid uint32) (uint32, bool) {
	i, ok := s.uids.Index(uid)
	return uint32(i) + 1, ok
}

// MaxUID is the highest UID that the client knows, 0 in an empty mailbox.
func (s *Session) MaxUID() uint32 { return s.uids.Last() }

// Pending is the number of expunges that the client has not been told.
func (s *Session) Pending() int { return len(s.pending) }

// Own says that the changes with these modification sequences, which ascend from call to call, are the session's own: it has
// answered, or chosen not to answer (.SILENT), for them, and Sync will not repeat their flags.
func (s *Session) Own(modseqs ...uint64) { s.own = append(s.own, modseqs...) }

// contains tells whether an ascending list has a modification sequence.
func contains(list []uint64, modseq uint64) bool {
	_, found := slices.BinarySearch(list, modseq)
	return found
}

// Updates is what the client has to be told, in this order: Expunged, then Exists, then Keywords, then Flags.
type Updates struct {
	Expunged []uint32 // arguments of EXPUNGE in the order to send: each is valid after those before it
	UIDs     []uint32 // the UIDs of Expunged, in the same order
	Exists   int      // argument of EXISTS; negative: nothing to tell
	Keywords []string // all keywords of the mailbox, when there is a new one; else nil
	Flags    []Row    // messages with changed flags, ascending
	More     bool     // there are others: Sync again at once
}

// Empty tells whether there is nothing to tell.
func (u *Updates) Empty() bool {
	return len(u.Expunged) == 0 && u.Exists < 0 && u.Keywords == nil && len(u.Flags) == 0 && !u.More
}

// Sync brings the view up to date with m and returns what the client must be told for it. Expunges are held back unless
// expunge is set: EXPUNGE must not be sent while a command that speaks in sequence numbers is in progress (FETCH, STORE,
// SEARCH), nor when no command is (RFC 3501 §7.4.1, RFC 9051 §7.5.1). New messages and flags may be told at any time.
func (s *Session) Sync(m *Mailbox, expunge bool) Updates {
	u := Updates{Exists: -1}
	s.changed = s.union(s.collect(m))
	if expunge && len(s.pending) > 0 {
		u.Expunged, u.UIDs = make([]uint32, 0, len(s.pending)), make([]uint32, 0, len(s.pending))
		// From the highest down, so that no number is moved by an earlier one.
		for _, uid := range slices.Backward(s.pending) {
			if i, ok := s.uids.Index(uid); ok {
				u.Expunged, u.UIDs = append(u.Expunged, uint32(i)+1), append(u.UIDs, uid)
			}
		}
		s.uids.Remove(s.pending)
		s.pending = nil
	}
	// RFC 9051 §7.4.1. Messages that came and went in between are in neither list and never get a number. A last message
	// whose expunge was just told is no obstacle: UIDs only rise, so new ones are above all this session ever knew.
	if n := s.uids.Len(); m.uids.Len() > 0 {
		s.appendNew(m)
		if s.uids.Len() > n {
			u.Exists = s.uids.Len()
		}
	}
	u.Keywords = s.NewKeywords(m)
	now := s.changed[:min(len(s.changed), s.atOnce)]
	for _, uid := range now {
		row, ok := m.Get(uid)
		if i, known := s.uids.Index(uid); ok && known {
			row.Seq = uint32(i) + 1
			u.Flags = append(u.Flags, row)
		}
	}
	if s.changed = s.changed[len(now):]; len(s.changed) == 0 {
		s.changed = nil
	}
	u.More = s.changed != nil
	s.own = s.own[:0]
	return u
}

// union adds changed, which ascends, to what is still to be told.
func (s *Session) union(changed []uint32) []uint32 {
	if len(s.changed) == 0 || len(changed) == 0 {
		return append(s.changed, changed...)
	}
	all := append(s.changed, changed...)
	slices.Sort(all)
	return slices.Compact(all)
}

// NewKeywords returns all keywords of the mailbox if there is one that the client was not told of, else nil; they count
// as told then.
func (s *Session) NewKeywords(m *Mailbox) []string {
	if m.KeywordCount() == s.words {
		return nil
	}
	s.words = m.KeywordCount()
	return m.Keywords()
}

// appendNew takes up the messages that the client was never told of.
func (s *Session) appendNew(m *Mailbox) {
	if s.uids.Len() == 0 {
		s.uids = m.uids.Clone()
		return
	}
	s.uids.AppendAbove(&m.uids)
}

// collect reads the changes since the last time: expunges go to pending, the UIDs with changed flags are returned,
// ascending.
func (s *Session) collect(m *Mailbox) (changed []uint32) {
	defer func() { s.pos, s.modseq = m.logEnd(), m.modseq }()
	if s.pos < m.logFirst {
		return s.compare(m)
	}
	news := m.log[s.pos-m.logFirst:]
	if len(news) == 0 {
		return nil
	}
	var gone []uint32
	for _, e := range news {
		switch _, known := s.uids.Index(e.uid); {
		case !known:
		case e.expunged:
			gone = append(gone, e.uid)
		case !contains(s.own, e.modseq):
			changed = append(changed, e.uid)
		}
	}
	s.hold(gone)
	slices.Sort(changed)
	return slices.Compact(changed)
}

// compare finds the changes without the log, by a pass over both lists. A message tells only its last change: behind one's
// own there may be somebody else's, so where there were any one's own are told too.
func (s *Session) compare(m *Mailbox) (changed []uint32) {
	var gone []uint32
	others := m.othersSince(s.modseq, s.own)
	at := cursor{list: &m.uids}
	for uid := range s.uids.All() {
		switch i, ok := at.index(uid); {
		case !ok:
			gone = append(gone, uid)
		case m.modseqs[i] > s.modseq && (others || !contains(s.own, m.modseqs[i])):
			changed = append(changed, uid)
		}
	}
	s.hold(gone)
	return changed
}

// hold merges gone into the pending expunges.
func (s *Session) hold(gone []uint32) {
	if len(gone) == 0 {
		return
	}
	s.pending = append(s.pending, gone...)
	slices.Sort(s.pending)
	s.pending = slices.Compact(s.pending)
}

// Rows appends the rows of the span to dst, for as many messages as dst has room (its capacity), and returns the rest of
// the span.
func (s *Session) Rows(m *Mailbox, sp Span, dst []Row) ([]Row, Span) {
	for sp.From < sp.To && len(dst) < cap(dst) {
		uid := s.uids.At(sp.From)
		row, ok := m.Get(uid)
		row.Seq, row.Gone = uint32(sp.From)+1, !ok
		dst = append(dst, row)
		sp.From++
	}
	return dst, sp
}
