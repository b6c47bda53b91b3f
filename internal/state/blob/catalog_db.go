package blob

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// Referrer tells whether something refers to a pack: the mailstore's emails, the queue's jobs.
type Referrer func(tx *db.Tx, pack int64) (bool, error)

// DBCatalog is the Catalog in the database.
type DBCatalog struct {
	db        *db.DB
	referrers []Referrer
}

var _ Catalog = (*DBCatalog)(nil)

// NewDBCatalog makes the catalog over the table pack of d. A pack is condemned or deleted only if no referrer knows it.
func NewDBCatalog(d *db.DB, referrers ...Referrer) *DBCatalog { return &DBCatalog{d, referrers} }

// CheckReferable refuses a new reference into a pack that is condemned. Whoever stores a reference calls it in the same
// transaction: with Condemn, which looks for references in its own, no reference is ever left behind.
func CheckReferable(tx *db.Tx, pack int64) error {
	var state, kind int64
	found, err := tx.QueryRow("SELECT state, kind FROM pack WHERE pack = ?", pack).Scan(&state, &kind)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("pack %d: %w", pack, ErrMissing)
	case State(state) >= PackCondemned:
		return fmt.Errorf("pack %d: %w", pack, ErrCondemned)
	case State(state) == PackOpen && Kind(kind) == KindCopies: // a start would remove it
		return fmt.Errorf("pack %d is not complete: %w", pack, ErrInUse)
	}
	return nil
}

// Reserve implements Catalog.
func (c *DBCatalog) Reserve(ctx context.Context, kind Kind, node uint32, epoch int64, at time.Time) (pack int64, err error) {
	err = c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.QueryRow(`INSERT INTO pack (pack, state, node, epoch, created, size, settled, condemned, kind)
			SELECT COALESCE(MAX(pack), 0) + 1, ?, ?, ?, ?, 0, 0, 0, ? FROM pack RETURNING pack`,
			int64(PackOpen), node, epoch, at.UnixMicro(), int64(kind)).Scan(&pack)
		return err
	})
	return pack, err
}

// Seal implements Catalog.
func (c *DBCatalog) Seal(ctx context.Context, pack, size int64) error {
	return c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE pack SET state = ?, size = ?, settled = CASE WHEN kind = ? THEN ? ELSE settled END
			WHERE pack = ? AND state = ?`, int64(PackSealed), size, int64(KindCopies), size, pack, int64(PackOpen))
		return err
	})
}

// Settle implements Catalog.
func (c *DBCatalog) Settle(ctx context.Context, positions []Settled) error {
	return c.db.Write(ctx, func(tx *db.Tx) error {
		for _, p := range positions {
			_, err := tx.Exec("UPDATE pack SET settled = ? WHERE pack = ? AND settled < ?", p.Offset, p.Pack, p.Offset)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Condemn implements Catalog.
func (c *DBCatalog) Condemn(ctx context.Context, pack int64, at time.Time) error {
	return c.advance(ctx, pack, "condemn", func(tx *db.Tx) (int64, error) {
		return tx.Exec("UPDATE pack SET state = ?, condemned = ? WHERE pack = ? AND state = ? AND settled >= size",
			int64(PackCondemned), at.UnixMicro(), pack, int64(PackSealed))
	})
}

// Delete implements Catalog.
func (c *DBCatalog) Delete(ctx context.Context, pack int64, condemnedBefore time.Time) error {
	return c.advance(ctx, pack, "delete", func(tx *db.Tx) (int64, error) {
		return tx.Exec("UPDATE pack SET state = ? WHERE pack = ? AND state = ? AND condemned <= ?",
			int64(PackDeleted), pack, int64(PackCondemned), condemnedBefore.UnixMicro())
	})
}

// advance runs the update in a transaction that finds no reference to the pack; it must change one row.
func (c *DBCatalog) advance(ctx context.Context, pack int64, what string, update func(*db.Tx) (int64, error)) error {
	return c.db.Write(ctx, func(tx *db.Tx) error {
		for _, refers := range c.referrers {
			used, err := refers(tx, pack)
			if err != nil {
				return err
			}
			if used {
				return fmt.Errorf("%s pack %d: %w", what, pack, ErrInUse)
			}
		}
		n, err := update(tx)
		if err == nil && n != 1 {
			err = fmt.Errorf("%s pack %d: %w", what, pack, ErrInUse)
		}
		return err
	})
}

// Gone implements Catalog.
func (c *DBCatalog) Gone(ctx context.Context, pack int64) error {
	return c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE pack SET state = ? WHERE pack = ? AND (state = ? OR state = ?)",
			int64(PackGone), pack, int64(PackOpen), int64(PackDeleted))
		return err
	})
}

const columns = "pack, state, node, epoch, created, size, settled, condemned, kind"

// Unfinished implements Catalog.
func (c *DBCatalog) Unfinished(ctx context.Context, node uint32) (out []Row, err error) {
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT "+columns+` FROM pack
			WHERE node = ? AND (state = ? OR state = ? OR (state = ? AND settled < size)) ORDER BY pack`,
			node, int64(PackOpen), int64(PackDeleted), int64(PackSealed))
		for rows.Next() {
			out = append(out, readRow(rows))
		}
		return rows.Err()
	})
	return out, err
}

// List implements Catalog.
func (c *DBCatalog) List(ctx context.Context, after int64, states ...State) (out []Row, err error) {
	where, args := "pack > ?", []any{after}
	for i, st := range states {
		where += [...]string{" AND (state = ?", " OR state = ?"}[min(i, 1)]
		args = append(args, int64(st))
	}
	if len(states) > 0 {
		where += ")"
	}
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT "+columns+" FROM pack WHERE "+where+" ORDER BY pack LIMIT ?", append(args, ListMax)...)
		for rows.Next() {
			out = append(out, readRow(rows))
		}
		return rows.Err()
	})
	return out, err
}

// Get implements Catalog.
func (c *DBCatalog) Get(ctx context.Context, pack int64) (row Row, err error) {
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT "+columns+" FROM pack WHERE pack = ?", pack)
		if !rows.Next() {
			if err := rows.Err(); err != nil {
				return err
			}
			return fmt.Errorf("pack %d: %w", pack, ErrMissing)
		}
		row = readRow(rows)
		rows.Close()
		return rows.Err()
	})
	return row, err
}

func readRow(r *db.Rows) Row {
	row := Row{
		Pack: r.Int64(0), State: State(r.Int64(1)), Node: uint32(r.Int64(2)), Epoch: r.Int64(3),
		Created: time.UnixMicro(r.Int64(4)), Size: r.Int64(5), Settled: r.Int64(6), Kind: Kind(r.Int64(8)),
	}
	if at := r.Int64(7); at != 0 {
		row.Condemned = time.UnixMicro(at)
	}
	return row
}
