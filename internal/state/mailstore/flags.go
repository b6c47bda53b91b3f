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

// updateFlags writes what StoreFlags has changed. Neighbours in the mailbox that were changed and have the same keywords now
// are one statement: a STORE of a hundred messages is mostly one. entries is what the change looked at in ranges, changed those of
// them that it changed, as they are now.
func (t *txn) updateFlags(p place, ranges []Range, entries, changed []Entry, c FlagChange) error {
	at := 0 // in entries
	for len(changed) > 0 {
		for entries[at].UID != changed[0].UID {
			at++
		}
		for ranges[0].Last < changed[0].UID {
			ranges = ranges[1:]
		}
		asked, run := ranges[0], 1 // beyond it there may be messages that nobody asked for
		for run < len(changed) && entries[at+run].UID == changed[run].UID && changed[run].UID <= asked.Last && changed[run].Keywords == changed[0].Keywords {
			run++
		}
		first, last := &changed[0], &changed[run-1]
		keep, set := c.Op.mask(c.Flags)
		if _, err := t.Exec(`UPDATE entry SET flags = (flags & ?) | ?, keywords = ?, modseq = ?
			WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ?`,
			keep, set, first.Keywords, first.ModSeq, p.account, p.mailbox, first.UID, last.UID); err != nil {
			return err
		}
		changed, at = changed[run:], at+run
	}
	return nil
}

// mask is the operation on the system flags as one formula: those that are kept, and those that are set then.
func (op FlagOp) mask(f Flags) (keep, set int64) {
	switch op {
	case AddFlags:
		return allBits, int64(f)
	case RemoveFlags:
		return allBits &^ int64(f), 0
	}
	return 0, int64(f)
}

const allBits = 0xff // of Flags
