package view

import (
	"slices"
	"strings"
)

// System is a set of the system flags that are stored, RFC 9051 §2.3.2. \Recent is none of them: no session of this
// server is ever "the first to be notified" (RFC 3501 §2.3.2 leaves that to the server, RFC 9051 drops the flag).
type System uint8

// The system flags.
const (
	Seen System = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
	AllSystem = Seen | Answered | Flagged | Deleted | Draft
)

var systemNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// SystemByName finds a system flag by its name with the backslash, in any case.
func SystemByName(name string) (System, bool) {
	for i, n := range systemNames {
		if strings.EqualFold(n, name) {
			return 1 << i, true
		}
	}
	return 0, false
}

// Flags is the flags of a message. It is comparable. Keywords is canonical: see Keywords.
type Flags struct {
	System   System
	Keywords string // keywords in canonical form, separated by one space; empty: none
}

// Keywords makes the canonical form of a list of keywords: ascending by lower case, without those that differ only in
// case (RFC 9051 §2.3.2: flag names are case-insensitive), separated by one space.
func Keywords(list ...string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	list = slices.Clone(list)
	slices.SortFunc(list, compareFold)
	return strings.Join(slices.CompactFunc(list, strings.EqualFold), " ")
}

func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// Has tells whether all flags of want are in f.
func (f Flags) Has(want Flags) bool {
	if f.System&want.System != want.System {
		return false
	}
	for k := range strings.FieldsSeq(want.Keywords) {
		if !f.HasKeyword(k) {
			return false
		}
	}
	return true
}

// HasKeyword tells whether the keyword is set, in any case.
func (f Flags) HasKeyword(keyword string) bool {
	for k := range strings.FieldsSeq(f.Keywords) {
		if strings.EqualFold(k, keyword) {
			return true
		}
	}
	return false
}

// With returns f and all flags of g.
func (f Flags) With(g Flags) Flags {
	out := Flags{f.System | g.System, f.Keywords}
	switch {
	case g.Keywords == "" || g.Keywords == f.Keywords:
	case f.Keywords == "":
		out.Keywords = g.Keywords
	default:
		out.Keywords = Keywords(append(strings.Fields(f.Keywords), strings.Fields(g.Keywords)...)...)
	}
	return out
}

// Without returns f without the flags of g.
func (f Flags) Without(g Flags) Flags {
	out := Flags{f.System &^ g.System, f.Keywords}
	if g.Keywords != "" && f.Keywords != "" {
		out.Keywords = Keywords(slices.DeleteFunc(strings.Fields(f.Keywords), g.HasKeyword)...)
	}
	return out
}

// String is the flags as IMAP writes them, without the parentheses.
func (f Flags) String() string {
	var b strings.Builder
	for i, n := range systemNames {
		if f.System&(1<<i) != 0 {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(n)
		}
	}
	if f.Keywords != "" {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(f.Keywords)
	}
	return b.String()
}

// maxWords is how many keywords of a mailbox are listed. Those beyond are kept on messages like the others, but who invents
// a new one every minute does not get an ever longer FLAGS response each time.
const maxWords = 2000

// spareCombinations is how many combinations that no message has any more may stand in a table beside as many as there are
// messages.
const spareCombinations = 1000

// table numbers the combinations of flags that occur in a mailbox; there are few, however many messages. Their text never
// changes, so text once read may be used without the lock.
type table struct {
	ids   map[Flags]uint32
	list  []combination
	words map[string]string // keywords in use or once used here: lower case → as first spelled
}

type combination struct {
	flags Flags
	text  string // as IMAP writes them, without the parentheses
}

func (t *table) id(f Flags) uint32 {
	if id, ok := t.ids[f]; ok {
		return id
	}
	if t.ids == nil {
		t.ids, t.words = map[Flags]uint32{}, map[string]string{}
	}
	f.Keywords = strings.Clone(f.Keywords)
	id := uint32(len(t.list))
	t.ids[f] = id
	t.list = append(t.list, combination{f, f.String()})
	for k := range strings.FieldsSeq(f.Keywords) {
		if low := strings.ToLower(k); t.words[low] == "" && len(t.words) < maxWords {
			t.words[low] = k
		}
	}
	return id
}

// keywords lists the keywords seen so far, ascending.
func (t *table) keywords() []string {
	out := make([]string, 0, len(t.words))
	for _, k := range t.words {
		out = append(out, k)
	}
	slices.SortFunc(out, compareFold)
	return out
}
