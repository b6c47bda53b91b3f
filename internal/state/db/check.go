package db

import (
	"context"

	"github.com/postrider/postrider/internal/state/fault"
	"zombiezen.com/go/sqlite"
)

// maxIntegrityLines bounds what SQLite says of one table; more says nothing new.
const maxIntegrityLines = 20

// Check has SQLite read every table with its indexes, one table a transaction so that no snapshot holds the log for long.
// What it says is reported as fault.DatabaseDamaged; indexes can be made anew from their tables, and with c.Repair are.
// PostgreSQL is not asked: it has tools of its own (pg_amcheck).
func (d *DB) Check(ctx context.Context, c fault.Check) error {
	if d.pg != nil {
		return nil
	}
	var tables []string
	err := d.Read(ctx, func(tx *Tx) error {
		rows := tx.Query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
		for rows.Next() {
			tables = append(tables, rows.Text(0))
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := c.Pause(ctx); err != nil {
			return err
		}
		said, err := d.integrity(ctx, table)
		if err != nil {
			return err
		}
		mended := ""
		if c.Repair && len(said) > 0 {
			if mended, err = d.reindex(ctx, table); err != nil {
				return err
			}
		}
		for _, line := range said {
			f := fault.Fault{Kind: fault.DatabaseDamaged, Text: "store.db, table " + table + ": " + line, Mended: mended}
			if err := c.Report(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// integrity is what SQLite finds wrong with a table and its indexes.
func (d *DB) integrity(ctx context.Context, table string) (said []string, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		rows := tx.Query("SELECT integrity_check FROM pragma_integrity_check(?)", table)
		for rows.Next() {
			if line := rows.Text(0); line != "ok" && len(said) < maxIntegrityLines {
				said = append(said, line)
			}
		}
		return rows.Err()
	})
	return said, err
}

// reindex makes a table's indexes anew, and tells whether that was all there was to mend.
func (d *DB) reindex(ctx context.Context, table string) (mended string, err error) {
	err = d.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`REINDEX "` + table + `"`)
		return err
	})
	if err != nil {
		return "", nil // a key that is twice in the table itself: only a backup helps
	}
	said, err := d.integrity(ctx, table)
	if err == nil && len(said) == 0 {
		mended = "its indexes were made anew"
	}
	return mended, err
}

// LastBoot returns the installation's id and when the node was last started.
func (d *DB) LastBoot(ctx context.Context, node uint16) (installation string, started int64, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		if _, err := tx.QueryRow("SELECT uuid FROM installation").Scan(&installation); err != nil {
			return err
		}
		_, err := tx.QueryRow("SELECT started FROM node WHERE node = ?", node).Scan(&started)
		return err
	})
	return installation, started, err
}

// NoDatabase tells whether the error of Open says that the file is damaged or no database at all.
func NoDatabase(err error) bool {
	code := sqlite.ErrCode(err).ToPrimary()
	return code == sqlite.ResultNotADB || code == sqlite.ResultCorrupt
}
