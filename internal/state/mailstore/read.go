package mailstore

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

// snapshotSlice is how many entries one read transaction returns, so that no snapshot of the database is held for long.
const snapshotSlice = 5000

// Snapshot calls fn for every entry of a mailbox, ascending by UID, and returns the mailbox as it was at the end. Entries
// come in slices from one database snapshot each; with a Watch begun before, changes in between are not lost.
func (s *Store) Snapshot(ctx context.Context, account, mailbox int64, fn func(Entry)) (m Mailbox, err error) {
	const sql = "SELECT " + entryColumns + ` FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid >= ?
		ORDER BY uid LIMIT ?`
	return s.slices(ctx, place{account, mailbox}, sql, func(rows *db.Rows) uint32 {
		e := scanEntry(rows)
		fn(e)
		return e.UID
	})
}

// SnapshotFlags is Snapshot for who keeps a view of a mailbox: of an Entry only UID, Flags, Keywords and ModSeq are set.
func (s *Store) SnapshotFlags(ctx context.Context, account, mailbox int64, fn func(Entry)) (m Mailbox, err error) {
	const sql = `SELECT uid, flags, keywords, modseq FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid >= ?
		ORDER BY uid LIMIT ?`
	return s.slices(ctx, place{account, mailbox}, sql, func(rows *db.Rows) uint32 {
		e := Entry{UID: uint32(rows.Int64(0)), Flags: Flags(rows.Int64(1)), ModSeq: rows.Int64(3)}
		if rows.Len(2) > 0 {
			e.Keywords = rows.Text(2)
		}
		fn(e)
		return e.UID
	})
}

// slices reads a mailbox in slices; scan takes a row and returns its UID.
func (s *Store) slices(ctx context.Context, p place, sql string, scan func(*db.Rows) uint32) (m Mailbox, err error) {
	from := int64(1)
	for {
		n := 0
		err = s.db.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query(sql, p.account, p.mailbox, from, snapshotSlice)
			for rows.Next() {
				from = int64(scan(rows)) + 1
				n++
			}
			if rows.Err() != nil || n == snapshotSlice {
				return rows.Err()
			}
			rows = tx.Query("SELECT "+mailboxColumns+" FROM mailbox WHERE account_id = ? AND mailbox_id = ?", p.account, p.mailbox)
			defer rows.Close()
			if !rows.Next() {
				if rows.Err() != nil {
					return rows.Err()
				}
				return ErrNoMailbox
			}
			m = scanMailbox(rows)
			return nil
		})
		if err != nil || n < snapshotSlice {
			return m, err
		}
	}
}

// Entries returns the entries of a mailbox whose UIDs lie in ranges.
func (s *Store) Entries(ctx context.Context, account, mailbox int64, ranges []Range) (list []Entry, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		t := txn{Tx: tx}
		list, err = t.entries(account, mailbox, ranges, false)
		return err
	})
	return list, err
}

// Email is an immutable message.
type Email struct {
	Account   int64
	ID        int64
	Ref       recipe.BlobRef
	Literals  []byte
	Size      int64
	Received  time.Time
	Thread    int64
	Structure []byte
}

const emailColumns = "email_id, pack, place, length, literals, size, received, thread_id, structure"

// emailSlice is how many emails one read transaction returns.
const emailSlice = 1000

// Emails calls fn for each of the account's emails in ids (ascending); those that do not exist are passed over. e and its
// slices are used again for the next call. fn runs inside a database snapshot: it takes what it needs and does no I/O.
func (s *Store) Emails(ctx context.Context, account int64, ids []int64, fn func(e *Email) error) error {
	e := &Email{Account: account}
	for len(ids) > 0 {
		n := min(len(ids), emailSlice)
		slice := ids[:n]
		ids = ids[n:]
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			for len(slice) > 0 {
				// Numbers without a gap are one range; most mailboxes are a few.
				run := runOf(slice)
				rows := tx.Query("SELECT "+emailColumns+" FROM email WHERE account_id = ? AND email_id BETWEEN ? AND ? ORDER BY email_id",
					account, slice[0], slice[run-1])
				for rows.Next() {
					e.scan(rows)
					if err := fn(e); err != nil {
						rows.Close()
						return err
					}
				}
				if err := rows.Err(); err != nil {
					return err
				}
				slice = slice[run:]
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Email) scan(r *db.Rows) {
	e.ID = r.Int64(0)
	e.Ref = recipe.BlobRef{Pack: r.Int64(1), Offset: r.Int64(2), Length: r.Int64(3)}
	e.Literals = r.AppendBytes(e.Literals[:0], 4)
	e.Size = r.Int64(5)
	e.Received = time.UnixMicro(r.Int64(6))
	e.Thread = r.Int64(7)
	e.Structure = r.AppendBytes(e.Structure[:0], 8)
}

// Message returns the message's recipe: the delivery's literals, then what the record's trailer says.
func (s *Store) Message(ctx context.Context, e *Email) (recipe.Recipe, error) {
	trailer, err := s.blobs.Trailer(ctx, e.Ref)
	if err != nil {
		return nil, err
	}
	return e.recipe(trailer)
}

// verifyMax is the longest body whose checksum Open looks at. A client may fetch a larger one in many pieces, each an Open:
// reading all of it every time would be dear. Those are verified at a start, while the journal has them, and by the
// operator's check.
const verifyMax = 256 << 10

// Open returns a reader of the message's bytes. Of bodies up to verifyMax it is certain that they are those that were
// accepted: a damaged one is an error here, before a byte of it is shown.
func (s *Store) Open(ctx context.Context, e *Email) (*recipe.Reader, error) {
	r, err := s.Message(ctx, e)
	if err != nil {
		return nil, err
	}
	if e.Ref.Length <= verifyMax {
		if err := s.blobs.Verify(ctx, e.Ref); err != nil {
			return nil, fmt.Errorf("email %d of account %d: %w", e.ID, e.Account, err)
		}
	}
	return recipe.NewReader(s.blobs, r), nil
}

// RefersTo tells whether an email's bytes lie in a pack; it is asked before the pack is condemned.
func RefersTo(tx *db.Tx, pack int64) (bool, error) {
	var one int64
	return tx.QueryRow("SELECT 1 FROM email WHERE pack = ? LIMIT 1", pack).Scan(&one)
}
