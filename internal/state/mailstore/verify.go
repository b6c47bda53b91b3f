package mailstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/state/db"
)

// invariants are queries that return a row for each fault; the columns are shown.
var invariants = []struct{ fault, sql string }{
	{"mailbox counters differ from its entries (account, mailbox)", `
		SELECT m.account_id, m.mailbox_id FROM mailbox m WHERE
		m.messages <> (SELECT COUNT(*) FROM entry e WHERE e.account_id = m.account_id AND e.mailbox_id = m.mailbox_id) OR
		m.unseen <> (SELECT COUNT(*) FROM entry e WHERE e.account_id = m.account_id AND e.mailbox_id = m.mailbox_id AND e.flags & 1 = 0) OR
		m.deleted <> (SELECT COUNT(*) FROM entry e WHERE e.account_id = m.account_id AND e.mailbox_id = m.mailbox_id AND e.flags & 8 <> 0) OR
		m.bytes <> (SELECT COALESCE(SUM(e.size), 0) FROM entry e WHERE e.account_id = m.account_id AND e.mailbox_id = m.mailbox_id)`},
	{"account counters differ from its entries (account)", `
		SELECT a.account_id, 0 FROM account_state a WHERE
		a.messages <> (SELECT COUNT(*) FROM entry e WHERE e.account_id = a.account_id) OR
		a.bytes <> (SELECT COALESCE(SUM(e.size), 0) FROM entry e WHERE e.account_id = a.account_id)`},
	{"UID at or above UIDNEXT (account, mailbox)", `
		SELECT m.account_id, m.mailbox_id FROM mailbox m WHERE
		m.uidnext <= (SELECT MAX(e.uid) FROM entry e WHERE e.account_id = m.account_id AND e.mailbox_id = m.mailbox_id)`},
	{"modification sequence above the account's (account, mailbox)", `
		SELECT e.account_id, e.mailbox_id FROM entry e JOIN account_state a ON a.account_id = e.account_id WHERE e.modseq > a.modseq`},
	{"modification sequence above the mailbox's (account, mailbox)", `
		SELECT e.account_id, e.mailbox_id FROM entry e JOIN mailbox m ON m.account_id = e.account_id AND m.mailbox_id = e.mailbox_id
		WHERE e.modseq > m.modseq`},
	{"entry without email (account, email)", `
		SELECT e.account_id, e.email_id FROM entry e WHERE NOT EXISTS
		(SELECT 1 FROM email m WHERE m.account_id = e.account_id AND m.email_id = e.email_id)`},
	{"entry whose size is not its email's (account, email)", `
		SELECT e.account_id, e.email_id FROM entry e JOIN email m ON m.account_id = e.account_id AND m.email_id = e.email_id
		WHERE m.size <> e.size`},
	{"entry in no mailbox (account, mailbox)", `
		SELECT e.account_id, e.mailbox_id FROM entry e WHERE NOT EXISTS
		(SELECT 1 FROM mailbox m WHERE m.account_id = e.account_id AND m.mailbox_id = e.mailbox_id)`},
	{"UID both present and expunged (account, mailbox)", `
		SELECT e.account_id, e.mailbox_id FROM entry e JOIN expunged x
		ON x.account_id = e.account_id AND x.mailbox_id = e.mailbox_id AND x.uid = e.uid`},
	{"UIDVALIDITY above the account's (account, mailbox)", `
		SELECT m.account_id, m.mailbox_id FROM mailbox m JOIN account_state a ON a.account_id = m.account_id
		WHERE m.uidvalidity > a.uidvalidity OR m.uidvalidity = 0`},
}

// Verify checks the store's own invariants over all accounts and returns an error that names every fault. It reads
// everything: for tests, and for the operator's check.
func (s *Store) Verify(ctx context.Context) error {
	var faults []error
	for _, inv := range invariants {
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(inv.sql)
			for rows.Next() {
				faults = append(faults, fmt.Errorf("%s: %d, %d", inv.fault, rows.Int64(0), rows.Int64(1)))
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(faults...)
}
