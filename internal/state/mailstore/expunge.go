package mailstore

import (
	"context"
	"slices"
)

// Expunge removes the messages marked \Deleted whose UIDs lie in ranges (RFC 9051 §6.4.9; for EXPUNGE all UIDs). They
// stay as tombstones. It goes in slices of maxSlice. It returns the UIDs removed, ascending, also with an error.
func (s *Store) Expunge(ctx context.Context, account, mailbox int64, ranges []Range, by string) (uids []uint32, err error) {
	return inSlices(ctx, s, ranges, func(t *txn, ranges []Range) ([]uint32, []Range, error) {
		var deleted int64
		found, err := t.QueryRow("SELECT deleted FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox).Scan(&deleted)
		if err != nil {
			return nil, nil, err
		}
		if !found {
			return nil, nil, ErrNoMailbox
		}
		if deleted == 0 {
			return nil, nil, nil // the ordinary EXPUNGE with nothing to do costs no scan
		}
		entries, rest, err := t.slice(account, mailbox, ranges)
		if err != nil {
			return nil, nil, err
		}
		gone := slices.DeleteFunc(entries, func(e Entry) bool { return e.Flags&Deleted == 0 })
		uids, err := t.remove(account, mailbox, gone, by)
		return uids, rest, err
	})
}

// Remove is Expunge without the condition: the messages go whatever their flags.
func (s *Store) Remove(ctx context.Context, account, mailbox int64, ranges []Range, by string) (uids []uint32, err error) {
	return inSlices(ctx, s, ranges, func(t *txn, ranges []Range) ([]uint32, []Range, error) {
		entries, rest, err := t.slice(account, mailbox, ranges)
		if err != nil {
			return nil, nil, err
		}
		uids, err := t.remove(account, mailbox, entries, by)
		return uids, rest, err
	})
}

// remove turns entries into tombstones and keeps all counters, the account's too.
func (t *txn) remove(account, mailbox int64, entries []Entry, by string) (uids []uint32, err error) {
	if len(entries) == 0 {
		return nil, nil
	}
	modseq, err := t.nextModSeq(account)
	if err != nil {
		return nil, err
	}
	var unseen, deleted, bytes int64
	for _, e := range entries {
		if _, err := t.Exec("INSERT INTO expunged (account_id, mailbox_id, uid, email_id, modseq, at, by_session) VALUES (?, ?, ?, ?, ?, ?, ?)",
			account, mailbox, e.UID, e.Email, modseq, t.now.UnixMicro(), by); err != nil {
			return nil, err
		}
		if _, err := t.Exec("DELETE FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid = ?", account, mailbox, e.UID); err != nil {
			return nil, err
		}
		unseen += count(e.Flags&Seen == 0)
		deleted += count(e.Flags&Deleted != 0)
		bytes += e.Size
		uids = append(uids, e.UID)
	}
	if _, err := t.Exec(`UPDATE mailbox SET modseq = ?, messages = messages - ?, unseen = unseen - ?, deleted = deleted - ?,
		bytes = bytes - ? WHERE account_id = ? AND mailbox_id = ?`, modseq, len(entries), unseen, deleted, bytes, account, mailbox); err != nil {
		return nil, err
	}
	t.changed(Change{Account: account, Mailbox: mailbox, ModSeq: modseq, Expunged: uids})
	return uids, t.count(account, entries, -1)
}
