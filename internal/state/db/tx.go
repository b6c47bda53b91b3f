package db

import (
	"context"
	"errors"
	"fmt"
	"math"

	"zombiezen.com/go/sqlite"
)

// Tx is a transaction, valid only inside the function it was given to and only on that goroutine.
//
// Arguments of statements are int, int64, int32, uint8, uint16, uint32, uint64 (up to the largest int64), bool (stored as
// 0 or 1), float64, string, []byte (nil is NULL, an empty slice is not) and nil.
type Tx struct {
	db   *DB
	conn *sqlite.Conn // one of these two
	pg   *pgConn
	ctx  context.Context // of a read; in a write one that never ends
	live bool
	err  error // sticky
	rows Rows

	rewritten map[string]string // by statement as we write it: as SQLite gets it
}

func (tx *Tx) start(ctx context.Context) { tx.ctx, tx.live, tx.err = ctx, true, nil }

// finish closes what fn left open.
func (tx *Tx) finish() {
	tx.rows.Close()
	tx.ctx, tx.live = nil, false
}

// Err returns the error that broke the transaction, if any.
func (tx *Tx) Err() error { return tx.err }

// Exec runs a statement that returns no rows and tells how many rows it inserted, changed or deleted.
func (tx *Tx) Exec(sql string, args ...any) (int64, error) {
	if err := tx.ready(sql); err != nil {
		return 0, err
	}
	if tx.pg != nil {
		return tx.execPostgres(sql, args)
	}
	stmt, err := tx.prepare(sql, args)
	if err != nil {
		return 0, err
	}
	row, err := stmt.Step()
	if err != nil {
		return 0, tx.broken(sql, err)
	}
	if row {
		return 0, tx.broken(sql, errors.Join(errors.New("statement returns rows: use Query"), stmt.Reset()))
	}
	return int64(tx.conn.Changes()), nil
}

// Query runs a statement that returns rows (also INSERT … RETURNING). An error shows in Next's end, from Err:
//
//	rows := tx.Query("SELECT uid, flags FROM entry WHERE mailbox_id = ?", id)
//	for rows.Next() {
//		use(rows.Int64(0), rows.Int64(1))
//	}
//	if err := rows.Err(); err != nil { … }
//
// The Rows belong to the Tx: at the next Query they are those of that query.
func (tx *Tx) Query(sql string, args ...any) *Rows {
	tx.query(sql, args)
	return &tx.rows
}

func (tx *Tx) query(sql string, args []any) {
	err := tx.ready(sql)
	tx.rows = Rows{tx: tx, sql: sql, err: err}
	switch {
	case err != nil:
	case tx.pg != nil:
		tx.rows.pg, tx.rows.err = tx.queryPostgres(sql, args)
	default:
		tx.rows.stmt, tx.rows.err = tx.prepare(sql, args)
	}
}

// QueryRow runs a query for its first row, if any, and scans it: found tells whether there was one.
//
//	found, err := tx.QueryRow("SELECT modseq FROM account_state WHERE account_id = ?", id).Scan(&modseq)
func (tx *Tx) QueryRow(sql string, args ...any) Row {
	tx.query(sql, args)
	return Row{&tx.rows}
}

// ready tells whether a statement may run now.
func (tx *Tx) ready(sql string) error {
	if tx.err != nil {
		return tx.err
	}
	if !tx.live {
		return errTxDone
	}
	if tx.rows.open() {
		return tx.broken(sql, fmt.Errorf("%w: %s", errRowsOpen, tx.rows.sql))
	}
	if tx.ctx != nil {
		if err := tx.ctx.Err(); err != nil {
			tx.err = err
			return err
		}
	}
	return nil
}

// prepare finds or makes the statement and binds its arguments. args must not be kept: that lets them live on the
// caller's stack.
func (tx *Tx) prepare(sql string, args []any) (*sqlite.Stmt, error) {
	stmt, err := tx.conn.Prepare(tx.sqlite(sql))
	if err != nil {
		return nil, tx.broken(sql, err)
	}
	if n := stmt.BindParamCount(); n != len(args) {
		return nil, tx.broken(sql, fmt.Errorf("%d arguments for %d parameters", len(args), n))
	}
	for i, a := range args {
		if err := bind(stmt, i+1, a); err != nil {
			return nil, tx.broken(sql, err)
		}
	}
	return stmt, nil
}

func bind(stmt *sqlite.Stmt, i int, arg any) error {
	switch v := arg.(type) {
	case int64:
		stmt.BindInt64(i, v)
	case int:
		stmt.BindInt64(i, int64(v))
	case string:
		stmt.BindText(i, v)
	case []byte:
		if v == nil {
			stmt.BindNull(i)
		} else {
			stmt.BindBytes(i, v)
		}
	case bool:
		stmt.BindBool(i, v)
	case uint64:
		if v > math.MaxInt64 {
			return fmt.Errorf("argument %d is larger than an int64", i)
		}
		stmt.BindInt64(i, int64(v))
	case uint32:
		stmt.BindInt64(i, int64(v))
	case int32:
		stmt.BindInt64(i, int64(v))
	case uint16:
		stmt.BindInt64(i, int64(v))
	case uint8:
		stmt.BindInt64(i, int64(v))
	case float64:
		stmt.BindFloat(i, v)
	case nil:
		stmt.BindNull(i)
	default:
		return fmt.Errorf("argument %d has a type that no column takes", i)
	}
	return nil
}

// broken records the error that makes the transaction useless.
func (tx *Tx) broken(sql string, err error) error {
	tx.err = tx.db.wrap(sql, err)
	return tx.err
}

// Rows is the result of a query, at one row at a time. Columns count from 0.
type Rows struct {
	tx   *Tx
	stmt *sqlite.Stmt // one of these two while the query is open
	pg   *pgRows
	sql  string
	err  error
}

func (r *Rows) open() bool { return r.stmt != nil || r.pg != nil }

// Next goes to the next row, the first at its first call. At the end, and after an error, it closes the rows and returns
// false.
func (r *Rows) Next() bool {
	if !r.open() {
		return false
	}
	if ctx := r.tx.ctx; ctx != nil && ctx.Err() != nil {
		r.err, r.tx.err = ctx.Err(), ctx.Err()
		r.Close()
		return false
	}
	if r.pg != nil {
		return r.nextPostgres()
	}
	row, err := r.stmt.Step()
	if err != nil {
		r.stmt = nil // Step has reset it
		r.err = r.tx.broken(r.sql, err)
		return false
	}
	if !row {
		r.stmt = nil
	}
	return row
}

// Err returns the error that ended Next.
func (r *Rows) Err() error { return r.err }

// Close ends the query early. After the last row there is nothing left to close.
func (r *Rows) Close() {
	if r.pg != nil {
		r.closePostgres()
		return
	}
	if r.stmt == nil {
		return
	}
	stmt := r.stmt
	r.stmt = nil
	if err := stmt.Reset(); err != nil && r.tx.err == nil {
		r.err = r.tx.broken(r.sql, err)
	}
}
