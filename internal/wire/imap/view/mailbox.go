package view

import "slices"

// Message is one message as the feed tells it.
type Message struct {
	UID    uint32
	Flags  Flags
	ModSeq uint64 // RFC 7162; rises with every change of the mailbox; 0 is not used
}

// Event is one committed change of a mailbox.
type Event struct {
	// ModSeq is the modification sequence of the change. No two calls that change a mailbox share one, so it also names the
	// call (a large one has several): a session recognises the events that it caused itself.
	ModSeq uint64
	// Messages are new (their UID is above all that were there before) or have new flags. They ascend by UID.
	Messages []Message
	// Expunged are the UIDs that are gone, ascending.
	Expunged []uint32
	// Gone: the mailbox was deleted, or has a new UIDVALIDITY. Every session that selected it must leave.
	Gone bool
}

// logLimit is how many changed messages the log of a Mailbox remembers. A session that is further behind compares its
// whole view instead, which costs a pass over the mailbox.
const logLimit = 2048

// Mailbox is the state of a mailbox as its feed tells it, shared by the sessions that selected it. Load it with Add, then
// keep it current with Apply; events that the load already contained are harmless, provided that events come in the order
// of their commits.
type Mailbox struct {
	uids     UIDs
	flags    []uint32 // parallel to uids: number in table
	modseqs  []uint64 // parallel to uids
	table    table
	log      []logEntry // the last changes
	logFirst uint64     // number of log[0]; entries are numbered from 0
	logLimit int        // 2048 but in tests
	shed     []uint64   // modification sequences of flag changes that fell out of the log, ascending, the last shedLimit
	shedTo   uint64     // the highest that fell out of shed
	next     uint32     // UIDNEXT
	modseq   uint64     // highest seen
	gone     bool
}

type logEntry struct {
	uid      uint32
	expunged bool
	modseq   uint64
}

// NewMailbox makes an empty mailbox that expects about n messages.
func NewMailbox(n int) *Mailbox {
	return &Mailbox{flags: make([]uint32, 0, n), modseqs: make([]uint64, 0, n), next: 1, logLimit: logLimit}
}

// Add loads one message, in ascending order of UIDs, before any session begins. Keywords need not be canonical nor outlive
// the call.
func (m *Mailbox) Add(msg Message) {
	if msg.UID < m.next {
		return
	}
	m.uids.Append(msg.UID, msg.UID)
	m.flags = append(m.flags, m.table.id(msg.Flags))
	m.modseqs = append(m.modseqs, msg.ModSeq)
	m.next = msg.UID + 1
	m.modseq = max(m.modseq, msg.ModSeq)
}

// Loaded tells what Add cannot: the UIDNEXT and highest modification sequence of the snapshot.
func (m *Mailbox) Loaded(uidNext uint32, modseq uint64) {
	m.next, m.modseq = max(m.next, uidNext), max(m.modseq, modseq)
}

// Len is the number of messages.
func (m *Mailbox) Len() int { return m.uids.Len() }

// UIDNext is the least UID that a new message can get, as far as the feed tells.
func (m *Mailbox) UIDNext() uint32 { return m.next }

// HighestModSeq is the highest modification sequence seen, at least 1 (RFC 7162 §3.1.2.1).
func (m *Mailbox) HighestModSeq() uint64 { return max(m.modseq, 1) }

// Gone tells whether the mailbox no longer exists.
func (m *Mailbox) Gone() bool { return m.gone }

// Keywords lists the keywords that were seen in this mailbox.
func (m *Mailbox) Keywords() []string { return m.table.keywords() }

// KeywordCount is len(Keywords()), at no cost. It only rises.
func (m *Mailbox) KeywordCount() int { return len(m.table.words) }

// Get returns a message's flags and modification sequence; false: it is not there (any more).
func (m *Mailbox) Get(uid uint32) (Row, bool) {
	i, ok := m.uids.Index(uid)
	if !ok {
		return Row{UID: uid}, false
	}
	c := &m.table.list[m.flags[i]]
	return Row{UID: uid, Flags: c.flags, Text: c.text, ModSeq: m.modseqs[i]}, true
}

// Row is a message as a session shows it.
type Row struct {
	Seq    uint32 // the session's message sequence number; 0 from Mailbox.Get
	UID    uint32
	Flags  Flags
	Text   string // Flags as IMAP writes them, without the parentheses
	ModSeq uint64
	Gone   bool // expunged, though the session's client does not know it yet; nothing but Seq and UID is set
}

// FirstUnseen returns the index of the first message without \Seen, or false.
func (m *Mailbox) FirstUnseen() (int, bool) {
	unseen := make([]bool, len(m.table.list))
	any := false
	for id, c := range m.table.list {
		unseen[id] = c.flags.System&Seen == 0
		any = any || unseen[id]
	}
	if !any {
		return 0, false
	}
	for i, id := range m.flags {
		if unseen[id] {
			return i, true
		}
	}
	return 0, false
}

// Apply takes in a change.
func (m *Mailbox) Apply(ev Event) {
	m.gone = m.gone || ev.Gone
	for _, msg := range ev.Messages {
		if msg.ModSeq == 0 {
			msg.ModSeq = ev.ModSeq
		}
		if msg.UID >= m.next {
			m.Add(msg)
			continue
		}
		// An older event than what we have, or one about a message that is gone, tells nothing new.
		if i, ok := m.uids.Index(msg.UID); ok && msg.ModSeq > m.modseqs[i] {
			m.flags[i], m.modseqs[i] = m.table.id(msg.Flags), msg.ModSeq
			m.remember(logEntry{uid: msg.UID, modseq: msg.ModSeq})
		}
	}
	m.expunge(ev.Expunged, ev.ModSeq)
	if len(m.table.list) > len(m.flags)+spareCombinations {
		m.tidy()
	}
	m.modseq = max(m.modseq, ev.ModSeq)
}

// tidy numbers the combinations of flags anew, those that are in use: a pass over the mailbox, once in as many new ones.
func (m *Mailbox) tidy() {
	old := m.table
	m.table = table{ids: map[Flags]uint32{}, words: old.words}
	for i, id := range m.flags {
		m.flags[i] = m.table.id(old.list[id].flags)
	}
}

// expunge takes out messages: what stands behind them moves down, in as many pieces as there are messages.
func (m *Mailbox) expunge(gone []uint32, modseq uint64) {
	var holes []int
	for _, uid := range gone {
		if i, ok := m.uids.Index(uid); ok && (len(holes) == 0 || holes[len(holes)-1] != i) {
			holes = append(holes, i)
			m.remember(logEntry{uid: uid, expunged: true, modseq: modseq})
		}
	}
	if len(holes) == 0 {
		return
	}
	out := holes[0]
	for k, i := range holes {
		end := len(m.flags)
		if k+1 < len(holes) {
			end = holes[k+1]
		}
		copy(m.flags[out:], m.flags[i+1:end])
		out += copy(m.modseqs[out:], m.modseqs[i+1:end])
	}
	m.flags, m.modseqs = m.flags[:out], m.modseqs[:out]
	if out < cap(m.flags)/2 { // many are gone: their memory too
		m.flags, m.modseqs = slices.Clone(m.flags), slices.Clone(m.modseqs)
	}
	m.uids.Remove(gone)
}

func (m *Mailbox) remember(e logEntry) {
	if len(m.log) >= m.logLimit {
		// Half is dropped at once, so that the copying is paid once in logLimit/2 entries.
		half := m.logLimit / 2
		m.drop(m.log[:half])
		m.log = m.log[:copy(m.log, m.log[half:])]
		m.logFirst += uint64(half)
	}
	m.log = append(m.log, e)
}

// shedLimit bounds Mailbox.shed. One STORE of a million messages is 500 of them.
const shedLimit = 1024

// drop notes which changes of flags are no longer in the log.
func (m *Mailbox) drop(log []logEntry) {
	for _, e := range log {
		if n := len(m.shed); e.expunged || n > 0 && m.shed[n-1] == e.modseq {
			continue
		}
		if len(m.shed) == shedLimit {
			m.shedTo = m.shed[0]
			m.shed = m.shed[:copy(m.shed, m.shed[1:])]
		}
		m.shed = append(m.shed, e.modseq)
	}
}

// othersSince tells whether flags were changed after a modification sequence by any change but own.
func (m *Mailbox) othersSince(since uint64, own []uint64) bool {
	if m.shedTo > since {
		return true
	}
	for _, modseq := range m.shed {
		if modseq > since && !contains(own, modseq) {
			return true
		}
	}
	return slices.ContainsFunc(m.log, func(e logEntry) bool {
		return !e.expunged && e.modseq > since && !contains(own, e.modseq)
	})
}

// logEnd is the number of the entry that will come next.
func (m *Mailbox) logEnd() uint64 { return m.logFirst + uint64(len(m.log)) }
