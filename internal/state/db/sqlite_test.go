package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

func put(id int64, size int) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO thing (id, name, body) VALUES (?, ?, ?)", id, fmt.Sprint(id), make([]byte, size))
		return err
	}
}

func count(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT count(*) FROM thing").Scan(&n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReopenKeepsWhatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for round := range 3 {
		d, err := db.Open(t.Context(), path, db.Options{Schema: dbtest.Schema})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, d); n != round {
			t.Errorf("round %d: %d rows", round, n)
		}
		if err := d.Write(t.Context(), put(int64(round), 10)); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path + "-wal"); err == nil && fi.Size() > 0 {
			t.Errorf("a log of %d bytes is left after Close", fi.Size())
		}
	}
}

// A crash is a copy of the files while the database is open: what was acknowledged is in it.
func TestCopyWhileOpenKeepsWhatWasAcknowledged(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	d := closed(t)(db.Open(t.Context(), filepath.Join(dir, "x.db"), db.Options{Schema: dbtest.Schema}))
	for i := range 20 {
		if err := d.Write(t.Context(), put(int64(i), 500)); err != nil {
			t.Fatal(err)
		}
	}
	// cp in a process of its own: our own close would drop SQLite's locks.
	if out, err := exec.Command("cp", filepath.Join(dir, "x.db"), filepath.Join(dir, "x.db-wal"), crashed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d2 := closed(t)(db.Open(t.Context(), filepath.Join(crashed, "x.db"), db.Options{Schema: dbtest.Schema}))
	if n := count(t, d2); n != 20 {
		t.Errorf("%d rows of 20", n)
	}
}

func TestFullAcknowledgesNothingAndRecovers(t *testing.T) {
	fatal := func(err error) { t.Errorf("fatal: %v", err) }
	opt := db.WithMaxPages(db.Options{Schema: dbtest.Schema, Fatal: fatal}, 80)
	d := closed(t)(db.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), opt))
	acked, full := 0, 0
	for i := range 100 {
		switch err := d.Write(t.Context(), put(int64(i), 8000)); {
		case err == nil:
			acked++
		case errors.Is(err, status.ErrNoSpace) || status.Of(err).Enhanced == status.ErrNoSpace.Enhanced:
			full++
		default:
			t.Fatal(err)
		}
	}
	if acked == 0 || full == 0 {
		t.Fatalf("%d acknowledged, %d refused", acked, full)
	}
	if n := count(t, d); n != acked {
		t.Errorf("%d rows, %d acknowledged", n, acked)
	}
	// Several in one batch while it is full: whoever was told no is not there, whoever was told yes is.
	gate := make(chan struct{})
	if err := d.Submit(t.Context(), func(*db.Tx) error { <-gate; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 8)
	for i := range 8 {
		if err := d.Submit(t.Context(), put(int64(1000+i), 8000), func(err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	for range 8 {
		if err := <-answers; err == nil {
			acked++
		}
	}
	if n := count(t, d); n != acked {
		t.Errorf("%d rows, %d acknowledged", n, acked)
	}
	// Room again.
	if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec("DELETE FROM thing"); return err }); err != nil {
		t.Fatalf("delete on a full database: %v", err)
	}
	if err := d.Write(t.Context(), put(1, 8000)); err != nil {
		t.Errorf("write after room was made: %v", err)
	}
}

func TestDamageIsFatal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	d, err := db.Open(t.Context(), path, db.Options{Schema: dbtest.Schema})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := d.Write(t.Context(), put(int64(i), 2000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 6 * 4096; i < len(file); i++ {
		file[i] = 0xA5
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	calls := 0
	d, err = db.Open(t.Context(), path, db.Options{Schema: dbtest.Schema, Fatal: func(error) { calls++ }})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Read(t.Context(), func(tx *db.Tx) error {
		rows := tx.Query("SELECT body FROM thing")
		for rows.Next() {
		}
		return rows.Err()
	})
	isFatal := func(err error) bool { return err != nil && status.Of(err).Code == status.ErrFatal.Code }
	if !isFatal(err) {
		t.Errorf("read of a damaged file: %v", err)
	}
	if err := d.Write(t.Context(), put(99, 1)); !isFatal(err) {
		t.Errorf("write after damage: %v", err)
	}
	if err := d.Read(t.Context(), func(*db.Tx) error { return nil }); !isFatal(err) {
		t.Errorf("read after damage: %v", err)
	}
	if calls != 1 {
		t.Errorf("Fatal was called %d times", calls)
	}
	if err := d.Close(); !isFatal(err) {
		t.Errorf("close after damage: %v", err)
	}
}

func TestCheckpointShrinksTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	opt := db.Options{Schema: dbtest.Schema, CheckpointBytes: 256 << 10, CheckpointDelay: time.Hour}
	d := closed(t)(db.Open(t.Context(), path, opt))
	for i := 0; d.Stats().Checkpoints == 0 || i < 500; i++ {
		if i > 5000 {
			t.Fatal("no checkpoint")
		}
		if err := d.Write(t.Context(), put(int64(i), 4000)); err != nil {
			t.Fatal(err)
		}
	}
	// The checkpointer works beside us; in the end the log starts over and is cut to its limit.
	for i := 10000; d.Stats().LogPages*4096 > 128<<10; i++ {
		if i > 20000 {
			t.Fatalf("the log never started over: %+v", d.Stats())
		}
		if err := d.Write(t.Context(), put(int64(i), 10)); err != nil {
			t.Fatal(err)
		}
	}
	if fi, err := os.Stat(path + "-wal"); err != nil || fi.Size() > 512<<10 {
		t.Errorf("log: %v %v", fi.Size(), err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() < 500*4000 {
		t.Errorf("database: %v %v", fi.Size(), err)
	}
}

func TestCheckpointByAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	synctest.Test(t, func(t *testing.T) {
		d, err := db.Open(t.Context(), path, db.Options{Schema: dbtest.Schema})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), put(1, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		if n := d.Stats().Checkpoints; n == 0 || n > 2 {
			t.Errorf("%d checkpoints", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := d.Stats().Checkpoints; n > 2 {
			t.Errorf("%d checkpoints of an idle database", n)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSchemaRefusals(t *testing.T) {
	testSchemaRefusals(t, dbtest.Place(t))
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is not a database. ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Open(t.Context(), text, db.Options{}); err == nil {
		t.Error("a text file was opened")
	}
}

func TestStoreSchemaAndBoot(t *testing.T) { testStoreSchemaAndBoot(t, dbtest.Place(t)) }

func TestCloseDuringReadsWaits(t *testing.T) {
	d, err := db.OpenMemory(t.Context(), db.Options{Schema: dbtest.Schema})
	if err != nil {
		t.Fatal(err)
	}
	inside, gate, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- d.Read(context.Background(), func(tx *db.Tx) error {
			close(inside)
			<-gate
			_, err := tx.QueryRow("SELECT count(*) FROM thing").Scan(new(int))
			return err
		})
	}()
	<-inside
	ended := make(chan error)
	go func() { ended <- d.Close() }()
	close(gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
