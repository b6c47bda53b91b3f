// Package address is the mail address of RFC 5321 §4.1.2 with the internationalisation of RFC 6531: parsing of paths and
// mailboxes, canonical domains, comparison.
//
// A Address is a value: local part as given (unquoted), domain as lower-case A-labels or as an address literal in square
// brackets. The zero Address is the null reverse-path "<>".
package address

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
