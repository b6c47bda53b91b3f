// Package address is the mail address of RFC 5321 §4.1.2 with the internationalisation of RFC 6531: parsing of paths and
// mailboxes, canonical domains, comparison.
//
// An Address is a value: local part as given (unquoted), domain as lower-case A-labels or as an address literal in square
// brackets. The zero Address is the null reverse-path "<>".
//
// The package never looks anything up, never changes the case of a local part, and knows nothing of the address lists of
// a message's header (RFC 5322 §3.4): those are in package header.
//
//	address.go   the type, how it is written, comparison
//	parse.go     paths and mailboxes as SMTP writes them
//	domain.go    domains: A-labels, U-labels, address literals
//	errors.go    what can be wrong with an address, and the reply that says so
//
// Every failure is an *Error; its Status method makes the reply.
package address

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Address is one mailbox address. Local holds the local part without quotes or escapes, never changed in case; Domain
// holds the domain in lower-case A-labels without a final dot, or an address literal with its brackets ("[192.0.2.1]",
// "[IPv6:2001:db8::1]"). Both are empty in the null reverse-path. Domain alone is empty for the special recipient
// "postmaster" without a domain (RFC 5321 §4.5.1).
type Address struct {
	Local  string
	Domain string
}

// IsZero tells whether a is the null reverse-path.
func (a Address) IsZero() bool { return a.Local == "" && a.Domain == "" }

// IsPostmaster tells whether a is "postmaster" without a domain, RFC 5321 §4.5.1.
func (a Address) IsPostmaster() bool {
	return a.Domain == "" && strings.EqualFold(a.Local, "postmaster")
}

// String writes the address as SMTP and a header do, the local part quoted where it must be: a@example.org,
// "a b"@example.org. The null reverse-path is the empty string.
func (a Address) String() string {
	switch {
	case a.IsZero():
		return ""
	case a.Domain == "":
		return quoteLocal(a.Local)
	}
	return quoteLocal(a.Local) + "@" + a.Domain
}

// Path writes the address in angle brackets: "<a@example.org>", "<>".
func (a Address) Path() string { return "<" + a.String() + ">" }

// Display is String with the domain in U-labels, for people.
func (a Address) Display() string {
	if a.Domain == "" {
		return a.String()
	}
	return quoteLocal(a.Local) + "@" + DisplayDomain(a.Domain)
}

// NeedsUTF8 tells whether the address can only travel with SMTPUTF8 (RFC 6531 §3.3). The domain is in A-labels, so the
// local part decides.
func (a Address) NeedsUTF8() bool { return !isASCII(a.Local) }

// Equal tells whether a and b are one mailbox in a domain of our own: local parts compared as FoldLocal does.
func (a Address) Equal(b Address) bool {
	return a.Domain == b.Domain && (a.Local == b.Local || FoldLocal(a.Local) == FoldLocal(b.Local))
}

// Key is the same for addresses that are Equal; for maps and tables. It is no address to send to.
func (a Address) Key() string { return FoldLocal(a.Local) + "@" + a.Domain }

// FoldLocal brings the local part of one of our own domains to the form in which it is compared: NFC, ASCII letters in
// lower case. Local parts of other domains are never changed (RFC 5321 §2.4).
func FoldLocal(local string) string {
	if isASCII(local) {
		return lowerASCII(local)
	}
	return lowerASCII(norm.NFC.String(local))
}

// SplitDelimiter splits a local part at the first of the delimiter characters: "a+b" with "+" is "a", "b", true. A
// delimiter in front of everything splits nothing. The exact local part is always tried before the split one.
func SplitDelimiter(local, delims string) (base, extension string, ok bool) {
	i := strings.IndexAny(local, delims)
	if delims == "" || i < 1 {
		return local, "", false
	}
	_, width := utf8.DecodeRuneInString(local[i:])
	return local[:i], local[i+width:], true
}

// quoteLocal writes a local part as Dot-string where it is one, else as Quoted-string with as few escapes as possible
// (RFC 5321 §4.1.2).
func quoteLocal(local string) string {
	if isDotString(local) {
		return local
	}
	var b strings.Builder
	b.Grow(len(local) + 4)
	b.WriteByte('"')
	for i := 0; i < len(local); i++ {
		if local[i] == '"' || local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	return b.String()
}

// isDotString is Dot-string of RFC 5321 §4.1.2 with UTF8-non-ascii of RFC 6531 §3.3 as atext.
func isDotString(s string) bool {
	prev := byte('.')
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '.' && prev == '.' || c != '.' && !isAtext(c) {
			return false
		}
		prev = s[i]
	}
	return prev != '.'
}

// isAtext is atext of RFC 5322 §3.2.3; bytes above ASCII count, RFC 6532 §3.2.
func isAtext(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c >= utf8.RuneSelf:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
