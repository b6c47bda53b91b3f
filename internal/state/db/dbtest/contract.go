package dbtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
)

// Schema is the schema that the contract suite works on.
var Schema fs.FS = fstest.MapFS{"0001_contract.sql": {Data: []byte(`
-- For the contract suite.
CREATE TABLE thing (
  id   BIGINT NOT NULL PRIMARY KEY,
  name TEXT   NOT NULL,
  body BLOB
) WITHOUT ROWID;
CREATE UNIQUE INDEX thing_name ON thing (name);
CREATE TABLE assigned (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
-- The end.
`)}}

var errMine = errors.New("mine")

// Run is the contract of a DB, for every engine. open gives an empty database with Schema.
func Run(t *testing.T, open func(t *testing.T, opt db.Options) *db.DB) {
	for _, c := range []struct {
		name string
		fn   func(t *testing.T, d *db.DB)
	}{
		{"Values", testValues},
		{"Returning", testReturning},
		{"OneQueryAtATime", testOneQueryAtATime},
		{"ReadOnly", testReadOnly},
		{"FailureRollsBackOnlyItself", testFailureIsolated},
		{"FirstFailsOthersCommit", testFirstFails},
		{"SwallowedErrorStillFails", testSwallowed},
		{"Unique", testUnique},
		{"Panic", testPanic},
		{"PanicInRead", testPanicInRead},
		{"GroupCommit", testGroupCommit},
		{"WithdrawnWhileQueued", testWithdrawn},
		{"RunningCompletes", testRunningCompletes},
		{"Submit", testSubmit},
		{"BatchLimit", testBatchLimit},
		{"ReadSeesSnapshot", testSnapshot},
		{"ReadCancelled", testReadCancelled},
		{"TxAfterwards", testTxAfterwards},
		{"Close", testClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := db.Options{Schema: Schema}
			if c.name == "BatchLimit" {
				opt.MaxBatch = 3
			}
			c.fn(t, open(t, opt))
		})
	}
}

func insert(id int64, name string) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		n, err := tx.Exec("INSERT INTO thing (id, name) VALUES (?, ?)", id, name)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows inserted", n)
		}
		return err
	}
}

func names(t *testing.T, d *db.DB) string {
	t.Helper()
	var list []string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows := tx.Query("SELECT name FROM thing ORDER BY id")
		for rows.Next() {
			list = append(list, rows.Text(0))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

func wantNames(t *testing.T, d *db.DB, want string) {
	t.Helper()
	if got := names(t, d); got != want {
		t.Errorf("rows are %q, want %q", got, want)
	}
}

func write(t *testing.T, d *db.DB, fn func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// together runs the functions in one batch: behind a first one that is held until all are queued.
func together(t *testing.T, d *db.DB, fns ...func(*db.Tx) error) []error {
	t.Helper()
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	release := hold(t, d)
	for i, fn := range fns {
		wg.Add(1)
		if err := d.Submit(t.Context(), fn, func(err error) { errs[i] = err; wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	release()
	wg.Wait()
	return errs
}

// hold occupies the writer with a function that changes nothing, until release.
func hold(t *testing.T, d *db.DB) (release func()) {
	t.Helper()
	held, gate := make(chan struct{}), make(chan struct{})
	err := d.Submit(t.Context(), func(*db.Tx) error { close(held); <-gate; return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-held
	return func() { close(gate) }
}

func testValues(t *testing.T, d *db.DB) {
	blob := []byte{0, 1, 255, '\''}
	write(t, d, func(tx *db.Tx) error {
		for i, body := range [][]byte{nil, {}, blob} {
			if _, err := tx.Exec("INSERT INTO thing (id, name, body) VALUES (?, ?, ?)", i-1<<40, fmt.Sprint("ü\x00", i), body); err != nil {
				return err
			}
		}
		n, err := tx.Exec("UPDATE thing SET name = name || ? WHERE id < ?", "x", true)
		if n != 3 {
			t.Errorf("%d rows changed", n)
		}
		return err
	})
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows := tx.Query("SELECT id, name, body FROM thing ORDER BY id")
		buf := []byte("kept")
		for i := 0; rows.Next(); i++ {
			if got := rows.Int64(0); got != int64(i-1<<40) {
				t.Errorf("id %d", got)
			}
			if got := rows.Text(1); got != fmt.Sprint("ü\x00", i, "x") {
				t.Errorf("name %q", got)
			}
			got := rows.Bytes(2)
			if rows.IsNull(2) != (i == 0) || (got == nil) != (i == 0) || i == 2 && string(got) != string(blob) {
				t.Errorf("row %d: body %v", i, got)
			}
			buf = rows.AppendBytes(buf, 2)
		}
		if string(buf) != "kept"+string(blob) {
			t.Errorf("appended %q", buf)
		}
		var id int64
		var body []byte
		found, err := tx.QueryRow("SELECT id, body FROM thing ORDER BY id DESC").Scan(&id, &body)
		if !found || id != 2-1<<40 || string(body) != string(blob) {
			t.Errorf("got %v %d %v", found, id, body)
		}
		if err != nil {
			return err
		}
		found, err = tx.QueryRow("SELECT id FROM thing WHERE id = ?", 7).Scan(&id)
		if found {
			t.Error("found what is not there")
		}
		return errors.Join(rows.Err(), err)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []func(*db.Tx) error{
		func(tx *db.Tx) error { _, err := tx.Exec("DELETE FROM thing WHERE id = ?"); return err },
		func(tx *db.Tx) error { _, err := tx.Exec("DELETE FROM thing WHERE id = ?", struct{}{}); return err },
		func(tx *db.Tx) error { _, err := tx.Exec("DELETE FROM thing WHERE id = ?", uint64(1)<<63); return err },
		func(tx *db.Tx) error { _, err := tx.Exec("DELETE FROM nothing"); return err },
	} {
		if err := d.Write(t.Context(), bad); err == nil {
			t.Error("a wrong statement was accepted")
		}
	}
}

func testReturning(t *testing.T, d *db.DB) {
	write(t, d, func(tx *db.Tx) error {
		for want := int64(1); want <= 2; want++ {
			var id int64
			found, err := tx.QueryRow("INSERT INTO assigned (name) VALUES (?) RETURNING id", "n").Scan(&id)
			if err != nil || !found || id != want {
				return fmt.Errorf("got %v %d %w", found, id, err)
			}
		}
		return nil
	})
}

func testOneQueryAtATime(t *testing.T, d *db.DB) {
	write(t, d, insert(1, "a"))
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows := tx.Query("SELECT id FROM thing")
		rows.Next()
		_, err := tx.QueryRow("SELECT 1").Scan(new(int))
		return err
	})
	if err == nil {
		t.Error("a second query ran while the first was open")
	}
	err = d.Read(t.Context(), func(tx *db.Tx) error {
		rows := tx.Query("SELECT id FROM thing")
		rows.Next()
		rows.Close()
		_, err := tx.QueryRow("SELECT 1").Scan(new(int))
		return err
	})
	if err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func testReadOnly(t *testing.T, d *db.DB) {
	if err := d.Read(t.Context(), insert(1, "a")); err == nil {
		t.Error("a write inside Read succeeded")
	}
	wantNames(t, d, "")
	write(t, d, insert(1, "a")) // and the database is none the worse
	wantNames(t, d, "a")
}

func testFailureIsolated(t *testing.T, d *db.DB) {
	errs := together(t, d,
		insert(1, "a"),
		func(tx *db.Tx) error { return errors.Join(insert(2, "b")(tx), errMine) },
		insert(3, "c"),
		insert(4, "a"), // unique
		insert(5, "e"),
	)
	for i, want := range []error{nil, errMine, nil, db.ErrUnique, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("function %d: %v, want %v", i, errs[i], want)
		}
	}
	wantNames(t, d, "a c e")
}

func testFirstFails(t *testing.T, d *db.DB) {
	failing := func(tx *db.Tx) error { return errors.Join(insert(1, "z")(tx), errMine) }
	if err := d.Write(t.Context(), failing); !errors.Is(err, errMine) {
		t.Errorf("got %v", err)
	}
	before := d.Stats().Commits
	errs := together(t, d, failing, failing, insert(2, "b"), failing, insert(3, "c"))
	if !errors.Is(errs[0], errMine) || !errors.Is(errs[1], errMine) || errs[2] != nil || !errors.Is(errs[3], errMine) || errs[4] != nil {
		t.Errorf("got %v", errs)
	}
	wantNames(t, d, "b c")
	if n := d.Stats().Commits - before; n != 1 {
		t.Errorf("%d commits", n)
	}
}

func testSwallowed(t *testing.T, d *db.DB) {
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if err := insert(1, "a")(tx); err != nil {
			return err
		}
		_, _ = tx.Exec("INSERT INTO thing (id, name) VALUES (?, ?)", 1, "again")
		return nil
	})
	if !errors.Is(err, db.ErrUnique) {
		t.Errorf("got %v", err)
	}
	wantNames(t, d, "")
}

func testUnique(t *testing.T, d *db.DB) {
	write(t, d, insert(1, "a"))
	if err := d.Write(t.Context(), insert(1, "b")); !errors.Is(err, db.ErrUnique) {
		t.Errorf("primary key: %v", err)
	}
	if err := d.Write(t.Context(), insert(2, "a")); !errors.Is(err, db.ErrUnique) {
		t.Errorf("index: %v", err)
	}
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO thing (id, name) VALUES (3, NULL)")
		return err
	})
	if !errors.Is(err, db.ErrConstraint) || errors.Is(err, db.ErrUnique) {
		t.Errorf("not null: %v", err)
	}
	write(t, d, func(tx *db.Tx) error {
		n, err := tx.Exec("INSERT INTO thing (id, name) VALUES (1, 'x') ON CONFLICT DO NOTHING")
		if n != 0 {
			t.Errorf("%d rows", n)
		}
		return err
	})
	wantNames(t, d, "a")
}

func testPanic(t *testing.T, d *db.DB) {
	errs := together(t, d,
		insert(1, "a"),
		func(tx *db.Tx) error {
			if err := insert(2, "b")(tx); err != nil {
				return err
			}
			rows := tx.Query("SELECT id FROM thing")
			rows.Next()
			panic("oh")
		},
		insert(3, "c"))
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("got %v", errs)
	}
	wantNames(t, d, "a c")
}

func testPanicInRead(t *testing.T, d *db.DB) {
	write(t, d, insert(1, "a"))
	for range 10 { // more than there are connections
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic of a reader belongs to the reader")
				}
			}()
			_ = d.Read(t.Context(), func(tx *db.Tx) error {
				rows := tx.Query("SELECT id FROM thing")
				rows.Next()
				panic("oh")
			})
		}()
	}
	wantNames(t, d, "a")
}

func testGroupCommit(t *testing.T, d *db.DB) {
	const writers, each = 20, 5
	before := d.Stats()
	release := hold(t, d)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := int64(w*each + i)
				if err := d.Write(t.Context(), insert(id, fmt.Sprint(id))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	release()
	wg.Wait()
	s := d.Stats()
	writes, commits := s.Writes-before.Writes-1, s.Commits-before.Commits
	if writes != writers*each || commits >= writes {
		t.Errorf("%d writes in %d commits", writes, commits)
	}
	if n := len(strings.Fields(names(t, d))); n != writers*each {
		t.Errorf("%d rows", n)
	}
}

func testWithdrawn(t *testing.T, d *db.DB) {
	release := hold(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() { got <- d.Write(ctx, insert(1, "a")) }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	write(t, d, insert(2, "b"))
	wantNames(t, d, "b")
}

func testRunningCompletes(t *testing.T, d *db.DB) {
	ctx, cancel := context.WithCancel(t.Context())
	err := d.Write(ctx, func(tx *db.Tx) error {
		cancel()
		return insert(1, "a")(tx)
	})
	if err != nil {
		t.Errorf("got %v", err)
	}
	wantNames(t, d, "a")
}

func testSubmit(t *testing.T, d *db.DB) {
	got := make(chan error, 2)
	for i := range 2 {
		if err := d.Submit(t.Context(), insert(int64(i), "a"), func(err error) { got <- err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Errorf("first: %v", err)
	}
	if err := <-got; !errors.Is(err, db.ErrUnique) {
		t.Errorf("second: %v", err)
	}
}

func testBatchLimit(t *testing.T, d *db.DB) {
	var fns []func(*db.Tx) error
	for i := range 8 {
		fns = append(fns, insert(int64(i), fmt.Sprint(i)))
	}
	before := d.Stats().Commits
	for _, err := range together(t, d, fns...) {
		if err != nil {
			t.Error(err)
		}
	}
	// With the holder nine functions, three a batch.
	if n := d.Stats().Commits - before; n != 3 {
		t.Errorf("%d commits, want 3", n)
	}
}

func testSnapshot(t *testing.T, d *db.DB) {
	write(t, d, insert(1, "a"))
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		for range 2 {
			var n int
			if _, err := tx.QueryRow("SELECT count(*) FROM thing").Scan(&n); err != nil {
				return err
			}
			if n != 1 {
				t.Errorf("%d rows in the snapshot", n)
			}
			if err := d.Submit(t.Context(), insert(2, "b"), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testReadCancelled(t *testing.T, d *db.DB) {
	write(t, d, func(tx *db.Tx) error { return errors.Join(insert(1, "a")(tx), insert(2, "b")(tx)) })
	ctx, cancel := context.WithCancel(t.Context())
	err := d.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT id FROM thing")
		rows.Next()
		cancel()
		if rows.Next() {
			t.Error("a row after the end of the context")
		}
		return rows.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantNames(t, d, "a b")
}

func testTxAfterwards(t *testing.T, d *db.DB) {
	var kept *db.Tx
	write(t, d, func(tx *db.Tx) error { kept = tx; return nil })
	if _, err := kept.Exec("DELETE FROM thing"); err == nil {
		t.Error("a transaction worked after its function returned")
	}
}

func testClose(t *testing.T, d *db.DB) {
	release := hold(t, d)
	got := make(chan error, 1)
	if err := d.Submit(t.Context(), insert(1, "a"), func(err error) { got <- err }); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	release()
	if err := <-got; err != nil {
		t.Errorf("queued before Close: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if err := d.Write(t.Context(), insert(2, "b")); !errors.Is(err, status.ErrShutdown) {
		t.Errorf("write after Close: %v", err)
	}
	if err := d.Read(t.Context(), insert(2, "b")); !errors.Is(err, status.ErrShutdown) {
		t.Errorf("read after Close: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
