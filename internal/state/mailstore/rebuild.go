package mailstore

import (
	"context"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

// Restored is a message as its record in a pack tells of it.
type Restored struct {
	QueueID   queueid.ID // of the job that delivered it; zero: a client put it into the mailbox
	Recipient int
	Account   int64
	Mailbox   Name // nil: INBOX. It is made where it is missing
	Flags     Flags
	Keywords  string // canonical
	Email     NewEmail
}

// Restore puts messages into the mailboxes that they came into, in one transaction. It does not ask whether they are there
// already. Its accounts have mailboxes. Quotas do not count: the messages were taken in once.
func (s *Store) Restore(ctx context.Context, list []Restored) error {
	return s.write(ctx, func(t *txn) error {
		for i := range list {
			if err := t.restore(&list[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *txn) restore(r *Restored) error {
	box := int64(inboxID)
	if len(r.Mailbox) > 0 && !r.Mailbox.IsInbox() {
		for depth := 1; depth <= len(r.Mailbox); depth++ {
			var err error
			if box, err = t.createIfMissing(r.Account, r.Mailbox[:depth]); err != nil {
				return err
			}
		}
	}
	modseq, id, err := t.newEmails(r.Account, []*NewEmail{&r.Email})
	if err != nil {
		return err
	}
	e := r.Email.entry(id, modseq)
	e.Flags, e.Keywords = r.Flags, r.Keywords
	if err := t.addEntries(r.Account, box, []Entry{e}, ""); err != nil {
		return err
	}
	if r.QueueID.IsZero() {
		return nil
	}
	_, err = t.Exec("INSERT INTO delivered (queue_id, recipient_no) VALUES (?, ?) ON CONFLICT DO NOTHING", r.QueueID[:], r.Recipient)
	return err
}

// RenewUIDValidity gives every mailbox of an account a UIDVALIDITY above the given one and above all that the account's rows
// know: no client believes what it remembers of them (RFC 9051 §2.3.1.1).
func (s *Store) RenewUIDValidity(ctx context.Context, account, above int64) error {
	return s.write(ctx, func(t *txn) error {
		if _, err := t.Exec("UPDATE account_state SET uidvalidity = ? WHERE account_id = ? AND uidvalidity < ?", above, account, above); err != nil {
			return err
		}
		if err := t.raiseNumbers(account); err != nil {
			return err
		}
		var ids []int64
		rows := t.Query("SELECT mailbox_id FROM mailbox WHERE account_id = ? ORDER BY mailbox_id", account)
		for rows.Next() {
			ids = append(ids, rows.Int64(0))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, id := range ids {
			v, err := t.nextUIDValidity(account)
			if err != nil {
				return err
			}
			if _, err := t.Exec("UPDATE mailbox SET uidvalidity = ? WHERE account_id = ? AND mailbox_id = ?", v, account, id); err != nil {
				return err
			}
			t.changed(Change{Account: account, Mailbox: id, Gone: true})
		}
		return nil
	})
}

// RaiseNumbers lets an account count on from far above whatever it may have given out by a time, in seconds since 1970:
// modification sequences, and the numbers of emails and mailboxes, which clients know as object ids (RFC 8474 §4, §5). No
// account reaches 65,536 of them a second.
func (s *Store) RaiseNumbers(ctx context.Context, account, time int64) error {
	return s.write(ctx, func(t *txn) error {
		for _, sql := range []string{
			"UPDATE account_state SET modseq = ? WHERE account_id = ? AND modseq < ?",
			"UPDATE account_state SET next_email = ? WHERE account_id = ? AND next_email < ?",
			"UPDATE account_state SET next_mailbox = ? WHERE account_id = ? AND next_mailbox < ?",
		} {
			if _, err := t.Exec(sql, time<<16, account, time<<16); err != nil {
				return err
			}
		}
		return nil
	})
}

// Repoint leads those emails of an account to ref that led to a copy of the same record whose pack is no more: those in
// lost, if their structure is the record's. It tells how many they were.
func (s *Store) Repoint(ctx context.Context, account int64, lost []int64, structure []byte, ref recipe.BlobRef) (n int64, err error) {
	err = s.write(ctx, func(t *txn) error {
		n = 0
		for _, id := range lost {
			one, err := t.Exec("UPDATE email SET pack = ?, place = ? WHERE account_id = ? AND email_id = ? AND length = ? AND structure = ?",
				ref.Pack, ref.Offset, account, id, ref.Length, structure)
			if n += one; err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// MakeSound gives an account that has rows of some tables those of the others without which nothing can be put into it.
func (s *Store) MakeSound(ctx context.Context, account int64) error {
	fresh := false
	err := s.write(ctx, func(t *txn) error {
		var n int64
		found, err := t.QueryRow(`SELECT 1 FROM account_state WHERE account_id = ? UNION ALL SELECT 1 FROM mailbox WHERE account_id = ?
			UNION ALL SELECT 1 FROM email WHERE account_id = ? LIMIT 1`, account, account, account).Scan(&n)
		if fresh = !found; err != nil || fresh {
			return err
		}
		if err := t.remakeState(account); err != nil {
			return err
		}
		if found, err := t.QueryRow("SELECT 1 FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, inboxID).Scan(&n); err != nil || found {
			return err
		}
		return t.remakeMailbox(account, inboxID, Inbox())
	})
	if err == nil && fresh {
		err = s.CreateAccount(ctx, account)
	}
	return err
}

// Tables are those of which a rebuild must have every row to know what is in which mailbox.
func Tables() []string {
	return []string{"account_state", "delivered", "email", "entry", "expunged", "mailbox"}
}

// EmailPlace is where an email's record stands, and what tells it from others: its length and the time in it, microseconds.
type EmailPlace struct{ Account, Email, Pack, Place, Length, Received int64 }

// EmailPlaces calls fn for every email, outside of transactions.
func (s *Store) EmailPlaces(ctx context.Context, fn func(EmailPlace) error) error {
	for from := [2]int64{-1, -1}; ; {
		var list []EmailPlace
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			list = nil
			rows := tx.Query(`SELECT account_id, email_id, pack, place, length, received FROM email WHERE (account_id, email_id) > (?, ?)
				ORDER BY account_id, email_id LIMIT ?`, from[0], from[1], checkSlice)
			for rows.Next() {
				list = append(list, EmailPlace{rows.Int64(0), rows.Int64(1), rows.Int64(2), rows.Int64(3), rows.Int64(4), rows.Int64(5)})
				from = [2]int64{rows.Int64(0), rows.Int64(1)}
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := fn(e); err != nil {
				return err
			}
		}
		if len(list) < checkSlice {
			return nil
		}
	}
}
