package imap

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of mailbox names.
const (
	maxNameBytes = 1000
	maxNameDepth = 40
)

// name makes a Name of what the client wrote (already decoded to UTF-8).
func (n Namespaces) name(s string) (Name, error) {
	// RFC 9051 §6.3.4: a separator at the end says that children will follow.
	s = strings.TrimSuffix(s, n.Separator)
	if len(s) > maxNameBytes || !utf8.ValidString(s) {
		return nil, no("CANNOT", "Mailbox name too long or not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' { // RFC 9051 §5.1, RFC 5198 §2
			return nil, no("CANNOT", "Mailbox name has a control character")
		}
	}
	out := Name(strings.Split(norm.NFC.String(s), n.Separator))
	if strings.EqualFold(out[0], "INBOX") { // RFC 9051 §5.1: in any case
		out[0] = "INBOX"
	} else if n.Personal != "" && !n.foreign(s) {
		rest, ok := strings.CutPrefix(strings.Join(out, n.Separator), n.Personal)
		if !ok {
			return nil, no("CANNOT", "Mailbox names begin with "+n.Personal)
		}
		out = strings.Split(rest, n.Separator)
	}
	if slices.Contains(out, "") {
		return nil, no("CANNOT", "Mailbox name has an empty level")
	}
	if len(out) > maxNameDepth {
		return nil, no("CANNOT", "Mailbox name has too many levels")
	}
	return out, nil
}

// foreign tells whether a name belongs to another namespace than the personal one.
func (n Namespaces) foreign(s string) bool {
	return n.Other != "" && strings.HasPrefix(s, n.Other) || n.Shared != "" && strings.HasPrefix(s, n.Shared)
}

// show is the name as clients see it, in UTF-8.
func (n Namespaces) show(name Name) string {
	s := strings.Join(name, n.Separator)
	if n.Personal != "" && name[0] != "INBOX" && !n.foreign(s) {
		s = n.Personal + s
	}
	return s
}
