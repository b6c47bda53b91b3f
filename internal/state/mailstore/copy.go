package mailstore

import "context"

// Placed is a copied or moved message: its UID before and after.
type Placed struct{ From, To uint32 }

// Copy makes entries of the same emails in another mailbox of the account, with flags and dates kept (RFC 9051 §6.4.7). It
// is all or nothing. The pairs ascend. Beyond the quota it returns status.ErrQuota.
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

// Move is Copy and the removal of the source entries in one transaction (RFC 6851). by is for the tombstones.
func (s *Store) Move(ctx context.Context, account, mailbox int64, ranges []Range, to Name, by string) (uidValidity uint32, pairs []Placed, err error) {
	err = s.write(ctx, func(t *txn) error {
		dest, entries, err := t.source(account, mailbox, ranges, to)
		if err != nil {
			return err
		}
		uidValidity = dest.UIDValidity
		if pairs, err = t.place(account, dest.ID, entries); err != nil || len(entries) == 0 {
			return err
		}
		_, err = t.remove(account, mailbox, entries, by)
		return err
	})
	return uidValidity, pairs, err
}

func (t *txn) source(account, mailbox int64, ranges []Range, to Name) (Mailbox, []Entry, error) {
	dest, err := findMailbox(t.Tx, account, to)
	if err != nil {
		return dest, nil, err
	}
	entries, err := t.entries(account, mailbox, ranges, true)
	return dest, entries, err
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
	n := int64(len(entries))
	var unseen, deleted, bytes, last int64
	for _, e := range entries {
		unseen += count(e.Flags&Seen == 0)
		deleted += count(e.Flags&Deleted != 0)
		bytes += e.Size
	}
	if _, err := t.QueryRow(`UPDATE mailbox SET uidnext = uidnext + ?, modseq = ?, messages = messages + ?, unseen = unseen + ?,
		deleted = deleted + ?, bytes = bytes + ? WHERE account_id = ? AND mailbox_id = ? RETURNING uidnext - 1`,
		n, modseq, n, unseen, deleted, bytes, account, mailbox).Scan(&last); err != nil {
		return nil, err
	}
	if last >= maxUID {
		return nil, ErrUIDs
	}
	pairs := make([]Placed, len(entries))
	added := make([]Entry, len(entries))
	for i, e := range entries {
		pairs[i].From = e.UID
		e.UID, e.ModSeq = uint32(last-n+1+int64(i)), modseq
		pairs[i].To, added[i] = e.UID, e
		if err := t.insertEntry(account, mailbox, &e, ""); err != nil {
			return nil, err
		}
	}
	t.changed(Change{Account: account, Mailbox: mailbox, ModSeq: modseq, Entries: added})
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
