package gate

import (
	"bytes"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/status"
)

// Edit is one change of the header. Values may have folds (a line end and a blank); other line ends become folds, so that no
// value can bring a field of its own. The blank after the colon belongs to Value.
type Edit struct {
	Kind  EditKind
	Name  string
	Value string
	// Index is, for Insert, Replace and Drop, the place in the header, from 0; for Change which of the fields of that name, from 1.
	Index int
}

// EditKind is what an Edit does.
type EditKind uint8

// The kinds.
const (
	Append  EditKind = iota // at the end of the header
	Insert                  // at a place; beyond the end: at the end
	Above                   // on top of everything, of our Received field too
	Change                  // a field by its name; empty Value: removes it; no such field: Append
	Replace                 // the field at a place
	Drop                    // the field at a place
	Without                 // removes all of that name
)

// maxHeaderSize bounds what a message's judges may make of its header: all that package mime looks at.
const maxHeaderSize = mime.MaxTopHeader

var errTooMuch = status.Temp(451, 3, 0, "Local error in processing: a filter made the header too large")

// Edit changes the header, in order.
func (m *Message) Edit(edits ...Edit) error {
	if len(edits) == 0 {
		return nil
	}
	if err := m.Complete(); err != nil {
		return err
	}
	m.single()
	for _, e := range edits {
		if m.edit(e); len(m.above) > maxHeaderSize/2 || len(m.fields) > 2*maxFields {
			return errTooMuch
		}
	}
	return m.parse()
}

// parse brings Header and Size up to date.
func (m *Message) parse() error {
	m.changed = true
	block := m.block(nil, nil)
	h, err := header.Parse(block, maxHeaderSize)
	if err != nil {
		return errTooMuch.With("edit the header", err)
	}
	m.Header = h
	m.Size = int64(len(block)) + m.body.length
	return nil
}

func (m *Message) edit(e Edit) {
	if e.Kind != Drop && len(field(e.Name, "")) == len(":\r\n") {
		return // nothing of the name can be in a header, and a line without one would end it for many readers
	}
	switch e.Kind {
	case Append:
		m.insert(len(m.fields), e)
	case Insert:
		m.insert(min(max(e.Index, 0), len(m.fields)), e)
	case Above:
		m.touch(e.Name)
		m.above = append(field(e.Name, e.Value), m.above...)
	case Change:
		switch i := m.find(e.Name, max(e.Index, 1)); {
		case i < 0 && e.Value != "":
			m.insert(len(m.fields), e)
		case i >= 0 && e.Value == "":
			m.drop(i)
		case i >= 0:
			m.replace(i, e)
		}
	case Replace:
		if e.Index >= 0 && e.Index < len(m.fields) {
			m.replace(e.Index, e)
		}
	case Drop:
		if e.Index >= 0 && e.Index < len(m.fields) {
			m.drop(e.Index)
		}
	case Without:
		m.touch(e.Name)
		for i := m.find(e.Name, 1); i >= 0; i = m.find(e.Name, 1) {
			m.drop(i)
		}
	}
}

// Prepend puts whole fields on top, above our Received field too. Those who judge later see them, unless the header is one that
// nobody looks into.
func (m *Message) Prepend(fields []byte) error {
	if len(fields) == 0 {
		return nil
	}
	if bytes.Contains(bytes.ToLower(fields), []byte("content-")) {
		m.reparse = true
	}
	fields = bytes.Clone(fields)
	h, err := header.Parse(fields, maxHeaderSize)
	if err != nil || m.Complete() != nil || m.Size-m.body.length+int64(len(fields)) > maxHeaderSize {
		m.above = append(fields, m.above...)
		return nil
	}
	m.single()
	var tops []piece
	for _, f := range h.Fields {
		tops = append(tops, piece{fields[f.Start:f.End], -1})
	}
	m.fields, m.tops = slices.Insert(m.fields, 0, tops...), m.tops+len(tops)
	return m.parse()
}

// find is the place of the n-th field of a name, from 1; -1: there is none.
func (m *Message) find(name string, n int) int {
	for i, f := range m.fields {
		if len(f.text) <= len(name) || f.text[len(name)] > ':' { // what follows a name is a blank or the colon
			continue
		}
		if strings.EqualFold(nameOf(f.text), name) {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}

func nameOf(text []byte) string {
	i := bytes.IndexByte(text, ':')
	if i < 0 {
		return ""
	}
	return string(bytes.TrimRight(text[:i], " \t"))
}

func (m *Message) insert(i int, e Edit) {
	m.touch(e.Name)
	if i < m.tops {
		m.tops++
	}
	if i > 0 { // the client's last field may lack its line end
		if last := &m.fields[i-1]; !bytes.HasSuffix(last.text, []byte("\n")) {
			*last = piece{append(bytes.Clone(last.text), "\r\n"...), -1}
		}
	}
	m.fields = slices.Insert(m.fields, i, piece{field(e.Name, e.Value), -1})
}

func (m *Message) replace(i int, e Edit) {
	m.touch(nameOf(m.fields[i].text))
	m.touch(e.Name)
	m.fields[i] = piece{field(e.Name, e.Value), -1}
}

func (m *Message) drop(i int) {
	m.touch(nameOf(m.fields[i].text))
	m.fields = slices.Delete(m.fields, i, i+1)
	if i < m.tops {
		m.tops--
	}
}

// touch notes that a field changes: with one that says how the body is to be read the structure does.
func (m *Message) touch(name string) {
	if len(name) >= 8 && strings.EqualFold(name[:8], "content-") {
		m.reparse = true
	}
}

// field writes a field.
func field(name, value string) []byte {
	b := make([]byte, 0, len(name)+len(value)+3)
	for _, c := range []byte(name) {
		if c > ' ' && c < 0x7f && c != ':' { // RFC 5322 §3.6.8
			b = append(b, c)
		}
	}
	b = append(b, ':')
	value = strings.TrimRight(value, "\r\n")
	for i := 0; i < len(value); i++ {
		switch c := value[i]; c {
		case 0:
		case '\r', '\n':
			if c == '\r' && i+1 < len(value) && value[i+1] == '\n' {
				i++
			}
			b = append(b, '\r', '\n')
			if i+1 < len(value) && value[i+1] != ' ' && value[i+1] != '\t' {
				b = append(b, '\t')
			}
		default:
			b = append(b, c)
		}
	}
	return append(b, '\r', '\n')
}

// NewBody collects a body that stands in the old one's place from Close on.
type NewBody struct {
	m  *Message
	at int64 // -1: nothing yet
	n  int64
}

// ReplaceBody begins a new body. Until it is closed the old one can be read.
func (m *Message) ReplaceBody() *NewBody { return &NewBody{m: m, at: -1} }

// Write implements io.Writer.
func (b *NewBody) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	at, err := b.m.bytes.Append(p)
	if err != nil {
		return 0, err
	}
	if b.at < 0 {
		b.at = at
	}
	b.n += int64(len(p))
	return len(p), nil
}

// Close puts the new body in force.
func (b *NewBody) Close() error {
	m := b.m
	if b.at < 0 {
		b.at = 0
	}
	if len(m.empty.text) == 0 {
		m.empty = piece{[]byte("\r\n"), -1}
		m.single()
		if n := len(m.fields); n > 0 && !bytes.HasSuffix(m.fields[n-1].text, []byte("\n")) {
			m.fields[n-1] = piece{append(bytes.Clone(m.fields[n-1].text), "\r\n"...), -1}
		}
	}
	m.body, m.changed, m.reparse = span{b.at, b.n}, true, true
	m.Size = int64(len(m.block(nil, nil))) + b.n
	return nil
}

// Apply makes an edit of package header: fields that are left out, and whole fields in front and behind.
func (m *Message) Apply(e header.Edit) error {
	if err := m.Complete(); err != nil {
		return err
	}
	m.single()
	var edits []Edit
	for _, name := range e.Remove {
		if m.find(name, 1) >= 0 {
			edits = append(edits, Edit{Kind: Without, Name: name})
		}
	}
	at := 0
	for part, block := range [][]byte{e.Prepend, e.Append} {
		h, err := header.Parse(block, maxHeaderSize)
		if err != nil {
			return errTooMuch
		}
		for _, f := range h.Fields {
			kind := Insert
			if part == 1 {
				kind = Append
			}
			edits = append(edits, Edit{Kind: kind, Index: at, Name: string(h.Name(f)), Value: string(h.Raw(f))})
			at++
		}
	}
	return m.Edit(edits...)
}
