package blob_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/blob/blobtest"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/vfs"
)

// catalogs runs fn on both catalogs.
func catalogs(t *testing.T, fn func(t *testing.T, cat blob.Catalog, refer func(int64, bool))) {
	t.Run("memory", func(t *testing.T) {
		refs := &references{}
		fn(t, blob.NewMemoryCatalog(refs.has), refs.set)
	})
	t.Run("db", func(t *testing.T) {
		refs := &references{}
		cat := blob.NewDBCatalog(dbtest.Open(t), func(*db.Tx, int64) (bool, error) { return false, nil },
			func(_ *db.Tx, pack int64) (bool, error) { return refs.has(pack), nil })
		fn(t, cat, refs.set)
	})
}

func TestContractDB(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Opener {
		refs := &references{}
		cat := blob.NewDBCatalog(dbtest.Open(t), func(_ *db.Tx, pack int64) (bool, error) { return refs.has(pack), nil })
		fsys := vfs.NewVolatile()
		return blobtest.Opener{
			Open: func(opt blob.Options) (*blob.Store, error) {
				opt.FS, opt.Dir, opt.Catalog = fsys, "packs", cat
				return blob.Open(context.Background(), opt)
			},
			Refer: refs.set,
		}
	})
}

// TestCatalog walks the states of a pack, and every step that must be refused.
func TestCatalog(t *testing.T) {
	catalogs(t, func(t *testing.T, cat blob.Catalog, refer func(int64, bool)) {
		ctx := context.Background()
		at := time.UnixMicro(1_700_000_000_000_000)
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		refused := func(err error) {
			t.Helper()
			if !errors.Is(err, blob.ErrInUse) {
				t.Fatalf("not refused: %v", err)
			}
		}
		unfinished := func(node uint32, want ...int64) {
			t.Helper()
			rows, err := cat.Unfinished(ctx, node)
			ok(err)
			if len(rows) != len(want) {
				t.Fatalf("node %d: %+v, want %v", node, rows, want)
			}
			for i, r := range rows {
				if r.Pack != want[i] {
					t.Fatalf("node %d: %+v, want %v", node, rows, want)
				}
			}
		}
		for want := int64(1); want <= 3; want++ {
			pack, err := cat.Reserve(ctx, blob.KindJournal, uint32(want%2), 5, at)
			ok(err)
			if pack != want {
				t.Fatalf("pack %d, want %d", pack, want)
			}
		}
		unfinished(1, 1, 3)
		unfinished(0, 2)
		refused(cat.Condemn(ctx, 1, at))
		refused(cat.Delete(ctx, 1, at))
		ok(cat.Settle(ctx, []blob.Settled{{Pack: 1, Offset: 64}, {Pack: 3, Offset: 80}}))
		ok(cat.Seal(ctx, 1, 500))
		ok(cat.Seal(ctx, 1, 900)) // too late
		ok(cat.Settle(ctx, []blob.Settled{{Pack: 1, Offset: 60}}))
		row, err := cat.Get(ctx, 1)
		ok(err)
		want := blob.Row{Pack: 1, State: blob.PackSealed, Node: 1, Epoch: 5, Created: at, Size: 500, Settled: 64}
		if row != want {
			t.Fatalf("%+v, want %+v", row, want)
		}
		unfinished(1, 1, 3)
		refused(cat.Condemn(ctx, 1, at)) // not settled
		ok(cat.Settle(ctx, []blob.Settled{{Pack: 1, Offset: 500}}))
		unfinished(1, 3)
		refer(1, true)
		refused(cat.Condemn(ctx, 1, at))
		refer(1, false)
		ok(cat.Condemn(ctx, 1, at))
		refused(cat.Condemn(ctx, 1, at.Add(time.Hour)))
		refused(cat.Delete(ctx, 1, at.Add(-time.Microsecond)))
		refer(1, true)
		refused(cat.Delete(ctx, 1, at))
		refer(1, false)
		ok(cat.Delete(ctx, 1, at))
		unfinished(1, 1, 3)
		ok(cat.Gone(ctx, 1))
		ok(cat.Gone(ctx, 3)) // never held a record
		unfinished(1)
		ok(cat.Seal(ctx, 3, 99))
		if row, err := cat.Get(ctx, 3); err != nil || row.State != blob.PackGone {
			t.Fatalf("%+v %v", row, err)
		}
		if pack, err := cat.Reserve(ctx, blob.KindJournal, 1, 6, at); err != nil || pack != 4 {
			t.Fatalf("pack %d %v: numbers never come again", pack, err)
		}
		if _, err := cat.Get(ctx, 77); !errors.Is(err, blob.ErrMissing) {
			t.Fatal(err)
		}
	})
}

func TestCheckReferable(t *testing.T) {
	ctx := context.Background()
	d := dbtest.Open(t)
	cat := blob.NewDBCatalog(d)
	pack, err := cat.Reserve(ctx, blob.KindJournal, 0, 1, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	check := func(pack int64) error {
		return d.Write(ctx, func(tx *db.Tx) error { return blob.CheckReferable(tx, pack) })
	}
	if err := errors.Join(check(pack), cat.Seal(ctx, pack, 64), check(pack), cat.Settle(ctx, []blob.Settled{{Pack: pack, Offset: 64}}),
		cat.Condemn(ctx, pack, time.Unix(2, 0))); err != nil {
		t.Fatal(err)
	}
	if err := check(pack); !errors.Is(err, blob.ErrCondemned) {
		t.Fatal(err)
	}
	if err := check(pack + 1); !errors.Is(err, blob.ErrMissing) {
		t.Fatal(err)
	}
}
