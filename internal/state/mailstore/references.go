package mailstore

import (
	"context"
	"slices"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
)

// Referable refuses a new reference into a pack that is about to go (blob.CheckReferable). It is asked in the transaction
// that stores the reference.
type Referable func(tx *db.Tx, pack int64) error

// referable asks once for each pack of a transaction: deliveries come in batches, mostly from one pack.
func (t *txn) referable(pack int64) error {
	if t.check == nil || slices.Contains(t.packs, pack) {
		return nil
	}
	if err := t.check(t.Tx, pack); err != nil {
		return err
	}
	t.packs = append(t.packs, pack)
	return nil
}

// recordSlice is how many records one read transaction of Records returns.
const recordSlice = 2000

// Records returns the records of a pack that emails lead to, each once, by place.
func (s *Store) Records(ctx context.Context, pack int64) (list []recipe.BlobRef, err error) {
	for more := true; more; {
		from := int64(-1)
		if len(list) > 0 {
			from = list[len(list)-1].Offset
		}
		n := 0
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			list, n = list[:len(list)-n], 0
			rows := tx.Query("SELECT DISTINCT place, length FROM email WHERE pack = ? AND place > ? ORDER BY place, length LIMIT ?", pack, from, recordSlice)
			for rows.Next() {
				list = append(list, recipe.BlobRef{Pack: pack, Offset: rows.Int64(0), Length: rows.Int64(1)})
				n++
			}
			return rows.Err()
		})
		if err != nil {
			return nil, err
		}
		more = n == recordSlice
	}
	return list, nil
}

// Live is how much of a pack emails lead to.
type Live struct {
	Records int64
	Bodies  int64 // bytes of the records' bodies
}

// Live counts the records of a pack that emails lead to.
func (s *Store) Live(ctx context.Context, pack int64) (l Live, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		_, err := tx.QueryRow(`SELECT COUNT(*), CAST(COALESCE(SUM(length), 0) AS BIGINT)
			FROM (SELECT DISTINCT place, length FROM email WHERE pack = ?) r`, pack).Scan(&l.Records, &l.Bodies)
		return err
	})
	return l, err
}

// Moved is a record that lies elsewhere now, whole and durable.
type Moved struct{ From, To recipe.BlobRef }

// moveSlice bounds the emails that one transaction of MoveReferences changes: a message may have thousands of recipients.
const moveSlice = 100

// MoveReferences leads the emails of moved records to their new places, and tells how many it did. It goes in small
// transactions, so that deliveries pass between them; each moves what still leads to the old place when it runs, so it may
// be repeated. Who has read an email before reads its bytes from the old pack, which stays for a day at least.
func (s *Store) MoveReferences(ctx context.Context, list []Moved) (n int64, err error) {
	for len(list) > 0 {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		var records int
		var emails int64
		err := s.write(ctx, func(t *txn) error {
			records, emails = 0, 0
			for records < len(list) && emails < moveSlice {
				k, err := t.moveReferences(&list[records], moveSlice-emails)
				if err != nil {
					return err
				}
				if emails += k; emails < moveSlice { // else the record may have more
					records++
				}
				if records == moveSlice {
					break
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		list, n = list[records:], n+emails
	}
	return n, nil
}

// moveReferences moves up to a limit of the emails that lead to a record.
func (t *txn) moveReferences(m *Moved, limit int64) (int64, error) {
	if err := t.referable(m.To.Pack); err != nil {
		return 0, err
	}
	var emails [][2]int64
	rows := t.Query("SELECT account_id, email_id FROM email WHERE pack = ? AND place = ? LIMIT ?", m.From.Pack, m.From.Offset, limit)
	for rows.Next() {
		emails = append(emails, [2]int64{rows.Int64(0), rows.Int64(1)})
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, e := range emails {
		if _, err := t.Exec("UPDATE email SET pack = ?, place = ?, length = ? WHERE account_id = ? AND email_id = ?",
			m.To.Pack, m.To.Offset, m.To.Length, e[0], e[1]); err != nil {
			return 0, err
		}
	}
	return int64(len(emails)), nil
}
