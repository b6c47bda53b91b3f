package view

import "slices"

// Range is one element of a sequence set (RFC 9051 §9, seq-range): the numbers between its ends, in either order. An end
// of 0 is "*", the largest number in use.
type Range struct{ First, Last uint32 }

// Set is a sequence set as the client wrote it.
type Set []Range

// Span is the indexes From ≤ i < To of a session's messages.
type Span struct{ From, To int }

// Spans is a list of spans, ascending and without overlap.
type Spans []Span

// Len is the number of messages.
func (sp Spans) Len() int {
	n := 0
	for _, s := range sp {
		n += s.To - s.From
	}
	return n
}

// Has tells whether index i is in one of the spans.
func (sp Spans) Has(i int) bool {
	_, ok := slices.BinarySearchFunc(sp, i, func(s Span, i int) int {
		switch {
		case s.To <= i:
			return -1
		case s.From > i:
			return 1
		}
		return 0
	})
	return ok
}

// BySeq resolves a set of sequence numbers. It returns false when the set names a number above Exists, which is an error
// of the client's (RFC 9051 §9, seq-number), or "*" in an empty mailbox.
func (s *Session) BySeq(set Set) (Spans, bool) {
	out := make(Spans, 0, len(set))
	n := uint32(s.uids.Len())
	for _, r := range set {
		lo, hi := r.ends(n)
		if lo == 0 || hi > n {
			return nil, false
		}
		out = append(out, Span{int(lo) - 1, int(hi)})
	}
	return out.normal(), true
}

// InSeq is BySeq for who asks which messages there are, as SEARCH does: numbers above Exists, and "*" in an empty mailbox,
// name none.
func (s *Session) InSeq(set Set) Spans {
	out := make(Spans, 0, len(set))
	n := uint32(s.uids.Len())
	for _, r := range set {
		if lo, hi := r.ends(n); lo <= n && hi > 0 {
			out = append(out, Span{int(max(lo, 1)) - 1, int(min(hi, n))})
		}
	}
	return out.normal()
}

// ByUID resolves a set of UIDs; those that do not exist are silently left out (RFC 9051 §6.4.9). "*" is the highest UID
// known to the client, so that "4000:*" names at least the last message.
func (s *Session) ByUID(set Set) Spans {
	out := make(Spans, 0, len(set))
	for _, r := range set {
		lo, hi := r.ends(s.MaxUID())
		from, _ := s.uids.Index(lo)
		to, ok := s.uids.Index(hi)
		if ok {
			to++
		}
		if from < to {
			out = append(out, Span{from, to})
		}
	}
	return out.normal()
}

// All is every message of the session.
func (s *Session) All() Spans {
	if s.uids.Len() == 0 {
		return nil
	}
	return Spans{{0, s.uids.Len()}}
}

// ends orders the ends of a range and puts star for "*".
func (r Range) ends(star uint32) (lo, hi uint32) {
	lo, hi = r.First, r.Last
	if lo == 0 {
		lo = star
	}
	if hi == 0 {
		hi = star
	}
	return min(lo, hi), max(lo, hi)
}

// normal sorts and joins spans.
func (sp Spans) normal() Spans {
	if len(sp) < 2 {
		return sp
	}
	slices.SortFunc(sp, func(a, b Span) int { return a.From - b.From })
	out := sp[:1]
	for _, s := range sp[1:] {
		if last := &out[len(out)-1]; s.From <= last.To {
			last.To = max(last.To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}
