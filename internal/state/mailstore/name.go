package mailstore

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/status"
	"golang.org/x/text/unicode/norm"
)

// Name is a mailbox's name: its components from the root, each in Unicode NFC, without the separator in any of them.
// INBOX is one component and matches in any case (RFC 9051 §5.1).
type Name []string

// Limits of names.
const (
	MaxNameBytes = 1000 // of all components together
	MaxNameDepth = 40
)

// Inbox is the name of every account's INBOX.
var inbox = Name{"INBOX"}

// Inbox returns the name of every account's INBOX.
func Inbox() Name { return inbox }

const componentSeparator = "\x1f"

// MakeName normalises components and checks them. The error is fit for the client.
func MakeName(components ...string) (Name, error) {
	if len(components) == 0 || len(components) > MaxNameDepth {
		return nil, status.Perm(550, 6, 0, "Mailbox name has no components, or too many levels")
	}
	n := make(Name, len(components))
	total := 0
	for i, c := range components {
		if c == "" {
			return nil, status.Perm(550, 6, 0, "Mailbox name has an empty level")
		}
		if !utf8.ValidString(c) {
			return nil, status.Perm(550, 6, 0, "Mailbox name is not valid UTF-8")
		}
		for _, r := range c {
			if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' { // RFC 5198 §2, RFC 9051 §5.1
				return nil, status.Perm(550, 6, 0, "Mailbox name has a control character")
			}
		}
		n[i] = norm.NFC.String(c)
		total += len(n[i]) + 1
	}
	if total > MaxNameBytes {
		return nil, status.Perm(550, 6, 0, "Mailbox name is too long")
	}
	if strings.EqualFold(n[0], inbox[0]) {
		n[0] = inbox[0]
	}
	return n, nil
}

// ParseName splits what a client wrote at the separator. One trailing separator is taken as "children will follow"
// (RFC 9051 §6.3.4) and dropped.
func ParseName(s, separator string) (Name, error) {
	return MakeName(strings.Split(strings.TrimSuffix(s, separator), separator)...)
}

// Join shows the name with a separator.
func (n Name) Join(separator string) string { return strings.Join(n, separator) }

// IsInbox tells whether n is INBOX itself.
func (n Name) IsInbox() bool { return len(n) == 1 && n[0] == inbox[0] }

// Equal compares component by component.
func (n Name) Equal(o Name) bool { return n.key() == o.key() }

// Under tells whether n is a descendant of parent.
func (n Name) Under(parent Name) bool {
	return len(n) > len(parent) && Name(n[:len(parent)]).Equal(parent)
}

// key is the name as the database holds it.
func (n Name) key() string { return strings.Join(n, componentSeparator) }

func nameFromKey(k string) Name { return strings.Split(k, componentSeparator) }
