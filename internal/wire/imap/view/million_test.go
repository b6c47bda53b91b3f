package view

import "testing"

const million = 1_000_000

// gaps: a mailbox of a million messages, of which every seventh was expunged: 170,000 runs.
func gaps() *Mailbox {
	m := NewMailbox(million)
	for uid := uint32(1); m.Len() < million; uid++ {
		if uid%7 != 0 {
			m.Add(Message{UID: uid, ModSeq: uint64(uid)})
		}
	}
	return m
}

// BenchmarkMillion is what one small command costs in a mailbox of a million messages: the change comes by the feed, and ten
// sessions are told.
func BenchmarkMillion(b *testing.B) {
	for name, change := range map[string]func(m *Mailbox, n int){
		"STORE": func(m *Mailbox, n int) {
			m.Apply(Event{ModSeq: m.modseq + 1, Messages: []Message{{UID: m.uids.At(n), Flags: Flags{System: Seen}}}})
		},
		"EXPUNGE": func(m *Mailbox, n int) { m.Apply(Event{ModSeq: m.modseq + 1, Expunged: []uint32{m.uids.At(n)}}) },
		"APPEND":  func(m *Mailbox, _ int) { m.Apply(Event{ModSeq: m.modseq + 1, Messages: []Message{{UID: m.next}}}) },
		"both": func(m *Mailbox, n int) {
			m.Apply(Event{ModSeq: m.modseq + 1, Messages: []Message{{UID: m.next}}, Expunged: []uint32{m.uids.At(n)}})
		},
	} {
		b.Run(name, func(b *testing.B) {
			m := gaps()
			var sessions []*Session
			for range 10 {
				sessions = append(sessions, NewSession(m))
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				change(m, n*7919%(m.Len()/2))
				n++
				for _, s := range sessions {
					s.Sync(m, true)
				}
			}
		})
	}
}
