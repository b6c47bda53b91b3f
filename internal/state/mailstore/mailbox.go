package mailstore

import (
	"context"

	"github.com/postrider/postrider/internal/state/db"
)

// Mailbox is a mailbox with its counters.
type Mailbox struct {
	ID          int64
	Name        Name
	Role        string // special use, lower case without the backslash (RFC 6154); "" for none
	UIDValidity uint32
	UIDNext     uint32
	ModSeq      int64
	Messages    int64
	Unseen      int64
	Deleted     int64
	Bytes       int64
}

const mailboxColumns = "mailbox_id, name, role, uidvalidity, uidnext, modseq, messages, unseen, deleted, bytes"

func scanMailbox(r *db.Rows) Mailbox {
	return Mailbox{ID: r.Int64(0), Name: nameFromKey(r.Text(1)), Role: r.Text(2), UIDValidity: uint32(r.Int64(3)),
		UIDNext: uint32(r.Int64(4)), ModSeq: r.Int64(5), Messages: r.Int64(6), Unseen: r.Int64(7), Deleted: r.Int64(8),
		Bytes: r.Int64(9)}
}

// Mailboxes lists the account's mailboxes by name.
func (s *Store) Mailboxes(ctx context.Context, account int64) (list []Mailbox, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT "+mailboxColumns+" FROM mailbox WHERE account_id = ? ORDER BY name", account)
		for rows.Next() {
			list = append(list, scanMailbox(rows))
		}
		return rows.Err()
	})
	return list, err
}

// Mailbox finds a mailbox by name, or returns ErrNoMailbox.
func (s *Store) Mailbox(ctx context.Context, account int64, name Name) (m Mailbox, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		m, err = findMailbox(tx, account, name)
		return err
	})
	return m, err
}

func findMailbox(tx *db.Tx, account int64, name Name) (m Mailbox, err error) {
	rows := tx.Query("SELECT "+mailboxColumns+" FROM mailbox WHERE account_id = ? AND name = ?", account, name.key())
	defer rows.Close()
	if !rows.Next() {
		if rows.Err() != nil {
			return m, rows.Err()
		}
		return m, ErrNoMailbox
	}
	return scanMailbox(rows), nil
}

// CreateMailbox makes a mailbox, and its parents where they are missing (RFC 9051 §6.3.4). role is its special use or "";
// a role that another mailbox has is refused with ErrRole.
func (s *Store) CreateMailbox(ctx context.Context, account int64, name Name, role string) (m Mailbox, err error) {
	err = s.write(ctx, func(t *txn) error {
		if _, err := findMailbox(t.Tx, account, name); err == nil {
			return ErrExists
		}
		for depth := 1; depth < len(name); depth++ {
			if _, err := t.createIfMissing(account, name[:depth]); err != nil {
				return err
			}
		}
		if _, err := t.createMailbox(account, name, role); err != nil {
			return err
		}
		m, err = findMailbox(t.Tx, account, name)
		return err
	})
	return m, err
}

func (t *txn) createIfMissing(account int64, name Name) (id int64, err error) {
	m, err := findMailbox(t.Tx, account, name)
	if err == nil {
		return m.ID, nil
	}
	return t.createMailbox(account, name, "")
}

func (t *txn) createMailbox(account int64, name Name, role string) (id int64, err error) {
	if role != "" {
		var other string
		if found, err := t.QueryRow("SELECT name FROM mailbox WHERE account_id = ? AND role = ?", account, role).Scan(&other); err != nil {
			return 0, err
		} else if found {
			return 0, ErrRole.With("special use "+role+" is "+other, nil)
		}
	}
	validity, err := t.nextUIDValidity(account)
	if err != nil {
		return 0, err
	}
	var modseq int64
	if _, err := t.QueryRow(`UPDATE account_state SET next_mailbox = next_mailbox + 1, modseq = modseq + 1
		WHERE account_id = ? RETURNING next_mailbox - 1, modseq`, account).Scan(&id, &modseq); err != nil {
		return 0, err
	}
	n, err := t.Exec(`INSERT INTO mailbox (account_id, mailbox_id, name, role, uidvalidity, uidnext, modseq, expunge_floor,
		messages, unseen, deleted, bytes, created) VALUES (?, ?, ?, ?, ?, 1, ?, ?, 0, 0, 0, 0, ?) ON CONFLICT DO NOTHING`,
		account, id, name.key(), role, validity, modseq, modseq, t.now.UnixMicro())
	if err == nil && n == 0 {
		err = ErrExists
	}
	return id, err
}

// DeleteMailbox removes a mailbox with its entries, which stay as tombstones. One that has children is refused, so that
// no message is in a mailbox whose parent is gone without the user's knowing. The entries of a large one go in slices of
// maxSlice before it: where it fails in between, the mailbox is there with those that are left.
func (s *Store) DeleteMailbox(ctx context.Context, account int64, name Name, by string) error {
	if name.IsInbox() {
		return ErrInbox
	}
	id := int64(0) // a slice later another one may have the name
	for more := true; more; {
		err := s.write(ctx, func(t *txn) error {
			m, err := findMailbox(t.Tx, account, name)
			if err != nil {
				return err
			}
			if id != 0 && id != m.ID {
				return ErrNoMailbox
			}
			id = m.ID
			more, err = t.deleteMailbox(account, m, by)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteMailbox removes a mailbox, or only a slice of its entries: then there is more to do.
func (t *txn) deleteMailbox(account int64, m Mailbox, by string) (more bool, err error) {
	// Descendants lie between name + separator and name + the character after it.
	var child string
	if found, err := t.QueryRow("SELECT name FROM mailbox WHERE account_id = ? AND name >= ? AND name < ? LIMIT 1",
		account, m.Name.key()+componentSeparator, m.Name.key()+"\x20").Scan(&child); err != nil {
		return false, err
	} else if found {
		return false, ErrChildren
	}
	entries, rest, err := t.slice(account, m.ID, []Range{{1, maxUID}})
	if err != nil {
		return false, err
	}
	if _, err := t.remove(account, m.ID, entries, by); err != nil || len(rest) > 0 {
		return true, err
	}
	modseq, err := t.nextModSeq(account)
	if err != nil {
		return false, err
	}
	if _, err := t.Exec("DELETE FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, m.ID); err != nil {
		return false, err
	}
	t.changed(Change{Account: account, Mailbox: m.ID, ModSeq: modseq, Gone: true})
	return false, nil
}

// RenameMailbox renames a mailbox with its descendants; missing parents of the new name are made. Renaming INBOX moves its
// messages into a new mailbox and leaves INBOX empty (RFC 9051 §6.3.6); ErrLarge if there are more than 100,000.
func (s *Store) RenameMailbox(ctx context.Context, account int64, from, to Name, by string) error {
	return s.write(ctx, func(t *txn) error {
		m, err := findMailbox(t.Tx, account, from)
		if err != nil {
			return err
		}
		if _, err := findMailbox(t.Tx, account, to); err == nil {
			return ErrExists
		}
		if to.Under(from) && !from.IsInbox() { // of INBOX only the messages move
			return ErrBelow
		}
		for depth := 1; depth < len(to); depth++ {
			if _, err := t.createIfMissing(account, to[:depth]); err != nil {
				return err
			}
		}
		if from.IsInbox() && m.Messages > maxWhole {
			return ErrLarge
		}
		if from.IsInbox() {
			return t.renameInbox(account, m, to, by)
		}
		rows := t.Query("SELECT mailbox_id, name FROM mailbox WHERE account_id = ? AND (name = ? OR (name >= ? AND name < ?)) ORDER BY name",
			account, from.key(), from.key()+componentSeparator, from.key()+"\x20")
		var renamed []Mailbox // in the order of names: neighbours are on the same pages
		for rows.Next() {
			name := append(append(Name{}, to...), nameFromKey(rows.Text(1))[len(from):]...)
			renamed = append(renamed, Mailbox{ID: rows.Int64(0), Name: name})
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, m := range renamed {
			if _, err := MakeName(m.Name...); err != nil {
				return err
			}
			if _, err := t.Exec("UPDATE mailbox SET name = ? WHERE account_id = ? AND mailbox_id = ?", m.Name.key(), account, m.ID); err != nil {
				return err
			}
		}
		_, err = t.nextModSeq(account)
		return err
	})
}

func (t *txn) renameInbox(account int64, inbox Mailbox, to Name, by string) error {
	id, err := t.createMailbox(account, to, "")
	if err != nil {
		return err
	}
	entries, err := t.entries(account, inbox.ID, []Range{{1, maxUID}}, true)
	if err != nil || len(entries) == 0 {
		return err
	}
	if _, err := t.place(account, id, entries); err != nil {
		return err
	}
	_, err = t.remove(account, inbox.ID, entries, by)
	return err
}

// Subscribe subscribes to a name, whether or not a mailbox has it; Unsubscribe undoes it.
func (s *Store) Subscribe(ctx context.Context, account int64, name Name) error {
	return s.write(ctx, func(t *txn) error { return t.subscribe(account, name) })
}

func (t *txn) subscribe(account int64, name Name) error {
	_, err := t.Exec("INSERT INTO subscription (account_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING", account, name.key())
	return err
}

// Unsubscribe removes a subscription; one that is not there is no error.
func (s *Store) Unsubscribe(ctx context.Context, account int64, name Name) error {
	return s.write(ctx, func(t *txn) error {
		_, err := t.Exec("DELETE FROM subscription WHERE account_id = ? AND name = ?", account, name.key())
		return err
	})
}

// Subscriptions lists the names subscribed to.
func (s *Store) Subscriptions(ctx context.Context, account int64) (names []Name, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT name FROM subscription WHERE account_id = ? ORDER BY name", account)
		for rows.Next() {
			names = append(names, nameFromKey(rows.Text(0)))
		}
		return rows.Err()
	})
	return names, err
}
