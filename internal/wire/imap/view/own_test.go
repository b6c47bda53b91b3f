package view

import "testing"

// A STORE so large that it is more changes than the log has room for is still the session's own.
func TestOwnChangeInManyPieces(t *testing.T) {
	const pieces, each = 500, 20
	m := NewMailbox(0)
	for uid := range uint32(pieces * each) {
		m.Add(Message{UID: uid + 1, ModSeq: 1})
	}
	s, other := NewSession(m), NewSession(m)
	for i := range uint32(pieces) {
		ev := Event{ModSeq: uint64(i) + 2}
		for n := range uint32(each) {
			ev.Messages = append(ev.Messages, Message{UID: i*each + n + 1, Flags: Flags{System: Seen}})
		}
		m.Apply(ev)
		s.Own(ev.ModSeq)
	}
	if u := s.Sync(m, true); !u.Empty() {
		t.Errorf("told %d of its own", len(u.Flags))
	}
	told := 0
	for more := true; more; {
		u := other.Sync(m, true)
		if told += len(u.Flags); len(u.Flags) > tellAtOnce {
			t.Fatalf("told %d at once", len(u.Flags))
		}
		more = u.More
	}
	if told != pieces*each {
		t.Errorf("the other one was told %d", told)
	}
}
