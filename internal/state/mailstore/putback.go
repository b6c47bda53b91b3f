package mailstore

import (
	"context"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

// putBackBy stands in the tombstones of entries that were put back after all.
const putBackBy = setAsideBy + ", put back"

// TakenOut calls fn, outside of transactions, for every email that SetAside has taken out of its last mailbox.
func (s *Store) TakenOut(ctx context.Context, fn func(Reference) error) error {
	from := [3]int64{-1, -1, -1}
	for more := true; more; {
		var list []Reference
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			list = nil
			rows := tx.Query(`SELECT x.account_id, x.mailbox_id, x.uid, m.email_id, m.pack, m.place, m.length, m.size, m.literals FROM expunged x
				JOIN email m ON m.account_id = x.account_id AND m.email_id = x.email_id
				WHERE x.by_session = ? AND (x.account_id, x.mailbox_id, x.uid) > (?, ?, ?)
				AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.account_id = x.account_id AND e.email_id = x.email_id)
				ORDER BY x.account_id, x.mailbox_id, x.uid LIMIT ?`, setAsideBy, from[0], from[1], from[2], emailSlice)
			for rows.Next() {
				from = [3]int64{rows.Int64(0), rows.Int64(1), rows.Int64(2)}
				list = append(list, Reference{Account: from[0], Email: rows.Int64(3), Size: rows.Int64(7), Literals: rows.Len(8),
					Ref: recipe.BlobRef{Pack: rows.Int64(4), Offset: rows.Int64(5), Length: rows.Int64(6)}})
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for _, r := range list {
			if err := fn(r); err != nil {
				return err
			}
		}
		more = len(list) == emailSlice
	}
	return nil
}

// PutBack puts an email that SetAside took out into the mailboxes that it was in, where they are still there, else into
// Recovered. Its flags are not known any more.
func (s *Store) PutBack(ctx context.Context, account, email int64) error {
	return s.write(ctx, func(t *txn) error {
		var boxes []int64
		rows := t.Query(`SELECT DISTINCT x.mailbox_id FROM expunged x JOIN mailbox m ON m.account_id = x.account_id AND m.mailbox_id = x.mailbox_id
			WHERE x.account_id = ? AND x.email_id = ? AND x.by_session = ? ORDER BY x.mailbox_id`, account, email, setAsideBy)
		for rows.Next() {
			boxes = append(boxes, rows.Int64(0))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		// What its reader removes from now on stays removed.
		if _, err := t.Exec("UPDATE expunged SET by_session = ? WHERE account_id = ? AND by_session = ? AND email_id = ?",
			putBackBy, account, setAsideBy, email); err != nil {
			return err
		}
		if len(boxes) == 0 {
			return t.recoverEmail(account, email)
		}
		var size, received int64
		if found, err := t.QueryRow("SELECT size, received FROM email WHERE account_id = ? AND email_id = ?", account, email).Scan(&size, &received); err != nil || !found {
			return err
		}
		for _, box := range boxes {
			if _, err := t.place(account, box, []Entry{{Email: email, Size: size, InternalDate: received / 1e6}}); err != nil {
				return err
			}
		}
		return nil
	})
}
