package mailstore

import (
	"context"
	"slices"
)

// Placed is a copied or moved message: its UID before and after.
type Placed struct{ From, To uint32 }

// maxWhole bounds what one transaction places where a part of it would be wrong: everybody's mail waits for it, a second or
// more for so many.
const maxWhole = 100_000

// Copy makes entries of the same emails in another mailbox of the account, with flags and dates kept (RFC 9051 §6.4.7). It
// is all or nothing (RFC 9051 §6.4.7), in one transaction, and ErrLarge for more than 100,000 messages. The pairs ascend. Beyond
// the quota it returns status.ErrQuota.
func (s *Store) Copy(ctx context.Context, account, mailbox int64, ranges []Range, to Name) (uidValidity uint32, pairs []Placed, err error) {
	err = s.write(ctx, func(t *txn) error {
		dest, entries, err := t.source(account, mailbox, ranges, to)
		if err != nil {
			return err
		}
		var bytes int64
		for _, e := range entries {
			bytes += e.Size
		}
		if err := t.room(account, bytes); err != nil {
			return err
		}
		uidValidity = dest.UIDValidity
		pairs, err = t.place(account, dest.ID, entries)
		return err
	})
	return uidValidity, pairs, err
}

// Move is Copy and the removal of the source entries (RFC 6851): each message is at the old place or at the new one, never
// at both and never at neither. It goes in slices of maxSlice; pairs are those moved, also with an error. by is for the
// tombstones.
func (s *Store) Move(ctx context.Context, account, mailbox int64, ranges []Range, to Name, by string) (uidValidity uint32, pairs []Placed, err error) {
	pairs, err = inSlices(ctx, s, ranges, func(t *txn, ranges []Range) ([]Placed, []Range, error) {
		dest, err := findMailbox(t.Tx, account, to)
		if err != nil {
			return nil, nil, err
		}
		if uidValidity != 0 && dest.UIDValidity != uidValidity {
			return nil, nil, ErrNoMailbox // that one is another
		}
		uidValidity = dest.UIDValidity
		entries, rest, err := t.slice(account, mailbox, ranges)
		if err != nil {
			return nil, nil, err
		}
		placed, err := t.place(account, dest.ID, entries)
		if err == nil {
			_, err = t.remove(account, mailbox, entries, by)
		}
		return placed, rest, err
	})
	return uidValidity, pairs, err
}

func (t *txn) source(account, mailbox int64, ranges []Range, to Name) (Mailbox, []Entry, error) {
	dest, err := findMailbox(t.Tx, account, to)
	if err != nil {
		return dest, nil, err
	}
	if err := t.whole(account, mailbox, ranges); err != nil {
		return dest, nil, err
	}
	entries, err := t.entries(account, mailbox, ranges, true)
	return dest, entries, err
}

// whole refuses ranges of a mailbox that may hold more than maxWhole messages.
func (t *txn) whole(account, mailbox int64, ranges []Range) error {
	var messages, next, n int64
	_, err := t.QueryRow("SELECT messages, uidnext FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox).Scan(&messages, &next)
	if err != nil || messages <= maxWhole {
		return err
	}
	for _, r := range ranges {
		n += max(min(int64(r.Last), next-1)-int64(r.First)+1, 0)
	}
	if n > maxWhole {
		return ErrLarge
	}
	return nil
}

// place makes entries in a mailbox, with one modification sequence, and keeps all counters, the account's too.
func (t *txn) place(account, mailbox int64, entries []Entry) ([]Placed, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	modseq, err := t.nextModSeq(account)
	if err != nil {
		return nil, err
	}
	pairs, added := make([]Placed, len(entries)), slices.Clone(entries)
	for i := range added {
		added[i].ModSeq = modseq
	}
	if err := t.addEntries(account, mailbox, added, ""); err != nil {
		return nil, err
	}
	for i := range pairs {
		pairs[i] = Placed{From: entries[i].UID, To: added[i].UID}
	}
	return pairs, t.count(account, entries, 1)
}

// count adds (sign 1) or takes away (sign -1) entries in the account's counters.
func (t *txn) count(account int64, entries []Entry, sign int64) error {
	var bytes int64
	for _, e := range entries {
		bytes += e.Size
	}
	_, err := t.Exec("UPDATE account_state SET messages = messages + ?, bytes = bytes + ? WHERE account_id = ?",
		sign*int64(len(entries)), sign*bytes, account)
	return err
}
