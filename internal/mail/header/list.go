package header

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// Kind says what an entry of an address list is.
type Kind uint8

// The kinds. A group (RFC 5322 §3.4) is its members between GroupStart and GroupEnd.
const (
	Individual Kind = iota
	GroupStart      // Name is the group's
	GroupEnd
)

// Mailbox is one entry of an address list. Name is the display name without quotes, encoded words left as they are
// (IMAP's ENVELOPE wants them so; DecodeWords shows them). Local is the local part without quotes. Domain is as written
// and unchecked; it is empty when the address had none, and both are when there was no address at all.
type Mailbox struct {
	Kind   Kind
	Name   string
	Local  string
	Domain string
}

// Address checks the address and brings it to the form of package address.
func (m Mailbox) Address() (address.Address, error) {
	return address.Parse(address.Address{Local: m.Local, Domain: m.Domain}.String(), true)
}

// ParseList reads the unfolded value of From, To and the like: mailbox-list or address-list of RFC 5322 §3.4 with the
// obsolete forms of §4.4 and what real mail has beyond them. It reads at most limit entries; more is true when it
// stopped there.
func ParseList(value string, limit int) (list []Mailbox, more bool) {
	p := listParser{s: value}
	inGroup := false
	for {
		p.i = skipCFWS(p.s, p.i)
		if p.i == len(p.s) {
			break
		}
		if len(list) >= limit {
			more = true
			break
		}
		switch p.s[p.i] {
		case ',':
			p.i++ // RFC 5322 §4.4: empty entries
			continue
		case ';':
			p.i++
			if inGroup {
				list, inGroup = append(list, Mailbox{Kind: GroupEnd}), false
			}
			continue
		}
		m := p.entry(inGroup)
		inGroup = inGroup || m.Kind == GroupStart
		list = append(list, m)
	}
	if inGroup {
		list = append(list, Mailbox{Kind: GroupEnd})
	}
	return list, more
}

type listParser struct {
	s string
	i int
}

// words is what stood in front of '<', ':', ',' or the end: a display name or an addr-spec, that is known only after it.
type words struct {
	name  strings.Builder // the words with a blank wherever there was one
	spec  strings.Builder // the same without the blanks around '.' and '@', RFC 5322 §4.4
	at    int             // offset in spec of the first '@' outside quotes, -1 if none
	note  string          // the last comment: the name in the old form "a@b (Name)"
	blank bool            // a blank or comment came after the last word
	glue  bool            // the last was '.', '@' or ':'
}

func (w *words) word(s string) {
	if w.blank && w.name.Len() > 0 {
		w.name.WriteByte(' ')
		if !w.glue {
			w.spec.WriteByte(' ')
		}
	}
	w.name.WriteString(s)
	w.spec.WriteString(s)
	w.blank, w.glue = false, false
}

func (w *words) special(c byte) {
	if w.blank && w.name.Len() > 0 {
		w.name.WriteByte(' ')
	}
	if c == '@' && w.at < 0 {
		w.at = w.spec.Len()
	}
	w.name.WriteByte(c)
	w.spec.WriteByte(c)
	w.blank, w.glue = false, true
}

// entry reads one mailbox or the start of a group. It always moves on.
func (p *listParser) entry(inGroup bool) Mailbox {
	w := words{at: -1}
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case ' ', '\t', '\r', '\n':
			p.i++
			w.blank = true
		case '(':
			end := commentEnd(p.s, p.i)
			w.note, w.blank, p.i = comment(p.s[p.i:end]), true, end
		case '"':
			var text string
			text, p.i = quotedString(p.s, p.i)
			w.word(text)
		case ',', ';':
			return w.bare()
		case '<':
			return p.angle(&w)
		case ':':
			p.i++
			if !inGroup && w.at < 0 {
				return Mailbox{Kind: GroupStart, Name: w.name.String()}
			}
			w.special(':')
		case '[':
			w.word(p.literal())
		case '@', '.':
			p.i++
			w.special(c)
		case ')', '>', '\\', ']':
			p.i++ // stray
		default:
			w.word(p.atom())
		}
	}
	return w.bare()
}

// bare is an addr-spec without angle brackets.
func (w *words) bare() Mailbox {
	m := Mailbox{Name: w.note}
	m.Local, m.Domain = w.split()
	return m
}

func (w *words) split() (local, domain string) {
	text := w.spec.String()
	if w.at < 0 {
		return text, ""
	}
	return text[:w.at], text[w.at+1:]
}

// angle reads "<local@domain>" and what stands after it up to the comma. A missing '>' ends at a comma.
func (p *listParser) angle(name *words) Mailbox {
	p.i++
	w := words{at: -1}
	route := false
loop:
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '>':
			p.i++
			break loop
		case ',':
			if !route {
				break loop
			}
			p.i++
		case ':':
			p.i++
			if route { // RFC 5322 §4.4: obs-route, dropped
				w, route = words{at: -1}, false
				continue
			}
			w.special(':')
		case ' ', '\t', '\r', '\n':
			p.i++
			w.blank = true
		case '(':
			w.blank, p.i = true, commentEnd(p.s, p.i)
		case '"':
			var text string
			text, p.i = quotedString(p.s, p.i)
			w.word(text)
		case '[':
			w.word(p.literal())
		case '@':
			p.i++
			route = route || w.spec.Len() == 0
			w.special('@')
		case '.':
			p.i++
			w.special('.')
		case '<', ')', '\\', ']', ';':
			p.i++
		default:
			w.word(p.atom())
		}
	}
	m := Mailbox{Name: name.name.String()}
	m.Local, m.Domain = w.split()
	note := p.skipToNext()
	if m.Name == "" {
		if m.Name = name.note; m.Name == "" {
			m.Name = note
		}
	}
	return m
}

// skipToNext goes to the next ',' or ';' outside comments and quotes, and returns the last comment on the way.
func (p *listParser) skipToNext() (note string) {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ',', ';':
			return note
		case '(':
			end := commentEnd(p.s, p.i)
			note, p.i = comment(p.s[p.i:end]), end
		case '"':
			_, p.i = quotedString(p.s, p.i)
		case '<':
			return note // "<a@b> <c@d>": the comma was forgotten
		default:
			p.i++
		}
	}
	return note
}

// literal reads a domain literal with its brackets.
func (p *listParser) literal() string {
	start := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		if c == ']' {
			break
		}
	}
	return p.s[start:p.i]
}

// atom reads up to the next special or blank. An encoded word is one atom even with specials inside, which RFC 2047 §5
// (3) forbids and many write.
func (p *listParser) atom() string {
	start := p.i
	if strings.HasPrefix(p.s[p.i:], "=?") {
		if _, _, n := encodedWord(p.s[p.i:min(len(p.s), p.i+maxCharset+maxRead)]); n > 0 {
			p.i += n
			return p.s[start:p.i]
		}
	}
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n()<>[]:;@\\,.\"", p.s[p.i]) < 0 {
		p.i++
	}
	return p.s[start:p.i]
}

// FormatList writes an address list; ParseList reads it back. Names are given as text and become encoded words where
// needed.
func FormatList(list []Mailbox) string {
	var b strings.Builder
	comma := false
	for _, m := range list {
		if m.Kind == GroupEnd {
			b.WriteByte(';')
			comma = true
			continue
		}
		if comma {
			b.WriteString(", ")
		}
		comma = m.Kind != GroupStart
		switch addr := (address.Address{Local: m.Local, Domain: m.Domain}).String(); {
		case m.Kind == GroupStart:
			b.WriteString(formatPhrase(m.Name) + ": ")
		case m.Name == "":
			b.WriteString(clean(addr))
		default:
			b.WriteString(formatPhrase(m.Name) + " <" + clean(addr) + ">")
		}
	}
	return b.String()
}

func formatPhrase(name string) string {
	encoded := EncodeWords(name)
	if encoded != name {
		return encoded
	}
	for i := 0; i < len(name); i++ {
		if strings.IndexByte("()<>[]:;@\\,.\"\t", name[i]) >= 0 {
			return quote(name)
		}
	}
	if strings.Trim(name, " ") != name || strings.Contains(name, "  ") || name == "" {
		return quote(name)
	}
	return name
}
