// Package dbtest has databases for tests of packages that stand on db, and db's contract suite.
package dbtest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/schema"
)

// Open returns an empty database with the schema of store.db: in memory, or on PostgreSQL below OnPostgreSQL. It is closed
// with the test.
func Open(t testing.TB) *db.DB {
	t.Helper()
	if server() != "" {
		return open(t, Place(t))
	}
	return open(t, db.OpenMemory)
}

// OpenFile is Open with a file in a temporary directory, for what needs the real thing: syncs, the write-ahead log.
func OpenFile(t testing.TB) *db.DB {
	t.Helper()
	return open(t, Place(t))
}

// Place returns a function that opens the same database again and again: a file, or on PostgreSQL below OnPostgreSQL.
func Place(t testing.TB) func(context.Context, db.Options) (*db.DB, error) {
	t.Helper()
	if base := server(); base != "" {
		url := NewSchema(t, base)
		return func(ctx context.Context, opt db.Options) (*db.DB, error) { return db.OpenPostgres(ctx, url, opt) }
	}
	path := filepath.Join(t.TempDir(), "store.db")
	return func(ctx context.Context, opt db.Options) (*db.DB, error) { return db.Open(ctx, path, opt) }
}

func open(t testing.TB, open func(context.Context, db.Options) (*db.DB, error)) *db.DB {
	t.Helper()
	d, err := open(t.Context(), db.Options{Schema: schema.Store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// must ends a test that cannot go on.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", what, err))
	}
}
