package greylist

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// Sender is what a sender counts as: without what changes from message to message.
func Sender(a address.Address) string {
	if a.IsZero() {
		return "<>"
	}
	local, domain := strings.ToLower(a.Local), strings.ToLower(a.Domain)
	local, domain = unwrap(local, domain)
	// VERP: bounce-list-user=example.org, and the detail of list+1234.
	if i := strings.IndexByte(local, '+'); i > 0 {
		local = local[:i]
	}
	if i := strings.IndexByte(local, '='); i > 0 {
		// The recipient's own name stands before its "=": up to what separates it from the list's.
		cut := strings.LastIndexAny(local[:i], "-_.")
		local = local[:max(cut, 0)] + "="
	}
	return digits(local) + "@" + domain
}

// unwrap takes off what forwarders and signers of senders put on: SRS and BATV.
func unwrap(local, domain string) (string, string) {
	switch {
	case strings.HasPrefix(local, "prvs="), strings.HasPrefix(local, "btv1="): // prvs=tag=local, btv1==tag==local
		parts := strings.FieldsFunc(local, func(r rune) bool { return r == '=' })
		return parts[len(parts)-1], domain
	case len(local) > 5 && strings.HasPrefix(local, "srs") && (local[3] == '0' || local[3] == '1') && strings.IndexByte("=+-", local[4]) >= 0:
		// srs0=hash=time=domain=local: what is after the time is who sent it first; srs1=hash=host==hash=time=domain=local
		parts := strings.FieldsFunc(local[5:], func(r rune) bool { return r == '=' })
		if n := len(parts); n >= 2 {
			return "srs " + parts[n-1], parts[n-2] + " " + domain
		}
	}
	return local, domain
}

// digits writes each run of digits, and each long run of hexadecimal ones, as "#".
func digits(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		n, figures := 0, 0
		for i+n < len(s) && isHex(s[i+n]) {
			if s[i+n] <= '9' {
				figures++
			}
			n++
		}
		if figures == 0 && n > 0 {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		if n >= 8 {
			b.WriteByte('#')
			i += n
			continue
		}
		if isDigit(s[i]) {
			for i < len(s) && isDigit(s[i]) {
				i++
			}
			b.WriteByte('#')
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || c >= 'a' && c <= 'f' }
