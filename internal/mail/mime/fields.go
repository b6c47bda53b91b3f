package mime

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/header"
)

// fields reads headers into parts and envelopes as long as there is room for their strings.
type fields struct {
	room    int // bytes of strings that may still be kept
	limited bool
}

// keep accounts for n bytes; false means there is no room and the value must be dropped.
func (f *fields) keep(n int) bool {
	if n > f.room {
		f.limited = true
		return false
	}
	f.room -= n
	return true
}

// lowerName returns a field's name in lower case, "" for one that is longer than all that are read here.
func lowerName(name []byte) string {
	var b [len("content-transfer-encoding")]byte
	if len(name) > len(b) {
		return ""
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b[i] = c
	}
	return string(b[:len(name)])
}

func (f *fields) value(h *header.Header, field header.Field) string {
	if !f.keep(field.ValueEnd - field.Value) {
		return ""
	}
	return h.Value(field)
}

// part fills in what the Content fields say. digest tells that the part is a direct child of multipart/digest.
func (f *fields) part(p *Part, h *header.Header, digest bool) {
	var seen uint
	first := func(bit int) bool { // the topmost counts
		was := seen&(1<<bit) != 0
		seen |= 1 << bit
		return !was
	}
	for _, field := range h.Fields {
		switch lowerName(h.Name(field)) {
		case "content-type":
			if first(0) {
				p.Type, p.Subtype, p.Params, _ = header.ParseContentType(f.value(h, field))
			}
		case "content-id":
			if first(1) {
				p.ID = f.value(h, field)
			}
		case "content-description":
			if first(2) {
				p.Description = f.value(h, field)
			}
		case "content-transfer-encoding":
			if first(3) {
				p.Encoding, _ = header.ParseToken(f.value(h, field))
			}
		case "content-md5":
			if first(4) {
				p.MD5 = f.value(h, field)
			}
		case "content-disposition":
			if first(5) {
				p.Disposition, p.DispParams = header.ParseToken(f.value(h, field))
			}
		case "content-language":
			if first(6) {
				p.Language = languages(f.value(h, field))
			}
		case "content-location":
			if first(7) { // RFC 2557 §4.4.2: it may be folded inside
				p.Location = strings.Join(strings.Fields(f.value(h, field)), "")
			}
		}
	}
	if p.Encoding == "" {
		p.Encoding = "7bit" // RFC 2045 §6.1
	}
	if p.Type != "" {
		return
	}
	if digest { // RFC 2046 §5.1.5
		p.Type, p.Subtype = "message", "rfc822"
		return
	}
	p.setDefaultType()
}

// setDefaultType is RFC 2045 §5.2.
func (p *Part) setDefaultType() {
	p.Type, p.Subtype = "text", "plain"
	p.Params = []header.Param{{Name: "charset", Value: "us-ascii"}}
}

// languages reads Content-Language, RFC 3282 §2.
func languages(value string) []string {
	var out []string
	for tag := range strings.SplitSeq(value, ",") {
		if tag, _ = header.ParseToken(tag); tag != "" && len(out) < header.MaxParams {
			out = append(out, tag)
		}
	}
	return out
}

// envelope reads the fields of RFC 9051 §7.5.2.
func (f *fields) envelope(h *header.Header) Envelope {
	var e Envelope
	text := func(dst *string, blank Blank, field header.Field) {
		if *dst == "" {
			*dst = f.value(h, field)
			e.Blank |= blank
		}
		if *dst != "" {
			e.Blank &^= blank
		}
	}
	first := func(dst *[]header.Mailbox, field header.Field) {
		if len(*dst) == 0 {
			*dst = f.list(h, field, MaxAddresses)
		}
	}
	join := func(dst *[]header.Mailbox, field header.Field) {
		*dst = append(*dst, f.list(h, field, MaxAddresses-len(*dst))...)
	}
	for _, field := range h.Fields {
		switch lowerName(h.Name(field)) {
		case "date":
			text(&e.Date, BlankDate, field)
		case "subject":
			text(&e.Subject, BlankSubject, field)
		case "in-reply-to":
			text(&e.InReplyTo, BlankInReplyTo, field)
		case "message-id":
			text(&e.MessageID, BlankMessageID, field)
		case "from":
			first(&e.From, field)
		case "sender":
			first(&e.Sender, field)
		case "reply-to":
			first(&e.ReplyTo, field)
		case "to":
			join(&e.To, field)
		case "cc":
			join(&e.Cc, field)
		case "bcc":
			join(&e.Bcc, field)
		}
	}
	return e
}

func (f *fields) list(h *header.Header, field header.Field, limit int) []header.Mailbox {
	list, more := header.ParseList(f.value(h, field), max(limit, 0))
	f.limited = f.limited || more
	return list
}

// message reads what a Message wants from its top header.
func (f *fields) message(m *Message, h *header.Header) {
	m.Envelope = f.envelope(h)
	m.References = nil
	for field := range h.All("References") {
		for _, id := range header.MessageIDs(h.Value(field), MaxRefs) {
			if f.keep(len(id)) {
				m.References = append(m.References, id)
			}
		}
		return
	}
}
