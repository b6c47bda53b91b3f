package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgConn is one session.
type pgConn struct {
	conn  *pgconn.PgConn
	pg    *postgres
	stmts map[string]*pgStmt // by the caller's text
	rows  pgRows
	args  pgArgs
	// A RELEASE that has not been sent: it goes with the next SAVEPOINT or COMMIT and saves a round trip.
	release bool
}

// pgStmt is a statement that the session has prepared.
type pgStmt struct {
	*pgconn.StatementDescription
	results []int16 // formats of the columns: bytea in binary, everything else as text
	params  []int16
}

const (
	pgTypeBool  = 16 // object ids of types, as in pg_type
	pgTypeBytea = 17

	pgText   int16 = 0
	pgBinary int16 = 1
)

// begin starts a transaction. A write learns the number under which pg_xact_status tells of it later; one writer alone
// needs no more isolation than READ COMMITTED.
func (c *pgConn) begin(r role) error {
	if r == roleReader {
		return c.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	}
	v, err := c.values("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_current_xact_id()::text")
	if err != nil {
		return err
	}
	c.pg.xid = v[0]
	return nil
}

// run executes statements without parameters. A COMMIT that the server turned into a ROLLBACK is an error.
func (c *pgConn) run(sql string) error {
	text := sql
	if c.release && (sql == sqlSavepoint || sql == sqlCommit) {
		text = sqlRelease + "; " + sql
	}
	if c.release = sql == sqlRelease; c.release {
		return nil
	}
	results, err := c.conn.Exec(context.Background(), text).ReadAll()
	if err == nil && sql == sqlCommit && results[len(results)-1].CommandTag.String() != sqlCommit {
		err = errNotCommitted
	}
	return err
}

// values executes statements without parameters and returns the first row of the last one. NULL is "".
func (c *pgConn) values(sql string) ([]string, error) {
	results, err := c.conn.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		return nil, err
	}
	last := results[len(results)-1]
	if len(last.Rows) == 0 {
		return nil, errors.New("no row")
	}
	var out []string
	for _, v := range last.Rows[0] {
		out = append(out, string(v))
	}
	return out, nil
}

func (c *pgConn) inTx() bool   { return !c.lost() && c.conn.TxStatus() != 'I' }
func (c *pgConn) lost() bool   { return c.conn.IsClosed() }
func (c *pgConn) serve(tx *Tx) { tx.pg = c }

// Close says goodbye; a server that does not listen any more is no error.
func (c *pgConn) Close() error {
	if c.lost() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx)
	return nil
}

// prepare finds or makes a statement.
func (c *pgConn) prepare(sql string) (*pgStmt, error) {
	if st := c.stmts[sql]; st != nil {
		return st, nil
	}
	name := "s" + strconv.Itoa(len(c.stmts))
	sd, err := c.conn.Prepare(context.Background(), name, pgPlaceholders(sql), nil)
	if err != nil {
		return nil, err
	}
	st := &pgStmt{StatementDescription: sd, results: make([]int16, len(sd.Fields)), params: make([]int16, len(sd.ParamOIDs))}
	for i, f := range sd.Fields {
		st.results[i] = pgFormat(f.DataTypeOID)
	}
	for i, oid := range sd.ParamOIDs {
		st.params[i] = pgFormat(oid)
	}
	c.stmts[sql] = st
	return st, nil
}

func pgFormat(oid uint32) int16 {
	if oid == pgTypeBytea {
		return pgBinary
	}
	return pgText
}

// start sends a statement with its arguments.
func (c *pgConn) start(sql string, args []any) (*pgStmt, *pgconn.ResultReader, error) {
	st, err := c.prepare(sql)
	if err != nil {
		return nil, nil, err
	}
	if n := len(st.ParamOIDs); n != len(args) {
		return nil, nil, fmt.Errorf("%d arguments for %d parameters", len(args), n)
	}
	c.args.reset()
	for i, a := range args {
		if err := c.args.add(i, a, st.params[i]); err != nil {
			return nil, nil, err
		}
	}
	return st, c.conn.ExecStatement(context.Background(), st.StatementDescription, c.args.values(), st.params, st.results), nil
}

func (tx *Tx) execPostgres(sql string, args []any) (int64, error) {
	st, result, err := tx.pg.start(sql, args)
	if err != nil {
		return 0, tx.broken(sql, err)
	}
	tag, err := result.Close()
	if err == nil && len(st.Fields) > 0 {
		err = errors.New("statement returns rows: use Query")
	}
	if err != nil {
		return 0, tx.broken(sql, err)
	}
	return tag.RowsAffected(), nil
}

func (tx *Tx) queryPostgres(sql string, args []any) (*pgRows, error) {
	st, result, err := tx.pg.start(sql, args)
	if err != nil {
		return nil, tx.broken(sql, err)
	}
	tx.pg.rows = pgRows{stmt: st, result: result}
	return &tx.pg.rows, nil
}

// nextPostgres goes to the next row, or ends the query.
func (r *Rows) nextPostgres() bool {
	if r.pg.result.NextRow() {
		r.pg.row = r.pg.result.Values()
		return true
	}
	r.closePostgres()
	return false
}

// closePostgres reads what is left of the answer and drops it.
func (r *Rows) closePostgres() {
	_, err := r.pg.result.Close()
	r.pg = nil
	if err != nil && r.tx.err == nil {
		r.err = r.tx.broken(r.sql, err)
	}
}

// pgArgs are the arguments of one statement as they are sent, in a buffer that is used again: the caller's values are
// copied, so that they may live on his stack.
type pgArgs struct {
	buf  []byte
	ends []int // of each argument in buf; -1: NULL
	out  [][]byte
}

func (a *pgArgs) reset() { a.buf, a.ends = a.buf[:0], a.ends[:0] }

func (a *pgArgs) values() [][]byte {
	a.out = a.out[:0]
	from := 0
	for _, end := range a.ends {
		if end < 0 {
			a.out = append(a.out, nil)
			continue
		}
		a.out = append(a.out, a.buf[from:end:end])
		from = end
	}
	return a.out
}

func (a *pgArgs) add(i int, arg any, format int16) error {
	switch v := arg.(type) {
	case int64:
		a.buf = strconv.AppendInt(a.buf, v, 10)
	case int:
		a.buf = strconv.AppendInt(a.buf, int64(v), 10)
	case string:
		if format == pgBinary {
			a.buf = append(a.buf, v...)
		} else {
			a.buf = pgAppendText(a.buf, v)
		}
	case []byte:
		if v == nil {
			a.ends = append(a.ends, -1)
			return nil
		}
		a.buf = append(a.buf, v...)
		if a.buf == nil {
			a.buf = []byte{} // empty is not NULL
		}
	case bool:
		b := byte('0')
		if v {
			b = '1'
		}
		a.buf = append(a.buf, b)
	case uint64:
		if v > math.MaxInt64 {
			return fmt.Errorf("argument %d is larger than an int64", i+1)
		}
		a.buf = strconv.AppendUint(a.buf, v, 10)
	case uint32:
		a.buf = strconv.AppendUint(a.buf, uint64(v), 10)
	case int32:
		a.buf = strconv.AppendInt(a.buf, int64(v), 10)
	case uint16:
		a.buf = strconv.AppendUint(a.buf, uint64(v), 10)
	case uint8:
		a.buf = strconv.AppendUint(a.buf, uint64(v), 10)
	case float64:
		a.buf = strconv.AppendFloat(a.buf, v, 'g', -1, 64)
	case nil:
		a.ends = append(a.ends, -1)
		return nil
	default:
		return fmt.Errorf("argument %d has a type that no column takes", i+1)
	}
	if a.buf == nil {
		a.buf = []byte{}
	}
	a.ends = append(a.ends, len(a.buf))
	return nil
}

// pgRows is the result of a query, at one row. Its columns hold until the next row.
type pgRows struct {
	stmt   *pgStmt
	result *pgconn.ResultReader
	row    [][]byte
}

func (r *pgRows) isNull(col int) bool { return r.row[col] == nil }

// int64 reads what SQLite calls an integer: also the sums of integers, and truth values as 0 and 1.
func (r *pgRows) int64(col int) int64 {
	b := r.row[col]
	if r.stmt.Fields[col].DataTypeOID == pgTypeBool {
		if len(b) == 1 && b[0] == 't' {
			return 1
		}
		return 0
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return int64(r.float(col))
	}
	return n
}

func (r *pgRows) float(col int) float64 {
	f, err := strconv.ParseFloat(string(r.row[col]), 64)
	if err != nil {
		return 0 // as SQLite reads a text
	}
	return f
}

func (r *pgRows) bytes(col int) []byte {
	if r.stmt.results[col] == pgBinary {
		return r.row[col]
	}
	return pgUnescape(r.row[col])
}

func (r *pgRows) text(col int) string { return string(r.bytes(col)) }
