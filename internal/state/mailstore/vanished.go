package mailstore

import (
	"context"
	"slices"

	"github.com/postrider/postrider/internal/state/db"
)

// Vanished returns the UIDs of a mailbox that were expunged after a modification sequence, ascending (RFC 7162 §3.2). known
// is false when the tombstones no longer reach back so far: then the list is not complete.
func (s *Store) Vanished(ctx context.Context, account, mailbox, since int64) (uids []uint32, known bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		uids = uids[:0]
		var floor int64
		found, err := tx.QueryRow("SELECT expunge_floor FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox).Scan(&floor)
		if err != nil {
			return err
		}
		if !found {
			return ErrNoMailbox
		}
		if known = since >= floor; !known {
			return nil
		}
		rows := tx.Query("SELECT uid FROM expunged WHERE account_id = ? AND mailbox_id = ? AND modseq > ?", account, mailbox, since)
		for rows.Next() {
			uids = append(uids, uint32(rows.Int64(0)))
		}
		return rows.Err()
	})
	slices.Sort(uids)
	return uids, known, err
}

// DeletedBytes is the size of a mailbox's messages with \Deleted.
func (s *Store) DeletedBytes(ctx context.Context, account, mailbox int64) (n int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT COALESCE(SUM(size), 0) FROM entry WHERE account_id = ? AND mailbox_id = ? AND flags & 8 <> 0",
			account, mailbox).Scan(&n)
		return err
	})
	return n, err
}

// EntriesOf returns the UIDs that an email has in a mailbox, ascending.
func (s *Store) EntriesOf(ctx context.Context, account, mailbox, email int64) (uids []uint32, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		uids, err = entriesOf(tx, account, mailbox, email, nil)
		return err
	})
	slices.Sort(uids)
	return uids, err
}

func entriesOf(tx *db.Tx, account, mailbox, email int64, dst []uint32) ([]uint32, error) {
	rows := tx.Query("SELECT uid FROM entry WHERE account_id = ? AND email_id = ? AND mailbox_id = ?", account, email, mailbox)
	for rows.Next() {
		dst = append(dst, uint32(rows.Int64(0)))
	}
	return dst, rows.Err()
}

// EntriesOfThread returns the UIDs that the emails of a thread have in a mailbox, ascending. A thread has the number of its
// first email, so only the emails from there on are looked at.
func (s *Store) EntriesOfThread(ctx context.Context, account, mailbox, thread int64) (uids []uint32, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		uids = uids[:0]
		var emails []int64
		rows := tx.Query("SELECT email_id FROM email WHERE account_id = ? AND email_id >= ? AND thread_id = ?", account, thread, thread)
		for rows.Next() {
			emails = append(emails, rows.Int64(0))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, id := range emails {
			if uids, err = entriesOf(tx, account, mailbox, id, uids); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(uids)
	return uids, err
}
