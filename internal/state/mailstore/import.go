package mailstore

import (
	"context"
	"slices"

	"github.com/postrider/postrider/internal/mail/status"
)

// Imported is an entry whose UID, dates, flags and POP3 unique id come from another store.
type Imported struct {
	UID      uint32 // 0: the next
	Flags    Flags
	Keywords string
	UIDL     string
	Email    NewEmail
}

// Import is the import-only interface: it puts messages into a mailbox with UIDs of their own, ascending and not below
// the mailbox's UIDNEXT. No other way lets a caller choose a UID.
func (s *Store) Import(ctx context.Context, account int64, mailbox Name, list []Imported) error {
	if !slices.IsSortedFunc(list, func(a, b Imported) int { return int(int64(a.UID) - int64(b.UID)) }) {
		return status.Perm(554, 6, 0, "Import: UIDs must ascend")
	}
	return s.write(ctx, func(t *txn) error {
		m, err := findMailbox(t.Tx, account, mailbox)
		if err != nil {
			return err
		}
		for i := range list {
			in := &list[i]
			if in.UID != 0 {
				n, err := t.Exec("UPDATE mailbox SET uidnext = ? WHERE account_id = ? AND mailbox_id = ? AND uidnext <= ?",
					in.UID, account, m.ID, in.UID)
				if err != nil {
					return err
				}
				if n == 0 {
					return status.Perm(554, 6, 0, "Import: a UID is below the mailbox's UIDNEXT")
				}
			}
			modseq, id, err := t.newEmails(account, []*NewEmail{&in.Email})
			if err != nil {
				return err
			}
			e := in.Email.entry(id, modseq)
			e.Flags, e.Keywords = in.Flags, in.Keywords
			if err := t.addEntries(account, m.ID, []Entry{e}, in.UIDL); err != nil {
				return err
			}
		}
		return nil
	})
}

// ImportUIDs sets UIDVALIDITY and UIDNEXT of an empty mailbox, before Import. UIDNEXT may also be raised afterwards.
func (s *Store) ImportUIDs(ctx context.Context, account int64, mailbox Name, uidValidity, uidNext uint32) error {
	return s.write(ctx, func(t *txn) error {
		m, err := findMailbox(t.Tx, account, mailbox)
		if err != nil {
			return err
		}
		if uidValidity == 0 || uidValidity != m.UIDValidity && m.UIDNext != 1 || uidNext < m.UIDNext {
			return status.Perm(554, 6, 0, "Import: UIDVALIDITY can be set on a mailbox never used, and UIDNEXT only raised")
		}
		if _, err := t.Exec("UPDATE mailbox SET uidvalidity = ?, uidnext = ? WHERE account_id = ? AND mailbox_id = ?",
			uidValidity, uidNext, account, m.ID); err != nil {
			return err
		}
		if uidValidity != m.UIDValidity {
			t.changed(Change{Account: account, Mailbox: m.ID, Gone: true})
		}
		_, err = t.Exec("UPDATE account_state SET uidvalidity = ? WHERE account_id = ? AND uidvalidity < ?",
			uidValidity, account, uidValidity)
		return err
	})
}
