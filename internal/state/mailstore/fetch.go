package mailstore

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

// What answers to FETCH and SEARCH read: few columns of many rows.

// EachEntry calls fn for the entries of a mailbox whose UIDs lie in ranges, ascending; of e only UID and Email are set and,
// with dates, Size, InternalDate and Saved. fn runs inside a database snapshot: it takes what it needs and does no I/O.
func (s *Store) EachEntry(ctx context.Context, account, mailbox int64, ranges []Range, dates bool, fn func(e *Entry)) error {
	sql := "SELECT uid, email_id FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid"
	if dates {
		sql = `SELECT uid, email_id, size, internaldate, saved FROM entry
			WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid`
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		var e Entry
		for _, r := range ranges {
			rows := tx.Query(sql, account, mailbox, r.First, r.Last)
			for rows.Next() {
				e.UID, e.Email = uint32(rows.Int64(0)), rows.Int64(1)
				if dates {
					e.Size, e.InternalDate, e.Saved = rows.Int64(2), rows.Int64(3), rows.Int64(4)
				}
				fn(&e)
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Stored is Emails for who reads structures: Account, ID, Thread, Literals and Structure are set and, with refs, Ref and
// Size. ids are so few that one snapshot is enough.
func (s *Store) Stored(ctx context.Context, account int64, ids []int64, refs bool, fn func(e *Email) error) error {
	sql := "SELECT email_id, thread_id, literals, structure FROM email WHERE account_id = ? AND email_id BETWEEN ? AND ? ORDER BY email_id"
	if refs {
		sql = `SELECT email_id, thread_id, literals, structure, pack, place, length, size FROM email
			WHERE account_id = ? AND email_id BETWEEN ? AND ? ORDER BY email_id`
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		e := &Email{Account: account}
		for len(ids) > 0 {
			run := runOf(ids)
			rows := tx.Query(sql, account, ids[0], ids[run-1])
			ids = ids[run:]
			for rows.Next() {
				e.ID, e.Thread = rows.Int64(0), rows.Int64(1)
				e.Literals, e.Structure = rows.AppendBytes(e.Literals[:0], 2), rows.AppendBytes(e.Structure[:0], 3)
				if refs {
					e.Ref = recipe.BlobRef{Pack: rows.Int64(4), Offset: rows.Int64(5), Length: rows.Int64(6)}
					e.Size = rows.Int64(7)
				}
				if err := fn(e); err != nil {
					rows.Close()
					return err
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

// runOf is how many of ids, from the first on, are numbers without a gap: one range of a query.
func runOf(ids []int64) int {
	n := 1
	for n < len(ids) && ids[n] == ids[n-1]+1 {
		n++
	}
	return n
}

// wholeRecords is what packs may have besides: a record with its trailer in one read, every sum checked.
type wholeRecords interface {
	Record(ctx context.Context, ref recipe.BlobRef, buf *[]byte) (body, trailer []byte, err error)
}

// OpenInto is Open for who goes through many messages: one up to verifyMax is read at once, with one read of its pack, into
// *buf, and the reader is good until *buf is used again.
func (s *Store) OpenInto(ctx context.Context, e *Email, buf *[]byte) (*recipe.Reader, error) {
	packs, ok := s.blobs.(wholeRecords)
	if !ok || e.Ref.Length > verifyMax {
		return s.Open(ctx, e)
	}
	body, trailer, err := packs.Record(ctx, e.Ref, buf)
	if err != nil {
		return nil, fmt.Errorf("email %d of account %d: %w", e.ID, e.Account, err)
	}
	r, err := e.recipe(trailer)
	if err != nil {
		return nil, err
	}
	return recipe.NewReader(&inMemory{e.Ref, body, s.blobs}, r), nil
}

// recipe is the message by the trailer of its record: the delivery's literals stand in front.
func (e *Email) recipe(trailer []byte) (recipe.Recipe, error) {
	r, err := flow.DecodeMessage(trailer, e.Ref)
	if err != nil {
		return nil, fmt.Errorf("email %d of account %d: %w", e.ID, e.Account, err)
	}
	r = r.Prepend(append([]byte(nil), e.Literals...))
	if r.Size() != e.Size {
		return nil, fmt.Errorf("email %d of account %d: recipe of %d bytes, size %d", e.ID, e.Account, r.Size(), e.Size)
	}
	return r, nil
}

// inMemory is packs of which one body has been read.
type inMemory struct {
	ref  recipe.BlobRef
	body []byte
	rest recipe.Source
}

func (m *inMemory) ReadBodyAt(ref recipe.BlobRef, p []byte, off int64) error {
	if ref != m.ref {
		return m.rest.ReadBodyAt(ref, p, off)
	}
	if off < 0 || off > int64(len(m.body))-int64(len(p)) {
		return fmt.Errorf("read %d+%d of a body of %d: %w", off, len(p), len(m.body), recipe.ErrInvalid)
	}
	copy(p, m.body[off:])
	return nil
}
