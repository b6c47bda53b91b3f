package mailstore

import (
	"context"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

const (
	// recovered is the mailbox that a repair puts messages into of which nobody knows any more where they were.
	recovered = "Recovered"
	// setAsideBy stands in the tombstones of entries that a repair has taken out.
	setAsideBy = "check"
)

// remakeState makes the account's row if it is missing; its counters are those of its other rows.
func (t *txn) remakeState(account int64) error {
	if _, err := t.Exec(`INSERT INTO account_state (account_id, modseq, uidvalidity, next_email, next_mailbox, messages, bytes,
		quota_bytes, separator, prefix) VALUES (?, 1, 0, 1, 1, 0, 0, 0, '/', '') ON CONFLICT DO NOTHING`, account); err != nil {
		return err
	}
	return t.raiseNumbers(account)
}

// remakeMailbox makes the row of a mailbox whose entries are there. Its name is new, and so is its UIDVALIDITY; its UIDs
// and counters are those of its entries.
func (t *txn) remakeMailbox(account, id int64, name Name) error {
	for depth := 1; depth < len(name); depth++ {
		if _, err := t.createIfMissing(account, name[:depth]); err != nil {
			return err
		}
	}
	validity, err := t.nextUIDValidity(account)
	if err != nil {
		return err
	}
	modseq, err := t.nextModSeq(account)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO mailbox (account_id, mailbox_id, name, role, uidvalidity, uidnext, modseq, expunge_floor,
		messages, unseen, deleted, bytes, created) VALUES (?, ?, ?, '', ?, 1, ?, ?, 0, 0, 0, 0, ?) ON CONFLICT DO NOTHING`,
		account, id, name.key(), validity, modseq, modseq, t.now.UnixMicro()); err != nil {
		return err
	}
	if err := t.recount(account, id); err != nil {
		return err
	}
	return t.raiseNumbers(account)
}

// recoverEmail puts an email that is nowhere into the mailbox Recovered.
func (t *txn) recoverEmail(account, email int64) error {
	var size, received, other int64
	found, err := t.QueryRow("SELECT size, received FROM email WHERE account_id = ? AND email_id = ?", account, email).Scan(&size, &received)
	if err != nil || !found {
		return err
	}
	if found, err := t.QueryRow("SELECT 1 FROM entry WHERE account_id = ? AND email_id = ? LIMIT 1", account, email).Scan(&other); err != nil || found {
		return err
	}
	box, err := t.createIfMissing(account, Name{recovered})
	if err != nil {
		return err
	}
	_, err = t.place(account, box, []Entry{{Email: email, Size: size, InternalDate: received / 1e6}})
	return err
}

// Place is where a message is.
type Place struct {
	Mailbox Name
	UID     uint32
}

// Places lists the mailboxes that have an email, and its UIDs there.
func (s *Store) Places(ctx context.Context, account, email int64) (list []Place, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query(`SELECT m.name, e.uid FROM entry e JOIN mailbox m ON m.account_id = e.account_id AND m.mailbox_id = e.mailbox_id
			WHERE e.account_id = ? AND e.email_id = ?`, account, email)
		for rows.Next() {
			list = append(list, Place{nameFromKey(rows.Text(0)), uint32(rows.Int64(1))})
		}
		return rows.Err()
	})
	return list, err
}

// SetAside takes an email whose bytes cannot be read out of all mailboxes. Its row and a tombstone for each place stay.
func (s *Store) SetAside(ctx context.Context, account, email int64) error {
	return s.write(ctx, func(t *txn) error {
		rows := t.Query("SELECT mailbox_id, "+entryColumns+" FROM entry WHERE account_id = ? AND email_id = ?", account, email)
		at := map[int64][]uint32{}
		for rows.Next() {
			at[rows.Int64(0)] = append(at[rows.Int64(0)], uint32(rows.Int64(1)))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for mailbox, uids := range at {
			var list []Entry
			for _, uid := range uids {
				e, err := t.entries(account, mailbox, []Range{{uid, uid}}, false)
				if err != nil {
					return err
				}
				list = append(list, e...)
			}
			if _, err := t.remove(account, mailbox, list, setAsideBy); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetStructure replaces the structure of an email by one that was parsed anew.
func (s *Store) SetStructure(ctx context.Context, account, email int64, structure []byte) error {
	return s.write(ctx, func(t *txn) error {
		_, err := t.Exec("UPDATE email SET structure = ? WHERE account_id = ? AND email_id = ?", structure, account, email)
		return err
	})
}

// Reference is an email's way to its bytes.
type Reference struct {
	Account, Email int64
	Ref            recipe.BlobRef
	Size           int64 // of the whole message
	Literals       int   // bytes in front of what the record has
	Structure      []byte
}

// ReferencedPacks calls fn for every pack that an email leads into, ascending.
func (s *Store) ReferencedPacks(ctx context.Context) (list []int64, err error) {
	for last := int64(-1 << 62); ; {
		found := false
		err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
			found, err = tx.QueryRow("SELECT pack FROM email WHERE pack > ? ORDER BY pack LIMIT 1", last).Scan(&last)
			return err
		})
		if err != nil || !found {
			return list, err
		}
		list = append(list, last)
	}
}

// References calls fn for every email that leads into a pack, outside of transactions. r and its slices are fn's.
func (s *Store) References(ctx context.Context, pack int64, structures bool, fn func(r Reference) error) error {
	for from := [4]int64{-1}; ; {
		var list []Reference
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(`SELECT account_id, email_id, pack, place, length, size, literals, structure FROM email
				WHERE pack = ? AND (place, length, account_id, email_id) > (?, ?, ?, ?) ORDER BY place, length, account_id, email_id LIMIT ?`,
				pack, from[0], from[1], from[2], from[3], emailSlice)
			for rows.Next() {
				r := Reference{Account: rows.Int64(0), Email: rows.Int64(1), Size: rows.Int64(5), Literals: rows.Len(6),
					Ref: recipe.BlobRef{Pack: rows.Int64(2), Offset: rows.Int64(3), Length: rows.Int64(4)}}
				if structures {
					r.Structure = rows.Bytes(7)
				}
				list = append(list, r)
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
		if len(list) < emailSlice {
			return nil
		}
		last := &list[len(list)-1]
		from = [4]int64{last.Ref.Offset, last.Ref.Length, last.Account, last.Email}
	}
}

// MarkDelivered notes in the ledger those recipients of a job that the given account's emails show to be served: one whose
// bytes are the record of ref.
func (s *Store) MarkDelivered(ctx context.Context, d *Delivery) (done bool, err error) {
	err = s.write(ctx, func(t *txn) error {
		var one int64
		ref := d.Email.Ref
		if done, err = t.QueryRow("SELECT 1 FROM email WHERE pack = ? AND account_id = ? AND place = ? LIMIT 1",
			ref.Pack, d.Account, ref.Offset).Scan(&one); err != nil || !done {
			return err
		}
		_, err := t.Exec("INSERT INTO delivered (queue_id, recipient_no) VALUES (?, ?) ON CONFLICT DO NOTHING", d.QueueID[:], d.Recipient)
		return err
	})
	return done, err
}
