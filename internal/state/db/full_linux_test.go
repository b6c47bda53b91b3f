package db_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/test/needs"
)

// A really full file system, not only a full database file: writes, the log's growth, the wal-index, the checkpoint.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	needs.Root(t, "to mount a small tmpfs")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fatal := func(err error) { t.Errorf("fatal: %v", err) }
	d, err := db.Open(t.Context(), filepath.Join(dir, "x.db"),
		db.Options{Schema: dbtest.Schema, Fatal: fatal, CheckpointBytes: 256 << 10, CheckpointDelay: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	acked, refused := 0, 0
	try := func(id int64) {
		switch err := d.Write(t.Context(), put(id, 3000)); {
		case err == nil:
			acked++
		case status.Of(err).Enhanced == status.ErrNoSpace.Enhanced:
			refused++
		default:
			t.Fatal(err)
		}
	}
	for id := int64(0); refused < 20; id++ {
		try(id)
	}
	if n := count(t, d); n != acked {
		t.Errorf("%d rows, %d acknowledged", n, acked)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	before := acked
	for id := int64(100000); id < 100050; id++ {
		try(id)
	}
	if acked != before+50 {
		t.Errorf("%d of 50 written after there was room again", acked-before)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	d = closed(t)(db.Open(t.Context(), filepath.Join(dir, "x.db"), db.Options{Schema: dbtest.Schema}))
	if n := count(t, d); n != acked {
		t.Errorf("%d rows after reopening, %d acknowledged", n, acked)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
