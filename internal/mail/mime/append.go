package mime

import (
	"encoding/binary"

	"github.com/postrider/postrider/internal/mail/header"
)

// Encode writes the stored form.
func (m *Message) Encode() []byte {
	facts := encoder{make([]byte, 0, 64+len(m.Preview))}
	facts.num(uint64(m.Flags))
	facts.num(uint64(len(m.References)))
	for _, id := range m.References {
		facts.str(id)
	}
	facts.str(m.Preview)
	envelope := encoder{make([]byte, 0, 256)}
	envelope.envelope(&m.Envelope)
	out := encoder{b: make([]byte, 0, len(facts.b)+len(envelope.b)+256)}
	out.b = append(out.b, version)
	out.num(uint64(len(facts.b)))
	out.b = append(out.b, facts.b...)
	out.num(uint64(len(envelope.b)))
	out.b = append(out.b, envelope.b...)
	out.part(m.Root, 0)
	return out.b
}

type encoder struct{ b []byte }

func (e *encoder) num(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

func (e *encoder) str(s string) {
	if i, ok := commonIndex[s]; ok {
		e.num(uint64(i)<<1 | 1)
		return
	}
	e.num(uint64(len(s)) << 1)
	e.b = append(e.b, s...)
}

func (e *encoder) envelope(v *Envelope) {
	for i, s := range v.texts() {
		if *s == "" && v.Blank&(1<<i) != 0 {
			e.num(0)
			continue
		}
		e.str(*s)
	}
	for _, list := range v.lists() {
		e.num(uint64(len(*list)))
		for _, m := range *list {
			e.num(uint64(m.Kind))
			e.str(m.Name)
			e.str(m.Local)
			e.str(m.Domain)
		}
	}
}

// texts are in the order of the Blank bits.
func (v *Envelope) texts() [4]*string {
	return [...]*string{&v.Date, &v.Subject, &v.InReplyTo, &v.MessageID}
}

func (v *Envelope) lists() [6]*[]header.Mailbox {
	return [...]*[]header.Mailbox{&v.From, &v.Sender, &v.ReplyTo, &v.To, &v.Cc, &v.Bcc}
}

func (e *encoder) params(list []header.Param) {
	e.num(uint64(len(list)))
	for _, p := range list {
		e.str(p.Name)
		e.str(p.Value)
	}
}

// part writes p; cursor is where it could start at the earliest.
func (e *encoder) part(p *Part, cursor int64) {
	bits := uint64(p.Kind)
	set := func(on bool, bit uint64) {
		if on {
			bits |= bit
		}
	}
	set(len(p.Params) > 0, hasParams)
	set(p.ID != "", hasID)
	set(p.Description != "", hasDescription)
	set(p.Encoding != "7bit", hasEncoding)
	set(p.MD5 != "", hasMD5)
	set(p.Disposition != "" || len(p.DispParams) > 0, hasDisposition)
	set(len(p.Language) > 0, hasLanguage)
	set(p.Location != "", hasLocation)
	set(p.Type == "text" && p.Subtype == "plain", isTextPlain)
	e.num(bits)
	e.num(uint64(p.Header - cursor))
	e.num(uint64(p.Body - p.Header))
	e.num(uint64(p.End - p.Body))
	e.num(uint64(p.Lines))
	if bits&isTextPlain == 0 {
		e.str(p.Type)
		e.str(p.Subtype)
	}
	if bits&hasParams != 0 {
		e.params(p.Params)
	}
	for _, s := range []struct {
		bit uint64
		s   string
	}{{hasID, p.ID}, {hasDescription, p.Description}, {hasEncoding, p.Encoding}, {hasMD5, p.MD5}} {
		if bits&s.bit != 0 {
			e.str(s.s)
		}
	}
	if bits&hasDisposition != 0 {
		e.str(p.Disposition)
		e.params(p.DispParams)
	}
	if bits&hasLanguage != 0 {
		e.num(uint64(len(p.Language)))
		for _, l := range p.Language {
			e.str(l)
		}
	}
	if bits&hasLocation != 0 {
		e.str(p.Location)
	}
	if p.Kind == Rfc822 {
		e.envelope(p.Envelope)
	}
	if p.Kind != Leaf {
		e.num(uint64(len(p.Children)))
	}
	cursor = p.Body
	for _, c := range p.Children {
		e.part(c, cursor)
		cursor = c.End
	}
}
