package imap

import "github.com/postrider/postrider/internal/wire/imap/view"

// partialExtension advertises PARTIAL, RFC 9394: a window of a result, in SEARCH (RETURN) and in UID FETCH.
func partialExtension() extension { return extension{capabilities: afterLogin("PARTIAL")} }

// partialRange is a window: the first to the last of the results, counted from 1; fromEnd: counted from the last backwards.
// The zero value is everything.
type partialRange struct {
	first, last uint32 // first ≤ last
	fromEnd     bool
}

// partialRange takes "a:b" or "-a:-b", RFC 9394 §4. The ends may come in either order.
func (p *parser) partialRange() partialRange {
	var r partialRange
	r.fromEnd = p.eat('-')
	r.first = p.nzNumber()
	p.need(':')
	if r.fromEnd {
		p.need('-')
	}
	r.last = p.nzNumber()
	r.first, r.last = min(r.first, r.last), max(r.first, r.last)
	return r
}

// ends is the window within n results, as indexes from ≤ i < to.
func (r partialRange) ends(n int) (from, to int) {
	if r.first == 0 {
		return 0, n
	}
	from, to = min(int(r.first)-1, n), min(int(r.last), n)
	if r.fromEnd {
		from, to = n-to, n-from
	}
	return from, to
}

// String is the window as the client wrote it, the ends in order.
func (r partialRange) String() string {
	if r.fromEnd {
		return "-" + decimal(r.first) + ":-" + decimal(r.last)
	}
	return decimal(r.first) + ":" + decimal(r.last)
}

// of cuts spans down to the window.
func (r partialRange) of(spans view.Spans) view.Spans {
	if r.first == 0 {
		return spans
	}
	from, to := r.ends(spans.Len())
	var out view.Spans
	at := 0
	for _, sp := range spans {
		n := sp.To - sp.From
		lo, hi := max(from-at, 0), min(to-at, n)
		if lo < hi {
			out = append(out, view.Span{From: sp.From + lo, To: sp.From + hi})
		}
		at += n
	}
	return out
}
