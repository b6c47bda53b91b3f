package mailstore

import (
	"context"

	"github.com/postrider/postrider/internal/state/db"
)

// Range is UIDs from First to Last, both included.
type Range struct{ First, Last uint32 }

// FlagChange says how flags change.
type FlagChange struct {
	Op       FlagOp
	Flags    Flags
	Keywords string // canonical
	// Conditional passes over messages whose modseq is above UnchangedSince (RFC 7162 §3.1.3).
	Conditional    bool
	UnchangedSince int64
}

// StoreFlags changes the flags of the messages of a mailbox whose UIDs lie in ranges (ascending, not overlapping).
// Messages that do not exist are passed over. It goes in slices of maxSlice, each with one modification sequence for all
// its changes. It returns the entries that were changed, also with an error, and the UIDs that the condition kept.
func (s *Store) StoreFlags(ctx context.Context, account, mailbox int64, ranges []Range, c FlagChange) (changed []Entry, kept []uint32, err error) {
	changed, err = inSlices(ctx, s, ranges, func(t *txn, ranges []Range) ([]Entry, []Range, error) {
		entries, rest, err := t.slice(account, mailbox, ranges)
		if err != nil {
			return nil, nil, err
		}
		did, passed, err := t.storeFlags(place{account, mailbox}, ranges, entries, c)
		kept = append(kept, passed...)
		return did, rest, err
	})
	return changed, kept, err
}

// storeFlags changes the flags of entries, which lie in ranges.
func (t *txn) storeFlags(p place, ranges []Range, entries []Entry, c FlagChange) (changed []Entry, kept []uint32, err error) {
	var unseen, deleted int64
	for _, e := range entries {
		if c.Conditional && e.ModSeq > c.UnchangedSince {
			kept = append(kept, e.UID)
			continue
		}
		flags, keywords, err := c.Op.apply(e.Flags, e.Keywords, c.Flags, c.Keywords)
		if err != nil {
			return nil, nil, err
		}
		if flags == e.Flags && keywords == e.Keywords {
			continue
		}
		unseen += count(flags&Seen == 0) - count(e.Flags&Seen == 0)
		deleted += count(flags&Deleted != 0) - count(e.Flags&Deleted != 0)
		e.Flags, e.Keywords = flags, keywords
		changed = append(changed, e)
	}
	if len(changed) == 0 {
		return nil, kept, nil
	}
	modseq, err := t.nextModSeq(p.account)
	if err != nil {
		return nil, nil, err
	}
	for i := range changed {
		changed[i].ModSeq = modseq
	}
	if err := t.updateFlags(p, ranges, entries, changed, c); err != nil {
		return nil, nil, err
	}
	if _, err := t.Exec("UPDATE mailbox SET modseq = ?, unseen = unseen + ?, deleted = deleted + ? WHERE account_id = ? AND mailbox_id = ?",
		modseq, unseen, deleted, p.account, p.mailbox); err != nil {
		return nil, nil, err
	}
	t.changed(Change{Account: p.account, Mailbox: p.mailbox, ModSeq: modseq, Entries: changed})
	return changed, kept, nil
}

const entryColumns = "uid, email_id, flags, keywords, modseq, size, internaldate, saved"

func scanEntry(r *db.Rows) Entry {
	return Entry{UID: uint32(r.Int64(0)), Email: r.Int64(1), Flags: Flags(r.Int64(2)), Keywords: r.Text(3), ModSeq: r.Int64(4),
		Size: r.Int64(5), InternalDate: r.Int64(6), Saved: r.Int64(7)}
}

// entries reads the entries of a mailbox in ranges. With must, a mailbox that does not exist is ErrNoMailbox.
func (t *txn) entries(account, mailbox int64, ranges []Range, must bool) (list []Entry, err error) {
	if must {
		var one int64
		if found, err := t.QueryRow("SELECT 1 FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox).Scan(&one); err != nil {
			return nil, err
		} else if !found {
			return nil, ErrNoMailbox
		}
	}
	for _, r := range ranges {
		rows := t.Query("SELECT "+entryColumns+" FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid",
			account, mailbox, r.First, r.Last)
		for rows.Next() {
			list = append(list, scanEntry(rows))
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return list, nil
}
