package mailstore

import (
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/status"
)

// Flags is the set of system flags of an entry (RFC 9051 §2.3.2). The bits are part of the database format. \Recent is
// not among them: it belongs to sessions.
type Flags uint8

// The system flags.
const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

// Limits of keywords.
const (
	MaxKeywords      = 100 // on one message
	MaxKeywordLength = 100 // bytes
)

// Keywords makes the canonical form of a set of keywords: ascending by lower case, no two that differ only in case,
// joined by one space. It refuses what is not an atom (RFC 9051 §9, flag-keyword), and too many.
func Keywords(words ...string) (string, error) {
	if len(words) == 0 {
		return "", nil
	}
	k := slices.Clone(words)
	for _, w := range k {
		if w == "" || len(w) > MaxKeywordLength || strings.ContainsFunc(w, notAtom) {
			return "", status.Perm(550, 6, 0, `Not a valid keyword: 1 to 100 characters, no spaces, none of (){%*"\]`)
		}
	}
	slices.SortStableFunc(k, compareFold) // of two that differ only in case the first stays
	k = slices.CompactFunc(k, strings.EqualFold)
	if len(k) > MaxKeywords {
		return "", status.Perm(550, 6, 0, "Too many keywords on one message: the limit is 100")
	}
	return strings.Join(k, " "), nil
}

func notAtom(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r) }

func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// FlagOp is what a change does with the flags it names.
type FlagOp uint8

// The operations of STORE (RFC 9051 §6.4.6).
const (
	AddFlags FlagOp = iota
	RemoveFlags
	ReplaceFlags
)

// apply returns the flags and canonical keywords after the operation.
func (op FlagOp) apply(flags Flags, keywords string, f Flags, k string) (Flags, string, error) {
	switch op {
	case AddFlags:
		if k == "" || k == keywords {
			return flags | f, keywords, nil
		}
		merged, err := Keywords(append(strings.Fields(keywords), strings.Fields(k)...)...)
		return flags | f, merged, err
	case RemoveFlags:
		if k == "" || keywords == "" {
			return flags &^ f, keywords, nil
		}
		drop := strings.Fields(k)
		kept := slices.DeleteFunc(strings.Fields(keywords), func(w string) bool {
			return slices.ContainsFunc(drop, func(d string) bool { return strings.EqualFold(d, w) })
		})
		return flags &^ f, strings.Join(kept, " "), nil
	}
	return f, k, nil
}
