package dsn

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// maxReturned is the limit of literal bytes (trace fields and the like) of the returned message; the rest of
// recipe.MaxLiteral is for the report itself.
const maxReturned = 16 << 10

// Build makes the notification.
func (r *Report) Build() (*Message, error) {
	if len(r.Recipients) == 0 {
		return nil, ErrTooMany
	}
	m := &Message{UTF8: r.utf8()}
	boundary := "=_report_" + strings.Map(boundaryChar, r.ID)
	text := r.text()
	m.EightBit = r.Original.EightBit || m.UTF8 || !isASCII(text)

	b := r.header(boundary, m)
	b = append(b, "This is a delivery report in MIME format.\r\n\r\n--"+boundary+"\r\n"...)
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Description: Notification\r\n"...)
	b = append(b, encodingOf(text)...)
	b = append(b, "\r\n"+text+"\r\n--"+boundary+"\r\n"...)
	if m.UTF8 {
		b = append(b, "Content-Type: message/global-delivery-status\r\n"...) // RFC 6533 §4
	} else {
		b = append(b, "Content-Type: message/delivery-status\r\n"...)
	}
	fields := r.fields(nil, m.UTF8)
	b = append(b, "Content-Description: Delivery report\r\n"+encodingOf(string(fields))+"\r\n"...)
	b = append(b, fields...)

	returned, partType, description := r.returned(m.UTF8)
	b = append(b, "\r\n--"+boundary+"\r\nContent-Type: "+partType+"\r\nContent-Description: "+description+"\r\n"...)
	if r.Original.EightBit {
		b = append(b, "Content-Transfer-Encoding: 8bit\r\n"...)
	}
	b = append(b, "\r\n"...)
	m.Recipe = append(recipe.Recipe{recipe.Literal(b)}, returned...)
	m.Recipe = append(m.Recipe, recipe.Literal([]byte("\r\n--"+boundary+"--\r\n")))
	if m.Recipe.Check() != nil {
		return nil, ErrTooMany
	}
	return m, nil
}

func (r *Report) header(boundary string, m *Message) []byte {
	host := address.Address{Local: "MAILER-DAEMON", Domain: r.Host}
	b := header.AppendField(nil, "From", "Mail Delivery System <"+host.String()+">")
	b = header.AppendField(b, "To", r.To.Path())
	b = header.AppendField(b, "Subject", r.subject())
	b = header.AppendField(b, "Date", header.FormatDate(r.Date))
	b = header.AppendField(b, "Message-ID", "<"+r.ID+"@"+r.Host+">")
	if id := r.Original.MessageID; id != "" && isASCII(id) && !strings.ContainsAny(id, "<> \t\r\n") {
		b = header.AppendField(b, "In-Reply-To", "<"+id+">")
		b = header.AppendField(b, "References", "<"+id+">")
	}
	auto := "auto-replied" // RFC 3834 §5
	if r.Audience != Sender {
		auto = "auto-generated" // it answers nothing of the postmaster's
	}
	b = append(b, "Auto-Submitted: "+auto+"\r\nMIME-Version: 1.0\r\n"...)
	b = header.AppendField(b, "Content-Type", `multipart/report; report-type=delivery-status; boundary="`+boundary+`"`)
	if m.EightBit {
		b = append(b, "Content-Transfer-Encoding: 8bit\r\n"...)
	}
	return append(b, '\r', '\n')
}

// returned is the message or its header, with the type of the part. RFC 3461 §4.3: all of it only when a delivery has
// failed and the sender did not ask for the header alone.
func (r *Report) returned(utf8 bool) (body recipe.Recipe, partType, description string) {
	o := &r.Original
	full := false
	for i := range r.Recipients {
		full = full || r.Recipients[i].Action == Failed
	}
	// A binary body cannot stand inside a message without BINARYMIME, RFC 3030 §3.
	full = full && o.Ret != envelope.RetHeaders && o.Message.Size() <= o.MaxReturn && o.Body != envelope.BodyBinaryMIME
	if body = o.Message; !full {
		body = body.Slice(0, o.HeaderSize)
	}
	literal := 0
	for _, s := range body {
		literal += len(s.Literal)
	}
	if literal > maxReturned { // then without what was added on the way
		var stored recipe.Recipe
		for _, s := range body {
			if s.Literal == nil {
				stored = append(stored, s)
			}
		}
		body = stored
	}
	switch {
	case full && utf8:
		return body, "message/global", "Undelivered message"
	case full:
		return body, "message/rfc822", "Undelivered message"
	case utf8:
		return body, "message/global-headers", "Header of the message"
	}
	return body, "text/rfc822-headers", "Header of the message"
}

// utf8 tells whether the report must be one of RFC 6533.
func (r *Report) utf8() bool {
	if r.Original.UTF8 || r.To.NeedsUTF8() {
		return true
	}
	for i := range r.Recipients {
		if r.Recipients[i].Final.NeedsUTF8() {
			return true
		}
	}
	return false
}

func encodingOf(body string) string {
	if isASCII(body) {
		return ""
	}
	return "Content-Transfer-Encoding: 8bit\r\n"
}

// boundaryChar drops what RFC 2046 §5.1.1 does not have in a boundary.
func boundaryChar(c rune) rune {
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
		return c
	}
	return -1
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
