package mailstore

import (
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// Keep is how long what was removed stays.
type Keep struct {
	// Expunged is for emails whose last entry went, and for the mail of removed accounts: for undelete.
	Expunged time.Duration
	// Tombstones is for what mailboxes remember of expunged messages (RFC 7162); no less than Expunged.
	Tombstones time.Duration
	// Pause is called between two short transactions; its error ends the work.
	Pause func(ctx context.Context) error
	// Thinned is told the packs of the emails that went, but for those of removed accounts; nil: nobody is.
	Thinned func(pack int64)
}

// Pruned counts what was let go.
type Pruned struct{ Emails, Tombstones, Accounts int64 }

const (
	pruneLook  = 1000 // rows that one read transaction passes
	pruneSlice = 100  // emails or tombstones that one write transaction changes
	// aheadOfClock is how far in the future a tombstone's time is believed. One further on was noted by a clock that was
	// wrong: its time begins now.
	aheadOfClock = time.Hour
)

// Prune lets go what was removed long enough ago, for good: emails that only tombstones lead to, tombstones, and the mail of
// removed accounts. An email goes in the transaction in which the last tombstone lets it go. What a repair took out of its
// mailboxes stays until it is put back or its account goes: nobody wanted it away. It goes in small transactions and may be
// cut off between any two.
func (s *Store) Prune(ctx context.Context, k Keep) (p Pruned, err error) {
	k.Tombstones = max(k.Tombstones, k.Expunged)
	pr := &pruner{s, k, s.now(), &p}
	for account := int64(-1); ; {
		if err := k.Pause(ctx); err != nil {
			return p, err
		}
		found := false
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			found, err = tx.QueryRow("SELECT account_id FROM expunged WHERE account_id > ? ORDER BY account_id LIMIT 1", account).Scan(&account)
			return err
		})
		if err != nil {
			return p, err
		}
		if !found {
			return p, pr.removedAccounts(ctx)
		}
		if err := pr.emails(ctx, account); err != nil {
			return p, err
		}
		if err := pr.tombstones(ctx, account); err != nil {
			return p, err
		}
	}
}

type pruner struct {
	*Store
	keep Keep
	at   time.Time
	done *Pruned
}

// emails has the account's tombstones let go of the emails that they have kept long enough.
func (p *pruner) emails(ctx context.Context, account int64) error {
	due, wrong := p.at.Add(-p.keep.Expunged).UnixMicro(), p.at.Add(aheadOfClock).UnixMicro()
	for from, more := int64(0), true; more; {
		var ids []int64
		n := 0
		err := p.db.Read(ctx, func(tx *db.Tx) (err error) {
			ids, n = ids[:0], 0
			rows := tx.Query(`SELECT email_id, MIN(at), MAX(at) FROM expunged WHERE account_id = ? AND email_id > ? AND email_id > 0
				GROUP BY email_id ORDER BY email_id LIMIT ?`, account, from, pruneLook)
			for rows.Next() {
				n++
				if from = rows.Int64(0); rows.Int64(1) <= due || rows.Int64(2) > wrong {
					ids = append(ids, from)
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
			ids, err = anythingToLetGo(tx, account, ids)
			return err
		})
		if err != nil {
			return err
		}
		more = n == pruneLook
		for slice := range slices.Chunk(ids, pruneSlice) {
			if err := p.keep.Pause(ctx); err != nil {
				return err
			}
			var packs []int64
			err := p.write(ctx, func(t *txn) error {
				packs = packs[:0]
				for _, id := range slice {
					pack, gone, err := t.letGo(account, id, due, wrong)
					if err != nil {
						return err
					}
					if gone {
						packs = append(packs, pack)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			p.done.Emails += int64(len(packs))
			for _, pack := range packs {
				if p.keep.Thinned != nil {
					p.keep.Thinned(pack)
				}
			}
		}
	}
	return nil
}

// anythingToLetGo leaves of the emails those that a tombstone may let go of: one that is no repair's, or whose email is lost
// anyway. So what repairs took out costs no writes.
func anythingToLetGo(tx *db.Tx, account int64, ids []int64) (list []int64, err error) {
	for _, id := range ids {
		var one int64
		found, err := tx.QueryRow(`SELECT 1 FROM expunged x WHERE account_id = ? AND email_id = ? AND email_id > 0 AND (by_session <> ?
			OR NOT EXISTS (SELECT 1 FROM email m WHERE m.account_id = x.account_id AND m.email_id = x.email_id)) LIMIT 1`, account, id, setAsideBy).Scan(&one)
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, id)
		}
	}
	return list, nil
}

// letGo takes an email from the tombstones up to a time, and deletes it if nothing leads to it any more: then it tells the
// pack that it was in. Tombstones from the future begin anew.
func (t *txn) letGo(account, email, due, wrong int64) (pack int64, gone bool, err error) {
	if _, err := t.Exec("UPDATE expunged SET at = ? WHERE account_id = ? AND email_id = ? AND email_id > 0 AND at > ?",
		t.now.UnixMicro(), account, email, wrong); err != nil {
		return 0, false, err
	}
	if _, err := t.Exec(`UPDATE expunged SET email_id = 0 WHERE account_id = ? AND email_id = ? AND email_id > 0 AND at <= ? AND (by_session <> ?
		OR NOT EXISTS (SELECT 1 FROM email m WHERE m.account_id = expunged.account_id AND m.email_id = expunged.email_id))`,
		account, email, due, setAsideBy); err != nil {
		return 0, false, err
	}
	var one int64
	used, err := t.QueryRow("SELECT 1 FROM entry WHERE account_id = ? AND email_id = ? LIMIT 1", account, email).Scan(&one)
	if err != nil || used {
		return 0, false, err
	}
	used, err = t.QueryRow("SELECT 1 FROM expunged WHERE account_id = ? AND email_id = ? AND email_id > 0 LIMIT 1", account, email).Scan(&one)
	if err != nil || used {
		return 0, false, err
	}
	gone, err = t.QueryRow("DELETE FROM email WHERE account_id = ? AND email_id = ? RETURNING pack", account, email).Scan(&pack)
	return pack, gone, err
}

// tombstones deletes those of the account that let go of their email and are old enough.
func (p *pruner) tombstones(ctx context.Context, account int64) error {
	for mailbox := int64(-1); ; {
		found := false
		err := p.db.Read(ctx, func(tx *db.Tx) (err error) {
			found, err = tx.QueryRow("SELECT mailbox_id FROM expunged WHERE account_id = ? AND mailbox_id > ? ORDER BY mailbox_id LIMIT 1",
				account, mailbox).Scan(&mailbox)
			return err
		})
		if err != nil || !found {
			return err
		}
		for more := true; more; {
			if err := p.keep.Pause(ctx); err != nil {
				return err
			}
			if more, err = p.forget(ctx, account, mailbox); err != nil {
				return err
			}
		}
	}
}

// forget deletes a mailbox's oldest tombstones. Their modification sequences rise with their times, so that the first one
// that stays ends it, but for those of repairs, which may stay for ever. The floor rises in the same transaction: a client that comes from below it is told that the list of
// what vanished is not complete.
func (p *pruner) forget(ctx context.Context, account, mailbox int64) (more bool, err error) {
	due := p.at.Add(-p.keep.Tombstones).UnixMicro()
	var uids []int64
	var floor int64
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		uids, floor = nil, 0
		rows := tx.Query(`SELECT uid, modseq, at, email_id FROM expunged WHERE account_id = ? AND mailbox_id = ?
			AND NOT (email_id > 0 AND by_session = ?) ORDER BY modseq LIMIT ?`, account, mailbox, setAsideBy, pruneSlice)
		for rows.Next() && rows.Int64(2) <= due && rows.Int64(3) == 0 {
			uids, floor = append(uids, rows.Int64(0)), rows.Int64(1)
		}
		return rows.Err()
	})
	if err != nil || len(uids) == 0 {
		return false, err
	}
	err = p.write(ctx, func(t *txn) error {
		if _, err := t.Exec("UPDATE mailbox SET expunge_floor = ? WHERE account_id = ? AND mailbox_id = ? AND expunge_floor < ?",
			floor, account, mailbox, floor); err != nil {
			return err
		}
		for _, uid := range uids {
			if _, err := t.Exec("DELETE FROM expunged WHERE account_id = ? AND mailbox_id = ? AND uid = ? AND email_id = 0", account, mailbox, uid); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	p.done.Tombstones += int64(len(uids))
	return len(uids) == pruneSlice, nil
}
