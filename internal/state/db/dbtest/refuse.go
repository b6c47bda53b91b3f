package dbtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
)

// Refuse makes changes of a table fail, named as in "INSERT ON job", until allow is called.
func Refuse(t testing.TB, d *db.DB, change string) (allow func()) {
	t.Helper()
	_, table, _ := strings.Cut(change, " ON ")
	name := "refuse_" + table
	create := []string{"CREATE TRIGGER " + name + " BEFORE " + change + " BEGIN SELECT RAISE(ABORT, 'refused'); END"}
	drop := "DROP TRIGGER " + name
	if server() != "" {
		create = []string{
			"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END'",
			"CREATE TRIGGER " + name + " BEFORE " + change + " FOR EACH ROW EXECUTE FUNCTION refuse()",
		}
		drop += " ON " + table
	}
	exec := func(commands ...string) {
		t.Helper()
		must(t, "refuse "+change, d.Write(t.Context(), func(tx *db.Tx) error {
			for _, sql := range commands {
				if _, err := tx.Exec(sql); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	exec(create...)
	return func() { exec(drop) }
}

// NoSpace is a function for Write that meets a full disk: SQLite rolls back everything then, PostgreSQL says so.
func NoSpace(tx *db.Tx) error {
	sql := "ROLLBACK"
	if server() != "" {
		sql = "DO 'BEGIN RAISE EXCEPTION USING ERRCODE = ''disk_full''; END'"
	}
	_, err := tx.Exec(sql)
	return errors.Join(err, errors.New("no space"))
}
