package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"
)

// Salvaged is what Salvage got out of a damaged file.
type Salvaged struct {
	Rows int64
	// Gaps has, for each table that could not be read to its end from the front, why. Its rows may be missing from there on;
	// those that could be reached from behind or by their account are copied.
	Gaps map[string]string
}

// Whole tells whether all of these tables were read without an error.
func (s *Salvaged) Whole(tables ...string) bool {
	return !slices.ContainsFunc(tables, func(t string) bool { return s.Gaps[t] != "" })
}

// Salvage copies into d, a new database of SQLite with the current schema, what can be read of the database file at path,
// which is damaged and is not changed. It reads each table from its front, from its end, and account by account, each time
// until it meets an error. Nothing is guessed: a row is copied as SQLite reads it, or not at all.
func (d *DB) Salvage(ctx context.Context, path string) (Salvaged, error) {
	s := Salvaged{Gaps: map[string]string{}}
	var tables []string
	err := d.Read(ctx, func(tx *Tx) (err error) {
		tables, err = tableNames(tx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'schema_migration'
			ORDER BY name NOT IN ('account', 'account_state'), name`) // the accounts first: they lead to the others' rows
		return err
	})
	if err != nil {
		return s, err
	}
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err == nil {
		_, err = pragma(conn, "cell_size_check=ON")
	}
	if err == nil {
		_, err = pragma(conn, "schema_version") // reads the file's beginning
	}
	if err != nil {
		for _, t := range tables {
			s.Gaps[t] = err.Error()
		}
		if conn != nil {
			_ = conn.Close() // nothing was read
		}
		return s, nil
	}
	for _, t := range tables {
		c := &salvage{db: d, old: conn, table: t}
		if err = c.run(ctx); err != nil {
			break
		}
		s.Rows += c.rows
		if c.broken != nil {
			s.Gaps[t] = c.broken.Error()
		}
	}
	_ = conn.Close() // it was read only, and is damaged
	return s, err
}

// salvageBatch is how many rows are copied in one transaction.
const salvageBatch = 500

// salvage copies one table.
type salvage struct {
	db      *DB
	old     *sqlite.Conn
	table   string
	columns []string
	key     []string
	insert  string
	rows    int64
	broken  error // the first error of the old file
}

// run returns errors of the new database and of ctx; those of the old one are noted.
func (c *salvage) run(ctx context.Context) error {
	if ok, err := c.prepare(ctx); err != nil || !ok {
		return err
	}
	if err := c.copy(ctx, ""); err != nil || c.broken == nil {
		return err
	}
	if err := c.copy(ctx, " DESC"); err != nil || c.key[0] != "account_id" {
		return err
	}
	accounts, err := c.accounts(ctx)
	if err != nil {
		return err
	}
	for _, id := range accounts {
		for _, direction := range []string{"", " DESC"} {
			if err := c.copy(ctx, direction, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare learns which columns both files have. A table that the old schema did not have yet is none to copy.
func (c *salvage) prepare(ctx context.Context) (ok bool, err error) {
	have := map[string]bool{}
	if err := c.each("SELECT name FROM pragma_table_info(?)", func(stmt *sqlite.Stmt) error {
		have[stmt.ColumnText(0)] = true
		return nil
	}, c.table); err != nil {
		c.broken = err
		return false, nil
	}
	if len(have) == 0 {
		return false, nil
	}
	err = c.db.Read(ctx, func(tx *Tx) error {
		c.columns, c.key = nil, nil
		rows := tx.Query("SELECT name, pk FROM pragma_table_info(?) ORDER BY pk = 0, pk, cid", c.table)
		for rows.Next() {
			if name := rows.Text(0); have[name] {
				c.columns = append(c.columns, name)
				if rows.Int64(1) > 0 {
					c.key = append(c.key, name)
				}
			}
		}
		return rows.Err()
	})
	if err != nil || len(c.key) == 0 {
		return false, err
	}
	c.insert = fmt.Sprintf("INSERT OR IGNORE INTO %q (%s) VALUES (?%s)", c.table, strings.Join(c.columns, ", "), strings.Repeat(", ?", len(c.columns)-1))
	// A table with row ids is read by them: the index of its key may be what is damaged.
	if stmt, _, err := c.old.PrepareTransient(fmt.Sprintf("SELECT rowid FROM %q", c.table)); err == nil {
		c.key = []string{"rowid"}
		return true, stmt.Finalize()
	}
	return true, nil
}

// copy reads rows in the order of the key, or against it, of all accounts or of one, until an error or until it meets rows
// that are copied already.
func (c *salvage) copy(ctx context.Context, direction string, account ...any) error {
	where := ""
	if len(account) > 0 {
		where = " WHERE account_id = ?"
	}
	sql := fmt.Sprintf("SELECT %s FROM %q%s ORDER BY %s%s", strings.Join(c.columns, ", "), c.table, where,
		strings.Join(c.key, direction+", "), direction)
	var batch [][]any
	var failed error
	flush := func() error {
		n := int64(0)
		err := c.db.Write(ctx, func(tx *Tx) error {
			n = 0
			for _, row := range batch {
				one, err := tx.Exec(c.insert, row...)
				if err != nil {
					return err
				}
				n += one
			}
			return nil
		})
		met := n == 0
		c.rows, batch = c.rows+n, batch[:0]
		if failed = err; err == nil && met {
			return errMet
		}
		return err
	}
	err := c.each(sql, func(stmt *sqlite.Stmt) error {
		row := make([]any, len(c.columns))
		for i := range row {
			row[i] = value(stmt, i)
		}
		if batch = append(batch, row); len(batch) == salvageBatch {
			return flush()
		}
		return nil
	}, account...)
	if failed != nil {
		return failed
	}
	if err != nil && !errors.Is(err, errMet) && c.broken == nil {
		c.broken = err
	}
	if len(batch) > 0 {
		_ = flush() // errMet says nothing any more; the other kind is in failed
	}
	return failed
}

var errMet = errors.New("these rows are known")

// accounts lists the accounts of the new database.
func (c *salvage) accounts(ctx context.Context) (ids []any, err error) {
	err = c.db.Read(ctx, func(tx *Tx) error {
		ids = nil
		rows := tx.Query("SELECT account_id FROM account UNION SELECT account_id FROM account_state ORDER BY account_id")
		for rows.Next() {
			ids = append(ids, rows.Int64(0))
		}
		return rows.Err()
	})
	return ids, err
}

// each runs a query on the old file.
func (c *salvage) each(sql string, fn func(*sqlite.Stmt) error, args ...any) error {
	stmt, _, err := c.old.PrepareTransient(sql)
	if err != nil {
		return err
	}
	for i, a := range args {
		switch v := a.(type) {
		case string:
			stmt.BindText(i+1, v)
		case int64:
			stmt.BindInt64(i+1, v)
		}
	}
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return errors.Join(err, finalizing(stmt, err))
		}
		if err := fn(stmt); err != nil {
			return errors.Join(err, stmt.Finalize())
		}
	}
}

// finalizing repeats the error of the statement's last step; it is told once.
func finalizing(stmt *sqlite.Stmt, told error) error {
	if err := stmt.Finalize(); told == nil {
		return err
	}
	return nil
}

// value is a column as Exec takes it.
func value(stmt *sqlite.Stmt, col int) any {
	switch stmt.ColumnType(col) {
	case sqlite.TypeInteger:
		return stmt.ColumnInt64(col)
	case sqlite.TypeFloat:
		return stmt.ColumnFloat(col)
	case sqlite.TypeText:
		return stmt.ColumnText(col)
	case sqlite.TypeBlob:
		b := make([]byte, stmt.ColumnLen(col))
		stmt.ColumnBytes(col, b)
		return b
	}
	return nil
}
