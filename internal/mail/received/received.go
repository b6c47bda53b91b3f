// Package received writes and counts the trace fields of a message: Received (RFC 5321 §4.4), Return-Path and
// Delivered-To.
//
// What a client said of itself (HELO, its name) is hostile: it is written only as the grammar allows, everything else in
// it becomes a question mark. The package resolves no names and has no clock.
//
//	received.go  the Received field
//	trace.go     Return-Path, Delivered-To, counting
//
// Nothing here fails.
package received

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/header"
)

// maxName is the limit of a name a client gave, as it is written: RFC 5321 §4.5.3.1.2.
const maxName = 255

// Field is everything that a Received field tells.
type Field struct {
	Helo     string     // what the client said in HELO or EHLO, as it came; empty if it said nothing
	Name     string     // its name by reverse lookup, verified; empty if it has none
	IP       netip.Addr // its address; the zero Addr for mail that did not come over the network
	HideIP   bool       // submission: leave out name and address of the user's machine
	By       string     // our host name
	Note     string     // comment behind it; empty for none
	Protocol Protocol
	TLS      string // what was negotiated, e.g. "TLS1.3 TLS_AES_128_GCM_SHA256"; empty without TLS
	Account  string // the authenticated account, written as a comment when not empty; leave empty to hide it
	ID       string // queue id
	For      address.Address
	// Recipients is the number of recipients of the transaction. With more than one, For is not written, so that nobody
	// learns of the others (RFC 5321 §7.2).
	Recipients int
	Time       time.Time
}

// Protocol is what the with clause says.
type Protocol struct {
	LMTP  bool
	HELO  bool // the client said HELO, not EHLO: "SMTP"
	UTF8  bool // SMTPUTF8 was used
	TLS   bool
	Auth  bool
	Local string // mail that did not come by SMTP: a word such as "local" or "HTTP"; all else is ignored then
}

// String is the with clause: RFC 3848 and RFC 6531 §4.3.
func (p Protocol) String() string {
	if p.Local != "" {
		return atom(p.Local)
	}
	s := "ESMTP"
	switch {
	case p.LMTP && p.UTF8:
		s = "UTF8LMTP"
	case p.LMTP:
		s = "LMTP"
	case p.UTF8:
		s = "UTF8SMTP"
	case p.HELO && !p.TLS && !p.Auth:
		return "SMTP"
	}
	if p.TLS {
		s += "S"
	}
	if p.Auth {
		s += "A"
	}
	return s
}

// Append appends the field with CRLF, each clause on a line of its own. All lines stay within 998 octets.
func (f Field) Append(dst []byte) []byte {
	b := slices.Grow(dst, 384)
	b = append(b, "Received: "...)
	if f.Helo != "" || f.IP.IsValid() {
		b = append(append(append(b, "from "...), f.from()...), fold...)
	}
	b = append(append(b, "by "...), domain(f.By)...)
	if f.Note != "" {
		b = append(append(append(b, " ("...), commentText(f.Note)...), ')')
	}
	b = append(append(b, " with "...), f.Protocol.String()...)
	if f.ID != "" {
		b = append(append(b, " id "...), atom(f.ID)...)
	}
	if f.TLS != "" {
		b = append(append(append(b, fold+"("...), commentText(f.TLS)...), ')')
	}
	if f.Account != "" {
		b = append(append(append(b, fold+"(authenticated as "...), commentText(f.Account)...), ')')
	}
	end := ";" + fold
	// A local part above ASCII may stand there only if the message is one of SMTPUTF8, RFC 6531 §4.3.
	if f.Recipients == 1 && !f.For.IsZero() && (f.Protocol.UTF8 || !f.For.NeedsUTF8()) {
		b = append(append(b, fold+"for "...), f.For.Path()...)
		end = "; "
	}
	b = append(b, end...)
	return append(append(b, header.FormatDate(f.Time)...), '\r', '\n')
}

const fold = "\r\n\t"

// from is Extended-Domain of RFC 5321 §4.4: what the client said, then in a comment what is true.
func (f Field) from() string {
	helo := domain(f.Helo)
	if f.HideIP {
		return helo
	}
	if !f.IP.IsValid() {
		return helo
	}
	name := "unknown"
	if f.Name != "" {
		name = domain(f.Name)
	}
	return helo + " (" + name + " " + address.Literal(f.IP.Unmap()) + ")"
}

// domain writes a name that a client gave: a domain, or an address literal, or what is left of something else.
func domain(s string) string {
	if s == "" {
		return "unknown"
	}
	if d, err := address.CanonicalDomain(s); err == nil {
		return d
	}
	return atom(s)
}

// atom keeps letters, digits, and what no parser of trace fields stumbles over.
func atom(s string) string {
	return safe(s, func(c byte) bool { return strings.IndexByte("-._[]:", c) >= 0 })
}

// commentText keeps what may stand in a comment: RFC 5322 §3.2.2 without backslash and parentheses, and without the
// semicolon, at which simple readers look for the date.
func commentText(s string) string {
	return safe(s, func(c byte) bool { return c >= ' ' && c < 0x7f && strings.IndexByte(`()\;`, c) < 0 })
}

func safe(s string, also func(byte) bool) string {
	if len(s) > maxName {
		s = s[:maxName]
	}
	good := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || also(c)
	}
	i := 0
	for i < len(s) && good(s[i]) {
		i++
	}
	if i == len(s) {
		return s // the ordinary case, without a copy
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if !good(b[i]) {
			b[i] = '?'
		}
	}
	return string(b)
}
