package dnslist

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Filter says which answers of a list count. The zero one has no opinion.
type Filter struct {
	fields [4][]span
}

// span is a range of numbers, both ends included.
type span struct{ low, high uint8 }

// maxSpans bounds one field of a filter: a number needs no more than one span.
const maxSpans = 256

// IsZero tells the filter that has no opinion.
func (f Filter) IsZero() bool { return f.fields[0] == nil }

// Match tells whether an answer passes.
func (f Filter) Match(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	for i, b := range a.As4() {
		if !within(f.fields[i], b) {
			return false
		}
	}
	return true
}

func within(spans []span, b uint8) bool {
	for _, s := range spans {
		if b >= s.low && b <= s.high {
			return true
		}
	}
	return false
}

// String writes it as it is read.
func (f Filter) String() string {
	if f.IsZero() {
		return ""
	}
	var b strings.Builder
	for i, spans := range f.fields {
		if i > 0 {
			b.WriteByte('.')
		}
		if len(spans) == 1 && spans[0].low == spans[0].high {
			b.WriteString(strconv.Itoa(int(spans[0].low)))
			continue
		}
		b.WriteByte('[')
		for j, s := range spans {
			if j > 0 {
				b.WriteByte(';')
			}
			b.WriteString(strconv.Itoa(int(s.low)))
			if s.high != s.low {
				b.WriteString(".." + strconv.Itoa(int(s.high)))
			}
		}
		b.WriteByte(']')
	}
	return b.String()
}

// ParseFilter reads four fields with dots between them; each is a number, or in brackets numbers and ranges "n..m" with
// semicolons between them.
func ParseFilter(s string) (Filter, error) {
	var f Filter
	rest := s
	for i := range f.fields {
		if i > 0 {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, "."); !ok {
				return Filter{}, fmt.Errorf("filter %.60q: expected is d.d.d.d, each d a number or [numbers and ranges]", s)
			}
		}
		field, after, err := cutField(rest)
		if err == nil {
			f.fields[i], err = spans(field)
		}
		if err != nil {
			return Filter{}, fmt.Errorf("filter %.60q: %w", s, err)
		}
		rest = after
	}
	if rest != "" {
		return Filter{}, fmt.Errorf("filter %.60q: %.20q is left over", s, rest)
	}
	return f, nil
}

// cutField takes one field off: what stands in brackets, or digits.
func cutField(s string) (field, rest string, err error) {
	if strings.HasPrefix(s, "[") {
		inner, after, ok := strings.Cut(s[1:], "]")
		if !ok {
			return "", "", fmt.Errorf("[ is not closed")
		}
		return inner, after, nil
	}
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:], nil
}

func spans(field string) ([]span, error) {
	parts := strings.Split(field, ";")
	if len(parts) > maxSpans {
		return nil, fmt.Errorf("more than %d numbers in one field", maxSpans)
	}
	out := make([]span, len(parts))
	for i, part := range parts {
		low, high, ranged := strings.Cut(part, "..")
		if !ranged {
			high = low
		}
		var err error
		if out[i].low, err = octet(low); err != nil {
			return nil, err
		}
		if out[i].high, err = octet(high); err != nil {
			return nil, err
		}
		if out[i].low > out[i].high {
			return nil, fmt.Errorf("the range %s begins behind its end", part)
		}
	}
	return out, nil
}

func octet(s string) (uint8, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || len(s) > 3 {
		return 0, fmt.Errorf("%.20q is not a number from 0 to 255", s)
	}
	return uint8(n), nil
}
