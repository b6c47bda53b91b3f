package db_test

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

// TestStatementsAreCompiledOnce, whatever their arguments.
func TestStatementsAreCompiledOnce(t *testing.T) {
	d := closed(t)(db.OpenMemory(t.Context(), db.Options{Schema: dbtest.Schema}))
	for _, sql := range []string{
		"SELECT name FROM thing WHERE id = ? AND name >= ? ORDER BY name LIMIT ?",
		"SELECT name FROM thing WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
		"SELECT name FROM thing WHERE id >= ? AND id <= ? AND name <> ?",
	} {
		compiled := 0
		if err := d.CountSelects(&compiled); err != nil {
			t.Fatal(err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range 10 {
				rows := tx.Query(sql, i%3-1, i%2, i)
				for rows.Next() {
				}
				if err := rows.Err(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if compiled != 1 {
			t.Errorf("compiled %d times: %s", compiled, sql)
		}
	}
}
