package mailstore

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/fault"
)

// Check looks at every row of an account, a mailbox at a time and in slices, beside whatever else goes on, and mends what
// can be derived. What cannot be is never dropped: an entry without its email becomes a tombstone, an email in no mailbox
// comes into one named Recovered.
func (s *Store) Check(ctx context.Context, account int64, c fault.Check) error {
	k := &check{s, account, c}
	for _, step := range []func(context.Context) error{k.state, k.lostMailboxes, k.mailboxes, k.lostEmails, k.counters} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("account %d: %w", account, err)
		}
	}
	return nil
}

// CheckedAccounts lists all accounts that have a row anywhere in the mailstore, but for those that were removed: what they
// had is going.
func (s *Store) CheckedAccounts(ctx context.Context) (ids []int64, err error) {
	// The next id of three tables, by their keys: no scan.
	const sql = `SELECT MIN(id) FROM (SELECT MIN(account_id) AS id FROM account_state WHERE account_id > ?
		UNION ALL SELECT MIN(account_id) FROM mailbox WHERE account_id > ? UNION ALL SELECT MIN(account_id) FROM email WHERE account_id > ?) AS ids`
	for last := int64(0); ; {
		var next, one int64
		removed := false
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			if _, err := tx.QueryRow(sql, last, last, last).Scan(&next); err != nil || next == 0 {
				return err
			}
			var err error
			removed, err = tx.QueryRow("SELECT 1 FROM account_removed WHERE account_id = ? AND at > 0", next).Scan(&one)
			return err
		})
		if err != nil || next == 0 {
			return ids, err
		}
		if last = next; !removed {
			ids = append(ids, next)
		}
	}
}

type check struct {
	*Store
	account int64
	fault.Check
}

// found reports a fault; mend, if the check repairs, has done something about it in a transaction of its own.
func (k *check) found(ctx context.Context, f fault.Fault, mended string, mend func(*txn) error) error {
	f.Account = k.account
	if k.Repair && mend != nil {
		if err := k.write(ctx, mend); err != nil {
			return err
		}
		f.Mended = mended
	}
	return k.Report(f)
}

// state makes the account's row where it is missing: its counters are derived afterwards.
func (k *check) state(ctx context.Context) error {
	var one int64
	var found bool
	err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
		found, err = tx.QueryRow("SELECT 1 FROM account_state WHERE account_id = ?", k.account).Scan(&one)
		return err
	})
	if err != nil || found {
		return err
	}
	f := fault.Fault{Kind: fault.AccountNoState, Text: "the account's counters and its namespace are missing"}
	return k.found(ctx, f, "made anew, without a quota", func(t *txn) error { return t.remakeState(k.account) })
}

// lostMailboxes finds entries whose mailbox has no row, and INBOX if it is missing.
func (k *check) lostMailboxes(ctx context.Context) error {
	lost, err := k.mailboxesWithoutRow(ctx)
	if err != nil {
		return err
	}
	for _, id := range lost {
		f := fault.Fault{Kind: fault.EntryNoMailbox, Text: fmt.Sprintf("there are messages in mailbox number %d, which does not exist", id)}
		name := Name{recovered, fmt.Sprintf("mailbox %d", id)}
		if id == inboxID {
			f = fault.Fault{Kind: fault.AccountNoInbox, Mailbox: Inbox().Join("/"), Text: "the account has no INBOX"}
			name = Inbox()
		}
		err := k.found(ctx, f, "made anew as "+name.Join("/"), func(t *txn) error { return t.remakeMailbox(k.account, id, name) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *check) mailboxesWithoutRow(ctx context.Context) (lost []int64, err error) {
	err = k.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT mailbox_id FROM mailbox WHERE account_id = ?", k.account)
		have := map[int64]bool{}
		for rows.Next() {
			have[rows.Int64(0)] = true
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if !have[inboxID] {
			lost = append(lost, inboxID)
		}
		for id := int64(-1); ; {
			rows := tx.Query("SELECT mailbox_id FROM entry WHERE account_id = ? AND mailbox_id > ? ORDER BY mailbox_id LIMIT 1", k.account, id)
			if !rows.Next() {
				return rows.Err()
			}
			id = rows.Int64(0)
			rows.Close()
			if !have[id] && id != inboxID {
				lost = append(lost, id)
			}
		}
	})
	return lost, err
}

// mailboxes checks each mailbox's entries, then its counters.
func (k *check) mailboxes(ctx context.Context) error {
	list, err := k.Mailboxes(ctx, k.account)
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := k.entries(ctx, m); err != nil {
			return err
		}
		if err := k.mailboxCounters(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// checkSlice is how many entries or emails one read transaction of a check passes.
const checkSlice = 5000

// entries compares a mailbox's entries with their emails and with its tombstones.
func (k *check) entries(ctx context.Context, m Mailbox) error {
	for from := int64(0); from <= maxUID; {
		if err := k.Pause(ctx); err != nil {
			return err
		}
		last := int64(maxUID)
		var bad []fault.Fault
		var sizes []int64
		err := k.db.Read(ctx, func(tx *db.Tx) error {
			bad, sizes = nil, nil
			if _, err := tx.QueryRow("SELECT uid FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid >= ? ORDER BY uid LIMIT 1 OFFSET ?",
				k.account, m.ID, from, checkSlice-1).Scan(&last); err != nil {
				return err
			}
			rows := tx.Query(`SELECT e.uid, e.size, COALESCE(m.size, -1), COALESCE(x.uid, 0) FROM entry e
				LEFT JOIN email m ON m.account_id = e.account_id AND m.email_id = e.email_id
				LEFT JOIN expunged x ON x.account_id = e.account_id AND x.mailbox_id = e.mailbox_id AND x.uid = e.uid
				WHERE e.account_id = ? AND e.mailbox_id = ? AND e.uid BETWEEN ? AND ?
				AND (m.email_id IS NULL OR m.size <> e.size OR x.uid IS NOT NULL) ORDER BY e.uid`, k.account, m.ID, from, last)
			for rows.Next() {
				f := fault.Fault{Mailbox: m.Name.Join("/"), UID: uint32(rows.Int64(0))}
				switch size := rows.Int64(2); {
				case size < 0:
					f.Kind, f.Text = fault.EntryNoEmail, "an entry whose email is not there"
				case size != rows.Int64(1):
					f.Kind, f.Text = fault.EntrySize, fmt.Sprintf("an entry of %d bytes, whose email has %d", rows.Int64(1), size)
				default:
					f.Kind, f.Text = fault.EntryExpunged, "an entry whose UID is noted as expunged"
				}
				bad, sizes = append(bad, f), append(sizes, rows.Int64(2))
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for i, f := range bad {
			if err := k.mendEntry(ctx, m.ID, f, sizes[i]); err != nil {
				return err
			}
		}
		from = last + 1
	}
	return nil
}

func (k *check) mendEntry(ctx context.Context, mailbox int64, f fault.Fault, size int64) error {
	switch f.Kind {
	case fault.EntryNoEmail:
		return k.found(ctx, f, "taken out of the mailbox", func(t *txn) error {
			// The tombstone's place may be taken by one that should not be there.
			if _, err := t.Exec("DELETE FROM expunged WHERE account_id = ? AND mailbox_id = ? AND uid = ?", k.account, mailbox, f.UID); err != nil {
				return err
			}
			entries, err := t.entries(k.account, mailbox, []Range{{f.UID, f.UID}}, false)
			if err != nil {
				return err
			}
			_, err = t.remove(k.account, mailbox, entries, setAsideBy)
			return err
		})
	case fault.EntrySize:
		return k.found(ctx, f, "the email's size counts", func(t *txn) error {
			_, err := t.Exec("UPDATE entry SET size = ? WHERE account_id = ? AND mailbox_id = ? AND uid = ?", size, k.account, mailbox, f.UID)
			return err
		})
	}
	return k.found(ctx, f, "the entry stays", func(t *txn) error {
		_, err := t.Exec("DELETE FROM expunged WHERE account_id = ? AND mailbox_id = ? AND uid = ?", k.account, mailbox, f.UID)
		return err
	})
}

// lostEmails finds emails that no mailbox has and nobody expunged.
func (k *check) lostEmails(ctx context.Context) error {
	lost, err := k.emailsWithoutEntry(ctx)
	if err != nil || len(lost) == 0 {
		return err
	}
	// Tombstones are asked for afterwards: what was expunged meanwhile has one.
	for from := [2]int64{-1, -1}; ; {
		n := 0
		err := k.db.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(`SELECT mailbox_id, uid, email_id FROM expunged WHERE account_id = ? AND (mailbox_id, uid) > (?, ?)
				ORDER BY mailbox_id, uid LIMIT ?`, k.account, from[0], from[1], checkSlice)
			for rows.Next() {
				n++
				from = [2]int64{rows.Int64(0), rows.Int64(1)}
				delete(lost, rows.Int64(2))
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		if n < checkSlice {
			break
		}
	}
	for id := range lost {
		f := fault.Fault{Kind: fault.EmailNoEntry, Text: fmt.Sprintf("email %d is in no mailbox, and nobody has removed it", id)}
		if err := k.found(ctx, f, "put into the mailbox "+recovered, func(t *txn) error { return t.recoverEmail(k.account, id) }); err != nil {
			return err
		}
	}
	return nil
}

func (k *check) emailsWithoutEntry(ctx context.Context) (map[int64]bool, error) {
	lost := map[int64]bool{}
	for from := int64(0); ; {
		if err := k.Pause(ctx); err != nil {
			return nil, err
		}
		more := false
		err := k.db.Read(ctx, func(tx *db.Tx) error {
			last := int64(1<<63 - 1)
			found, err := tx.QueryRow("SELECT email_id FROM email WHERE account_id = ? AND email_id >= ? ORDER BY email_id LIMIT 1 OFFSET ?",
				k.account, from, checkSlice-1).Scan(&last)
			if err != nil {
				return err
			}
			more = found
			rows := tx.Query(`SELECT m.email_id FROM email m WHERE m.account_id = ? AND m.email_id BETWEEN ? AND ? AND NOT EXISTS
				(SELECT 1 FROM entry e WHERE e.account_id = m.account_id AND e.email_id = m.email_id)`, k.account, from, last)
			for rows.Next() {
				lost[rows.Int64(0)] = true
			}
			from = last + 1
			return rows.Err()
		})
		if err != nil || !more {
			return lost, err
		}
	}
}
