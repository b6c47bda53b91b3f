package certstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/state/certstore"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

func TestItems(t *testing.T) {
	ctx := t.Context()
	now := time.Unix(1_800_000_000, 0)
	s := certstore.New(certstore.Options{DB: dbtest.Open(t), Now: func() time.Time { return now }})
	for _, name := range []string{"acme/ca/users/me/me.json", "acme/ca/users/me/me.key", "acme/cb", "acme0"} {
		if err := s.Store(ctx, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	if err := s.Store(ctx, "acme/cb", []byte("second")); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Load(ctx, "acme/cb"); err != nil || string(v) != "second" {
		t.Errorf("Load: %q, %v", v, err)
	}
	if err := s.Store(ctx, "empty", nil); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Load(ctx, "empty"); err != nil || len(v) != 0 {
		t.Errorf("an empty item: %q, %v", v, err)
	}
	for _, c := range []struct {
		path      string
		recursive bool
		want      string
	}{
		{"acme", false, "acme/ca acme/cb"},
		{"acme", true, "acme/ca acme/ca/users acme/ca/users/me acme/ca/users/me/me.json acme/ca/users/me/me.key acme/cb"},
		{"acme/ca/users", false, "acme/ca/users/me"},
		{"", false, "acme acme0 empty"},
	} {
		names, err := s.List(ctx, c.path, c.recursive)
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("List(%q, %v) = %q, %v; want %q", c.path, c.recursive, got, err, c.want)
		}
	}
	folder, err := s.Stat(ctx, "acme/ca/users/me")
	if err != nil || folder.IsTerminal || folder.Modified.Unix() != 1_800_000_001 {
		t.Errorf("Stat of a folder: %+v, %v", folder, err)
	}
	item, err := s.Stat(ctx, "acme/cb")
	if err != nil || !item.IsTerminal || item.Size != 6 || item.Key != "acme/cb" || item.Modified.Unix() != 1_800_000_004 {
		t.Errorf("Stat of an item: %+v, %v", item, err)
	}
	if err := s.Delete(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.List(ctx, "", true); err != nil || !slices.Equal(names, []string{"acme0", "empty"}) {
		t.Errorf("after Delete of a folder: %q, %v", names, err)
	}
}

func TestAbsence(t *testing.T) {
	ctx := t.Context()
	s := certstore.New(certstore.Options{DB: dbtest.Open(t)})
	_, err := s.Load(ctx, "a")
	_, err2 := s.Stat(ctx, "a")
	_, err3 := s.List(ctx, "a", true)
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is not ErrNotExist", err)
		}
	}
	if s.Exists(ctx, "a") {
		t.Error("a exists")
	}
	if err := s.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	ctx := t.Context()
	s := certstore.New(certstore.Options{DB: dbtest.Open(t)})
	for _, name := range []string{"", "/a", "a/", "a/../b", "a//b", strings.Repeat("n", 1025)} {
		if err := s.Store(ctx, name, nil); err == nil {
			t.Errorf("the name %.20q was taken", name)
		}
	}
	if err := s.Store(ctx, "a", bytes.Repeat([]byte{1}, 1<<20+1)); err == nil {
		t.Error("a value beyond the limit was taken")
	}
	if s.Lock(ctx, "") == nil || s.Unlock(ctx, "not ours") == nil {
		t.Error("a lock without a name, or not ours")
	}
}

// Two stores over one database are two processes.
func TestLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		d := dbtest.Open(t)
		a, b := certstore.New(certstore.Options{DB: d}), certstore.New(certstore.Options{DB: d})
		if err := a.Lock(ctx, "name"); err != nil {
			t.Fatal(err)
		}
		if err := b.Lock(ctx, "other"); err != nil {
			t.Fatal(err)
		}
		// A holder that lives keeps its lock, for many leases.
		patience, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		if err := b.Lock(patience, "name"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Lock of what is held: %v", err)
		}
		got := make(chan error)
		for _, s := range []*certstore.Store{a, b} { // the same process waits as another does
			go func() { got <- s.Lock(ctx, "name") }()
		}
		synctest.Wait()
		if err := a.Unlock(ctx, "name"); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
			t.Fatal("two have the lock")
		case <-time.After(time.Hour):
		}
		if err := errors.Join(a.Close(ctx), b.Close(ctx)); err != nil {
			t.Fatal(err)
		}
		<-got // the other had it for a moment, or came too late
		if err := a.Lock(ctx, "name"); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("a Lock after Close: %v", err)
		}
		if n := locks(t, d); n != 0 {
			t.Errorf("%d locks are left", n)
		}
	})
}

func TestLockOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t)
		err := d.Write(t.Context(), func(tx *db.Tx) error { // by a process that was killed just now
			_, err := tx.Exec("INSERT INTO certificate_lock VALUES ('name', 'dead', ?)", time.Now().Add(30*time.Second).UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s := certstore.New(certstore.Options{DB: d})
		start := time.Now()
		if err := s.Lock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited < 30*time.Second || waited > 32*time.Second {
			t.Errorf("waited %v for the end of the lease", waited)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// A process died while the clock was a year ahead. What it held is free; what a process holds whose clock is a little ahead
// is not.
func TestLockOfAClockThatWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t)
		ahead := certstore.New(certstore.Options{DB: d, Now: func() time.Time { return time.Now().Add(25 * time.Second) }})
		if err := ahead.Lock(t.Context(), "held"); err != nil {
			t.Fatal(err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO certificate_lock VALUES ('name', 'dead', ?)", time.Now().AddDate(1, 0, 0).UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s := certstore.New(certstore.Options{DB: d})
		patience, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Lock(patience, "name"); err != nil {
			t.Errorf("a lock of next year: %v", err)
		}
		if err := s.Lock(patience, "held"); err == nil {
			t.Error("two have the lock")
		}
		if err := errors.Join(s.Close(t.Context()), ahead.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
}

func locks(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT COUNT(*) FROM certificate_lock").Scan(&n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNoStatementReadsAWholeTable(t *testing.T) {
	dbtest.CheckPlans(t, dbtest.Open(t), map[string]string{})
}
