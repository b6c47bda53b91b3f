package mailstore

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

// Listed is what POP3 knows of a message before it is fetched.
type Listed struct {
	UID  uint32
	Size int64
	UIDL string // unique id that an import set; "": none
}

// List calls fn for every entry of a mailbox, ascending by UID. Like Snapshot it reads in slices; what arrives meanwhile
// comes at the end, what goes meanwhile may be among those listed.
func (s *Store) List(ctx context.Context, account, mailbox int64, fn func(Listed)) error {
	for from := int64(1); ; {
		n := 0
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(`SELECT uid, size, uidl FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid >= ?
				ORDER BY uid LIMIT ?`, account, mailbox, from, snapshotSlice)
			for rows.Next() {
				l := Listed{UID: uint32(rows.Int64(0)), Size: rows.Int64(1), UIDL: rows.Text(2)}
				fn(l)
				from = int64(l.UID) + 1
				n++
			}
			return rows.Err()
		})
		if err != nil || n < snapshotSlice {
			return err
		}
	}
}

// EmailAt returns the email of the entry with a UID, without its structure; found is false where there is none any more.
func (s *Store) EmailAt(ctx context.Context, account, mailbox int64, uid uint32) (e *Email, found bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var id int64
		if there, err := tx.QueryRow("SELECT email_id FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid = ?",
			account, mailbox, uid).Scan(&id); err != nil || !there {
			return err
		}
		rows := tx.Query("SELECT "+emailColumns+" FROM email WHERE account_id = ? AND email_id = ?", account, id)
		defer rows.Close()
		if !rows.Next() {
			if rows.Err() != nil {
				return rows.Err()
			}
			return fmt.Errorf("email %d of account %d is missing", id, account)
		}
		e, found = &Email{Account: account}, true
		e.scan(rows)
		e.Structure = nil
		return rows.Err()
	})
	return e, found, err
}

// OpenWhole is Open for who will read all of the message: its bytes are verified however long it is.
func (s *Store) OpenWhole(ctx context.Context, e *Email) (*recipe.Reader, error) {
	r, err := s.Open(ctx, e)
	if err == nil && e.Ref.Length > verifyMax {
		err = s.blobs.Verify(ctx, e.Ref)
	}
	return r, err
}
