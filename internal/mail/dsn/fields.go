package dsn

import (
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/header"
)

// maxWords is how much of a remote host's answer is quoted; RFC 5321 §4.5.3.1.5 allows 512 octets a line.
const (
	maxWords = 512
	maxLines = 10
)

// fields appends the groups of message/delivery-status, RFC 3464 §2.1.
func (r *Report) fields(dst []byte, utf8 bool) []byte {
	value := func(s string) string { return plain(s, utf8) }
	if r.EnvID != "" {
		dst = header.AppendField(dst, "Original-Envelope-Id", value(r.EnvID))
	}
	dst = header.AppendField(dst, "Reporting-MTA", "dns; "+value(r.Host))
	dst = appendDate(dst, "Arrival-Date", r.Arrival)
	for i := range r.Recipients {
		p := &r.Recipients[i]
		dst = append(dst, '\r', '\n')
		if typ, addr, ok := strings.Cut(p.ORcpt, ";"); ok { // RFC 3464 §2.3.1
			dst = header.AppendField(dst, "Original-Recipient", value(typ)+"; "+value(addr))
		}
		addrType := "rfc822; "
		if p.Final.NeedsUTF8() { // RFC 6533 §3
			addrType = "utf-8; "
		}
		dst = header.AppendField(dst, "Final-Recipient", addrType+value(p.Final.String()))
		dst = header.AppendField(dst, "Action", p.Action.String())
		dst = header.AppendField(dst, "Status", p.statusCode())
		if p.Remote != "" {
			dst = header.AppendField(dst, "Remote-MTA", "dns; "+value(p.Remote))
		}
		if p.Diagnostic != "" {
			typ := "X-Postrider; "
			if p.Remote != "" {
				typ = "smtp; "
			}
			dst = header.AppendField(dst, "Diagnostic-Code", typ+value(strings.Join(words(p.Diagnostic), " ")))
		}
		dst = appendDate(dst, "Last-Attempt-Date", p.LastAttempt)
		if r.OriginalID != "" {
			dst = header.AppendField(dst, "Final-Log-ID", value(r.OriginalID))
		}
		if p.Action == Delayed {
			dst = appendDate(dst, "Will-Retry-Until", p.RetryUntil)
		}
	}
	return dst
}

// statusCode is the Status field; where nobody gave an enhanced code, the class of the action: RFC 3464 §2.3.4.
func (p *Recipient) statusCode() string {
	switch {
	case !p.Status.IsZero():
		return p.Status.String()
	case p.Action == Failed:
		return "5.0.0"
	case p.Action == Delayed:
		return "4.0.0"
	}
	return "2.0.0"
}

func appendDate(dst []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return header.AppendField(dst, name, header.FormatDate(t))
}

// words are the lines of a remote host's answer, without control characters, up to maxWords.
func words(s string) []string {
	if len(s) > maxWords {
		s = s[:maxWords] + "…"
	}
	var out []string
	for line := range strings.SplitSeq(header.DecodeRaw([]byte(strings.ToValidUTF8(s, "?"))), "\n") {
		if line = strings.TrimSpace(strings.Map(printable, line)); line != "" && len(out) < maxLines {
			out = append(out, line)
		}
	}
	return out
}

func printable(c rune) rune {
	if c < ' ' || c == 0x7f || 0x80 <= c && c < 0xa0 || c == '\u2028' || c == '\u2029' {
		return ' '
	}
	return c
}

// plain makes one line of s, in ASCII unless utf8 is allowed.
func plain(s string, utf8 bool) string {
	s = strings.ToValidUTF8(s, "?")
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c = printable(c); c >= 0x80 && !utf8 {
			if c == '…' {
				return -1
			}
			return '?'
		}
		return c
	}, s))
}
