package view

import "slices"

// ModSeq is what HIGHESTMODSEQ may say to this session's client: of every change up to there it has been told, its pending
// expunges aside (RFC 7162 §3.1.2.1; at least 1).
func (s *Session) ModSeq() uint64 { return max(s.modseq, 1) }

// Changed returns those of the spans' messages that changed after a modification sequence and still exist. It costs a
// comparison for each message of the mailbox, in order of memory, and more only for those that changed.
func (s *Session) Changed(m *Mailbox, spans Spans, since uint64) Spans {
	var out Spans
	for i, modseq := range m.modseqs {
		if modseq <= since {
			continue
		}
		index, known := s.uids.Index(m.uids.At(i))
		if !known || !spans.Has(index) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == index {
			out[n-1].To++
		} else {
			out = append(out, Span{index, index + 1})
		}
	}
	return out
}

// HighestOf is the highest modification sequence of the messages at these indexes that still exist, 0 if there is none.
func (s *Session) HighestOf(m *Mailbox, indexes []int) (modseq uint64) {
	for _, index := range indexes {
		if i, ok := m.uids.Index(s.uids.At(index)); ok {
			modseq = max(modseq, m.modseqs[i])
		}
	}
	return modseq
}

// Vanished returns which UIDs of set are among gone (ascending) and not in the session's view: what VANISHED (EARLIER) says
// (RFC 7162 §3.2.10).
func (s *Session) Vanished(gone []uint32, set Set) Set {
	var out Set
	ranges := set.normal(s.MaxUID())
	for _, uid := range gone {
		for len(ranges) > 0 && ranges[0].Last < uid {
			ranges = ranges[1:]
		}
		if len(ranges) == 0 {
			break
		}
		if _, there := s.uids.Index(uid); !there && uid >= ranges[0].First {
			out = out.add(uid, uid)
		}
	}
	return out
}

// Missing returns the UIDs of set below next that are not in the session's view: the same answer where nobody remembers
// any more what was expunged when.
func (s *Session) Missing(set Set, next uint32) Set {
	var out Set
	for _, r := range set.normal(s.MaxUID()) {
		from, last := r.First, min(r.Last, next-1)
		for i, _ := s.uids.Index(from); from <= last && from != 0; i++ {
			uid := last
			there := i < s.uids.Len() && s.uids.At(i) <= last
			if there {
				uid = s.uids.At(i) - 1
			}
			if from <= uid {
				out = out.add(from, uid)
			}
			if !there {
				break
			}
			from = uid + 2
		}
	}
	return out
}

// add appends a range above all others, joined to the last where they touch.
func (set Set) add(first, last uint32) Set {
	if n := len(set); n > 0 && set[n-1].Last+1 == first {
		set[n-1].Last = last
		return set
	}
	return append(set, Range{first, last})
}

// normal orders the ends and the ranges, puts star for "*", and joins what overlaps.
func (set Set) normal(star uint32) Set {
	out := make(Set, 0, len(set))
	for _, r := range set {
		if lo, hi := r.ends(star); hi > 0 {
			out = append(out, Range{max(lo, 1), hi})
		}
	}
	slices.SortFunc(out, func(a, b Range) int {
		if a.First < b.First {
			return -1
		} else if a.First > b.First {
			return 1
		}
		return 0
	})
	joined := out[:0]
	for _, r := range out {
		if n := len(joined); n > 0 && r.First <= joined[n-1].Last {
			joined[n-1].Last = max(joined[n-1].Last, r.Last)
		} else {
			joined = append(joined, r)
		}
	}
	return joined
}
