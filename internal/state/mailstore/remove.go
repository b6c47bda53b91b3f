package mailstore

import (
	"context"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// WillRemove notes that an account is about to be removed, before the directory forgets it: should the process end between
// the two, Removing has it at the next start. Abandoned takes that back.
func (s *Store) WillRemove(ctx context.Context, account int64) error {
	return s.write(ctx, func(t *txn) error {
		_, err := t.Exec("INSERT INTO account_removed (account_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING", account, notYet)
		return err
	})
}

// notYet stands for the time of a removal that was begun.
const notYet = 0

// Abandoned says that an account that WillRemove noted stays.
func (s *Store) Abandoned(ctx context.Context, account int64) error {
	return s.write(ctx, func(t *txn) error {
		_, err := t.Exec("DELETE FROM account_removed WHERE account_id = ? AND at = ?", account, notYet)
		return err
	})
}

// Removing lists the accounts that WillRemove noted and RemoveAccount did not remove.
func (s *Store) Removing(ctx context.Context) ([]int64, error) {
	return s.marked(ctx, "SELECT account_id FROM account_removed WHERE at = 0 ORDER BY account_id")
}

// RemoveAccount takes an account out of the mailstore: from its return on nothing is delivered to it or changed in it. What
// it had stays until Prune lets it go.
func (s *Store) RemoveAccount(ctx context.Context, account int64) error {
	defer s.quotas.forget(account)
	return s.write(ctx, func(t *txn) error {
		// Without this row every change is refused with ErrNoAccount.
		n, err := t.Exec("DELETE FROM account_state WHERE account_id = ?", account)
		if err != nil || n == 0 {
			return err
		}
		if _, err := t.Exec(`INSERT INTO account_removed (account_id, at) VALUES (?, ?)
			ON CONFLICT (account_id) DO UPDATE SET at = excluded.at`, account, t.now.UnixMicro()); err != nil {
			return err
		}
		rows := t.Query("SELECT mailbox_id FROM mailbox WHERE account_id = ?", account)
		for rows.Next() {
			t.changed(Change{Account: account, Mailbox: rows.Int64(0), Gone: true})
		}
		return rows.Err()
	})
}

// Removed lists the accounts that were removed and whose mail is still there.
func (s *Store) Removed(ctx context.Context) ([]int64, error) {
	return s.marked(ctx, "SELECT account_id FROM account_removed WHERE at > 0 ORDER BY account_id")
}

func (s *Store) marked(ctx context.Context, sql string) (ids []int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		ids = nil
		rows := tx.Query(sql)
		for rows.Next() {
			ids = append(ids, rows.Int64(0))
		}
		return rows.Err()
	})
	return ids, err
}

// removedAccounts lets go of the mail of accounts that were removed long enough ago.
func (p *pruner) removedAccounts(ctx context.Context) error {
	ids, err := p.Removed(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		var at int64
		err := p.db.Read(ctx, func(tx *db.Tx) error {
			_, err := tx.QueryRow("SELECT at FROM account_removed WHERE account_id = ?", id).Scan(&at)
			return err
		})
		if err != nil {
			return err
		}
		switch since := time.UnixMicro(at); {
		case since.After(p.at.Add(aheadOfClock)):
			err = p.write(ctx, func(t *txn) error {
				_, err := t.Exec("UPDATE account_removed SET at = ? WHERE account_id = ?", t.now.UnixMicro(), id)
				return err
			})
		case !since.After(p.at.Add(-p.keep.Expunged)):
			err = p.account(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// accountRows are what an account has, in the order in which it goes, an entry before its email: the key of the n-th row
// from here, the rows up to that key, and all rows.
var accountRows = [...]struct {
	nth, upTo, all string
	key            func(r *db.Rows, i int) any
}{
	{"SELECT mailbox_id, uid FROM entry WHERE account_id = ? ORDER BY mailbox_id, uid LIMIT 1 OFFSET ?",
		"DELETE FROM entry WHERE account_id = ? AND (mailbox_id, uid) <= (?, ?)", "DELETE FROM entry WHERE account_id = ?", number},
	{"SELECT mailbox_id, uid FROM expunged WHERE account_id = ? ORDER BY mailbox_id, uid LIMIT 1 OFFSET ?",
		"DELETE FROM expunged WHERE account_id = ? AND (mailbox_id, uid) <= (?, ?)", "DELETE FROM expunged WHERE account_id = ?", number},
	{"SELECT email_id FROM email WHERE account_id = ? ORDER BY email_id LIMIT 1 OFFSET ?",
		"DELETE FROM email WHERE account_id = ? AND email_id <= ?", "DELETE FROM email WHERE account_id = ?", number},
	{"SELECT hash FROM thread_ref WHERE account_id = ? ORDER BY hash LIMIT 1 OFFSET ?",
		"DELETE FROM thread_ref WHERE account_id = ? AND hash <= ?", "DELETE FROM thread_ref WHERE account_id = ?", number},
	{"SELECT mailbox_id FROM mailbox WHERE account_id = ? ORDER BY mailbox_id LIMIT 1 OFFSET ?",
		"DELETE FROM mailbox WHERE account_id = ? AND mailbox_id <= ?", "DELETE FROM mailbox WHERE account_id = ?", number},
	{"SELECT name FROM subscription WHERE account_id = ? ORDER BY name LIMIT 1 OFFSET ?",
		"DELETE FROM subscription WHERE account_id = ? AND name <= ?", "DELETE FROM subscription WHERE account_id = ?", text},
}

func number(r *db.Rows, i int) any { return r.Int64(i) }
func text(r *db.Rows, i int) any   { return r.Text(i) }

// account deletes all rows of a removed account, a slice at a time, its mark last.
func (p *pruner) account(ctx context.Context, account int64) error {
	for _, sql := range accountRows {
		for more := true; more; {
			if err := p.keep.Pause(ctx); err != nil {
				return err
			}
			err := p.write(ctx, func(t *txn) error {
				key := []any{account}
				rows := t.Query(sql.nth, account, pruneSlice-1)
				if more = rows.Next(); more {
					for i := range strings.Count(sql.upTo, "?") - 1 {
						key = append(key, sql.key(rows, i))
					}
				}
				if rows.Close(); rows.Err() != nil {
					return rows.Err()
				}
				statement := sql.all
				if more {
					statement = sql.upTo
				}
				_, err := t.Exec(statement, key...)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	p.done.Accounts++
	return p.write(ctx, func(t *txn) error {
		_, err := t.Exec("DELETE FROM account_removed WHERE account_id = ?", account)
		return err
	})
}

// Leftovers are what was removed and is still there.
type Leftovers struct{ Tombstones, Kept, Accounts int64 }

// Leftovers counts. Kept are the tombstones that keep an email.
func (s *Store) Leftovers(ctx context.Context) (l Leftovers, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		for sql, n := range map[string]*int64{
			"SELECT COUNT(*) FROM expunged":                    &l.Tombstones,
			"SELECT COUNT(*) FROM expunged WHERE email_id > 0": &l.Kept,
			"SELECT COUNT(*) FROM account_removed":             &l.Accounts,
		} {
			if _, err := tx.QueryRow(sql).Scan(n); err != nil {
				return err
			}
		}
		return nil
	})
	return l, err
}
