// Package dbtest has databases for tests of packages that stand on db, and db's contract suite.
package dbtest

import (
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/schema"
)

// Open returns an empty database in memory with the schema of store.db; it is closed with the test.
func Open(t testing.TB) *db.DB {
	t.Helper()
	d, err := db.OpenMemory(t.Context(), db.Options{Schema: schema.Store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, d) })
	return d
}

// OpenFile is Open with a file in a temporary directory, for what needs the real thing: syncs, the write-ahead log.
func OpenFile(t testing.TB) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), db.Options{Schema: schema.Store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, d) })
	return d
}

func closeDB(t testing.TB, d *db.DB) {
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
