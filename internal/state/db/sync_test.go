//go:build !nosync_wal

package db_test

import (
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
)

// What a 250 rests on is not left to a default.
func TestSynchronous(t *testing.T) {
	for sync, want := range map[db.Sync]int64{db.SyncFull: 2, db.SyncNormal: 1} {
		d := closed(t)(db.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), db.Options{Sync: sync}))
		for p, want := range map[string]int64{"synchronous": want, "wal_autocheckpoint": 0, "page_size": 4096, "foreign_keys": 1} {
			if got, err := d.ForWriter(p); err != nil || got != want {
				t.Errorf("%s is %d, want %d (%v)", p, got, want, err)
			}
		}
	}
}
