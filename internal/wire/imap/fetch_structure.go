package imap

import (
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
)

// text writes a string out of a header as nstring. Raw UTF-8 goes out as it is to clients that enabled it (RFC 6855 §3),
// as encoded words (RFC 2047) to the others; only here, never in BODY[…].
func (e *encoder) text(s string) {
	if s == "" {
		e.str("NIL")
		return
	}
	e.string(e.headerText(s))
}

func (e *encoder) headerText(s string) string {
	for i := range len(s) {
		if s[i] < 0x80 {
			continue
		}
		if !e.utf8 {
			// Existing encoded words are decoded first, else they would be encoded twice.
			return header.EncodeWords(header.DecodeWords(s))
		}
		if !utf8.ValidString(s) {
			return header.DecodeRaw([]byte(s))
		}
		return s
	}
	return s
}

// envelope writes ENVELOPE, RFC 9051 §7.5.2.
func (e *encoder) envelope(v *mime.Envelope) {
	if v == nil {
		v = &mime.Envelope{}
	}
	text := func(s string, blank mime.Blank) {
		if s == "" && v.Blank&blank != 0 {
			e.str(`""`)
			return
		}
		e.text(s)
	}
	e.WriteByte('(')
	text(v.Date, mime.BlankDate)
	e.WriteByte(' ')
	text(v.Subject, mime.BlankSubject)
	sender, reply := v.Shown()
	for _, list := range [...][]header.Mailbox{v.From, sender, reply, v.To, v.Cc, v.Bcc} {
		e.WriteByte(' ')
		e.addresses(list)
	}
	e.WriteByte(' ')
	text(v.InReplyTo, mime.BlankInReplyTo)
	e.WriteByte(' ')
	text(v.MessageID, mime.BlankMessageID)
	e.WriteByte(')')
}

func (e *encoder) addresses(list []header.Mailbox) {
	if len(list) == 0 {
		e.str("NIL")
		return
	}
	e.WriteByte('(')
	for _, m := range list {
		switch m.Kind { // RFC 9051 §7.5.2: a group begins and ends with addresses that have no host
		case header.GroupStart:
			e.str("(NIL NIL ")
			e.string(e.headerText(m.Name))
			e.str(" NIL)")
		case header.GroupEnd:
			e.str("(NIL NIL NIL NIL)")
		default:
			e.address(m)
		}
	}
	e.WriteByte(')')
}

func (e *encoder) address(m header.Mailbox) {
	e.WriteByte('(')
	e.text(m.Name)
	e.str(" NIL ") // the source route, which nobody writes any more
	// An empty host would make a group of it, so neither is ever NIL.
	e.string(e.headerText(m.Local))
	e.WriteByte(' ')
	e.string(e.host(m.Domain))
	e.WriteByte(')')
}

func (e *encoder) host(domain string) string {
	if !e.utf8 {
		for i := range len(domain) {
			if domain[i] >= 0x80 {
				if a, err := address.CanonicalDomain(domain); err == nil {
					return a
				}
				break
			}
		}
	}
	return e.headerText(domain)
}

// structure writes BODYSTRUCTURE, or BODY without the extension data: RFC 9051 §7.5.2.
func (e *encoder) structure(p *mime.Part, extended bool) {
	if p == nil {
		p = &mime.Part{Type: "text", Subtype: "plain", Encoding: "7bit"}
	}
	e.WriteByte('(')
	if p.Kind == mime.Multipart {
		for _, child := range p.Children {
			e.structure(child, extended)
		}
		if len(p.Children) == 0 { // the grammar knows no multipart without parts
			e.structure(nil, extended)
		}
		e.WriteByte(' ')
		e.string(e.headerText(p.Subtype))
		if extended {
			e.WriteByte(' ')
			e.params(p.Params)
			e.extension(p)
		}
		e.WriteByte(')')
		return
	}
	e.string(e.headerText(p.Type))
	e.WriteByte(' ')
	e.string(e.headerText(p.Subtype))
	e.WriteByte(' ')
	e.params(p.Params)
	e.WriteByte(' ')
	e.text(p.ID)
	e.WriteByte(' ')
	e.text(p.Description)
	e.WriteByte(' ')
	e.string(e.headerText(p.Encoding))
	e.WriteByte(' ')
	e.num(uint64(p.Size()))
	if p.Kind == mime.Rfc822 {
		e.WriteByte(' ')
		e.envelope(p.Envelope)
		e.WriteByte(' ')
		e.structure(p.Children[0], extended)
	}
	if p.Kind == mime.Rfc822 || p.Type == "text" {
		e.WriteByte(' ')
		e.num(uint64(p.Lines))
	}
	if extended {
		e.WriteByte(' ')
		e.text(p.MD5)
		e.extension(p)
	}
	e.WriteByte(')')
}

// extension writes disposition, language and location.
func (e *encoder) extension(p *mime.Part) {
	e.WriteByte(' ')
	if p.Disposition == "" {
		e.str("NIL")
	} else {
		e.WriteByte('(')
		e.string(e.headerText(p.Disposition))
		e.WriteByte(' ')
		e.params(p.DispParams)
		e.WriteByte(')')
	}
	e.WriteByte(' ')
	switch len(p.Language) {
	case 0:
		e.str("NIL")
	case 1:
		e.string(e.headerText(p.Language[0]))
	default:
		e.WriteByte('(')
		for i, l := range p.Language {
			if i > 0 {
				e.WriteByte(' ')
			}
			e.string(e.headerText(l))
		}
		e.WriteByte(')')
	}
	e.WriteByte(' ')
	e.text(p.Location)
}

func (e *encoder) params(list []header.Param) {
	if len(list) == 0 {
		e.str("NIL")
		return
	}
	e.WriteByte('(')
	for i, p := range list {
		if i > 0 {
			e.WriteByte(' ')
		}
		e.string(strings.ToUpper(e.headerText(p.Name)))
		e.WriteByte(' ')
		e.string(e.headerText(p.Value))
	}
	e.WriteByte(')')
}
