package db

import (
	"fmt"
	"slices"
)

// Int64 returns a column as int64; NULL is 0.
func (r *Rows) Int64(col int) int64 {
	if r.pg != nil {
		return r.pg.int64(col)
	}
	return r.stmt.ColumnInt64(col)
}

// Int returns a column as int; NULL is 0.
func (r *Rows) Int(col int) int { return int(r.Int64(col)) }

// Bool returns whether a column is not 0; NULL is false.
func (r *Rows) Bool(col int) bool { return r.Int64(col) != 0 }

// Float returns a column as float64; NULL is 0.
func (r *Rows) Float(col int) float64 {
	if r.pg != nil {
		return r.pg.float(col)
	}
	return r.stmt.ColumnFloat(col)
}

// Text returns a column as a string; NULL is "".
func (r *Rows) Text(col int) string {
	if r.pg != nil {
		return r.pg.text(col)
	}
	return r.stmt.ColumnText(col)
}

// IsNull tells whether a column is NULL.
func (r *Rows) IsNull(col int) bool {
	if r.pg != nil {
		return r.pg.isNull(col)
	}
	return r.stmt.ColumnIsNull(col)
}

// Len returns the length in bytes of a text or blob column.
func (r *Rows) Len(col int) int {
	if r.pg != nil {
		return len(r.pg.bytes(col))
	}
	return r.stmt.ColumnLen(col)
}

// Bytes returns a copy of a blob column: nil for NULL, empty but not nil for an empty one.
func (r *Rows) Bytes(col int) []byte {
	if r.IsNull(col) {
		return nil
	}
	if r.pg != nil {
		return append([]byte{}, r.pg.bytes(col)...)
	}
	b := make([]byte, r.stmt.ColumnLen(col))
	r.stmt.ColumnBytes(col, b)
	return b
}

// AppendBytes appends a blob column to dst: with a dst that is used again nothing is allocated.
func (r *Rows) AppendBytes(dst []byte, col int) []byte {
	if r.pg != nil {
		return append(dst, r.pg.bytes(col)...)
	}
	n := r.stmt.ColumnLen(col)
	dst = slices.Grow(dst, n)
	return dst[:len(dst)+r.stmt.ColumnBytes(col, dst[len(dst):len(dst)+n])]
}

// Scan stores the columns, from the first on, in dest: *int64, *int, *uint32, *uint64, *bool, *float64, *string, *[]byte
// (a copy).
func (r *Rows) Scan(dest ...any) error {
	for i, d := range dest {
		switch p := d.(type) {
		case *int64:
			*p = r.Int64(i)
		case *int:
			*p = r.Int(i)
		case *uint32:
			*p = uint32(r.Int64(i))
		case *uint64:
			*p = uint64(r.Int64(i))
		case *bool:
			*p = r.Bool(i)
		case *float64:
			*p = r.Float(i)
		case *string:
			*p = r.Text(i)
		case *[]byte:
			*p = r.Bytes(i)
		default:
			r.err = fmt.Errorf("db: scan: column %d goes into a type that no column fills", i)
			r.Close()
			return r.err
		}
	}
	return nil
}

// Row is the first row of a query.
type Row struct{ rows *Rows }

// Scan stores the columns of the row as Rows.Scan does and ends the query. found is false, and dest untouched, if there
// was no row.
func (r Row) Scan(dest ...any) (found bool, err error) {
	if !r.rows.Next() {
		return false, r.rows.Err()
	}
	err = r.rows.Scan(dest...)
	r.rows.Close()
	if err == nil {
		err = r.rows.Err()
	}
	return err == nil, err
}
