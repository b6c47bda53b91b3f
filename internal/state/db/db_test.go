package db_test

import (
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContractFile(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, opt db.Options) *db.DB {
		return closed(t)(db.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), opt))
	})
}

func TestContractMemory(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, opt db.Options) *db.DB {
		return closed(t)(db.OpenMemory(t.Context(), opt))
	})
}

// closed closes the database with the test.
func closed(t testing.TB) func(*db.DB, error) *db.DB {
	return func(d *db.DB, err error) *db.DB {
		t.Helper()
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
}
