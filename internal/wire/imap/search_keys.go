package imap

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/wire/imap/view"
)

const (
	maxSearchKeys    = 1000
	maxTextKeys      = 50 // BODY and TEXT, which read whole messages, and THREADID, which goes through many
	unknownSearchKey = "Unknown SEARCH key "
)

// searchKey parses one key of SEARCH, behind its name. depth is that of nested keys.
type searchKey func(p *parser, depth int) *searchNode

// searchProgram takes the keys to the end of the command.
func (p *parser) searchProgram() *searchNode {
	and := &searchNode{op: opAnd}
	for p.err == nil {
		and.kids = append(and.kids, p.searchKey(0))
		if !p.eat(' ') {
			break
		}
	}
	return and
}

// searchKey takes one key, RFC 9051 §9, search-key.
func (p *parser) searchKey(depth int) *searchNode {
	p.keys++
	switch c := p.peek(); {
	case p.err != nil:
		return nil
	case depth > maxDepth || p.keys > maxSearchKeys:
		p.fail("Search too deep or too long")
		return nil
	case c == '(':
		and := &searchNode{op: opAnd}
		p.list(func() { and.kids = append(and.kids, p.searchKey(depth+1)) })
		if len(and.kids) == 0 {
			p.fail("Empty parentheses in SEARCH")
		}
		return and
	case c == '*' || c == '$' || c >= '0' && c <= '9':
		return &searchNode{op: opSet, set: p.numbers()}
	}
	w := p.word()
	key := p.tables.search[w]
	if key == nil {
		p.fail(unknownSearchKey+"%s", w)
		return nil
	}
	return key(p, depth)
}

// searchKeys is the keys of RFC 3501 §6.4.4 and RFC 9051 §6.4.4. Extensions add theirs to the same table.
func searchKeys() map[string]searchKey {
	keys := map[string]searchKey{
		"ALL": onRow(everyRow),
		// No message is ever recent here, see view.System.
		"RECENT": onRow(func(*view.Row) bool { return false }),
		"NEW":    onRow(func(*view.Row) bool { return false }),
		"OLD":    onRow(func(*view.Row) bool { return true }),
		"UID": func(p *parser, _ int) *searchNode {
			p.sp()
			return &searchNode{op: opSet, uid: true, set: p.numbers()}
		},
		"NOT": func(p *parser, depth int) *searchNode {
			p.sp()
			return &searchNode{op: opNot, kids: []*searchNode{p.searchKey(depth + 1)}}
		},
		"OR": func(p *parser, depth int) *searchNode {
			p.sp()
			a := p.searchKey(depth + 1)
			p.sp()
			return &searchNode{op: opOr, kids: []*searchNode{a, p.searchKey(depth + 1)}}
		},
		"KEYWORD":   onKeyword(true),
		"UNKEYWORD": onKeyword(false),
		"LARGER":    onSize(func(size, n int64) bool { return size > n }),
		"SMALLER":   onSize(func(size, n int64) bool { return size < n }),
		"HEADER": func(p *parser, _ int) *searchNode {
			p.sp()
			name := p.searchText()
			p.sp()
			return headerNode(name, p.searchText())
		},
		"BODY": func(p *parser, _ int) *searchNode { return textNode(p, TextField{Body: true}) },
		"TEXT": func(p *parser, _ int) *searchNode { return textNode(p, TextField{All: true}) },
	}
	for name, flag := range map[string]view.System{"ANSWERED": view.Answered, "DELETED": view.Deleted, "DRAFT": view.Draft,
		"FLAGGED": view.Flagged, "SEEN": view.Seen} {
		keys[name] = onRow(func(r *view.Row) bool { return r.Flags.System&flag != 0 })
		keys["UN"+name] = onRow(func(r *view.Row) bool { return r.Flags.System&flag == 0 })
	}
	for _, name := range []string{"FROM", "TO", "CC", "BCC", "SUBJECT"} {
		keys[name] = func(p *parser, _ int) *searchNode {
			p.sp()
			return headerNode(name, p.searchText())
		}
	}
	addDates(keys)
	return keys
}

func everyRow(*view.Row) bool { return true }

// onRow is a key without arguments that the view can answer.
func onRow(match func(*view.Row) bool) searchKey {
	return func(*parser, int) *searchNode {
		return &searchNode{match: func(m *candidate) (bool, error) { return match(&m.row), nil }}
	}
}

func onKeyword(want bool) searchKey {
	return func(p *parser, _ int) *searchNode {
		p.sp()
		k := p.atom()
		return &searchNode{match: func(m *candidate) (bool, error) { return m.row.Flags.HasKeyword(k) == want, nil }}
	}
}

func onSize(match func(size, n int64) bool) searchKey {
	return func(p *parser, _ int) *searchNode {
		p.sp()
		n, ok := p.number64() // RFC 9051 §9: number64
		if !ok {
			p.fail("Expected a number%s", p.where())
		}
		return &searchNode{want: WantSize, match: func(m *candidate) (bool, error) { return match(m.msg.Size, n), nil }}
	}
}

// addDates adds BEFORE, ON, SINCE (INTERNALDATE) and their SENT forms (the Date field). RFC 9051 §6.4.4: time and zone
// are disregarded, so days are compared as they are written.
func addDates(keys map[string]searchKey) {
	for name, match := range dateRelations() {
		keys[name] = func(p *parser, _ int) *searchNode {
			p.sp()
			arg := p.date()
			return &searchNode{want: WantDate, match: func(m *candidate) (bool, error) {
				return match(dayOf(m.msg.InternalDate), arg), nil
			}}
		}
		keys["SENT"+name] = func(p *parser, _ int) *searchNode {
			p.sp()
			arg := p.date()
			return &searchNode{want: WantEnvelope, match: func(m *candidate) (bool, error) {
				sent, ok := m.msg.MIME.Envelope.Time()
				return ok && match(dayOf(sent), arg), nil
			}}
		}
	}
}

// dateRelations is how a day stands to the one of the argument.
func dateRelations() map[string]func(day, arg time.Time) bool {
	return map[string]func(day, arg time.Time) bool{
		"BEFORE": func(day, arg time.Time) bool { return day.Before(arg) },
		"ON":     func(day, arg time.Time) bool { return day.Equal(arg) },
		"SINCE":  func(day, arg time.Time) bool { return !day.Before(arg) },
	}
}

func dayOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// searchText takes a string to search for. It is UTF-8, whatever CHARSET says: US-ASCII is a part of it.
func (p *parser) searchText() string {
	s := p.astring()
	if p.err == nil && !utf8.ValidString(s) {
		p.err = no("BADCHARSET (US-ASCII UTF-8)", "Search text is not valid UTF-8")
	}
	return s
}

// headerNode looks for text in a field: in what the view's metadata has of the envelope, or else in the header itself. An
// empty text means that the field is there (RFC 9051 §6.4.4).
func headerNode(name, text string) *searchNode {
	name = strings.ToUpper(name)
	n := &searchNode{needle: fold(text), field: TextField{Header: name}}
	if values, ok := envelopeFields[name]; ok && text != "" {
		n.want, n.match = WantEnvelope, func(m *candidate) (bool, error) {
			return containsFold(values(&m.msg.MIME.Envelope), n.needle), nil
		}
		return n
	}
	n.want, n.match = WantStructure|WantBody, func(m *candidate) (bool, error) {
		h, err := m.header()
		if err != nil {
			return false, err
		}
		for f := range h.All(name) {
			if n.needle == "" || containsFold(header.DecodeWords(h.Value(f)), n.needle) {
				return true, nil
			}
		}
		return false, nil
	}
	return n
}

// envelopeFields is the fields whose text the envelope has. In-Reply-To and the like are as written; addresses are shown
// as "Name <local@domain>". It is never changed.
var envelopeFields = map[string]func(*mime.Envelope) string{
	"FROM":       func(e *mime.Envelope) string { return showAddresses(e.From) },
	"TO":         func(e *mime.Envelope) string { return showAddresses(e.To) },
	"CC":         func(e *mime.Envelope) string { return showAddresses(e.Cc) },
	"BCC":        func(e *mime.Envelope) string { return showAddresses(e.Bcc) },
	"SUBJECT":    func(e *mime.Envelope) string { return e.Title() },
	"MESSAGE-ID": func(e *mime.Envelope) string { return e.MessageID },
}

func showAddresses(list []header.Mailbox) string {
	var b strings.Builder
	for _, m := range list {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if m.Name != "" {
			b.WriteString(header.DecodeWords(m.Name))
			b.WriteByte(' ')
		}
		if m.Kind == header.Individual {
			b.WriteString("<" + m.Local + "@" + m.Domain + ">")
		}
	}
	return b.String()
}

// dearKey counts a key that costs much.
func (p *parser) dearKey() {
	if p.texts++; p.texts > maxTextKeys {
		p.fail("Too many BODY, TEXT and THREADID in SEARCH")
	}
}

func textNode(p *parser, field TextField) *searchNode {
	p.dearKey()
	p.sp()
	n := &searchNode{needle: fold(p.searchText()), field: field, want: WantStructure | WantBody, text: true}
	n.match = func(m *candidate) (bool, error) { return m.textMatch(n.field, n.needle) }
	return n
}
