package blob_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/blob/blobtest"
	"github.com/postrider/postrider/internal/vfs"
)

func compactOptions(fsys vfs.FS, catalog blob.Catalog) blob.Options {
	return blob.Options{FS: fsys, Dir: "packs", Catalog: catalog, SmallMax: 1 << 10, PackSize: 8 << 10, Ready: 1, Fill: -1}
}

// mailbox is a closed store in which everything is settled, and some of it lives.
type mailbox struct {
	disk    *vfs.Mem
	catalog *blob.MemoryCatalog
	live    []*blobtest.Item
}

func newMailbox(t *testing.T) mailbox {
	t.Helper()
	ctx := context.Background()
	b := mailbox{disk: vfs.NewMem(), catalog: blob.NewMemoryCatalog(nil)}
	s, err := blob.Open(ctx, compactOptions(b.disk, b.catalog))
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{700, 600, 900, 256 << 10, 10, 5000, 800, 3000, 0, 500} {
		it := blobtest.NewText(int64(i+1), size, 60)
		if i%3 == 0 {
			it = blobtest.NewItem(int64(i+1), size, 60)
		}
		if err := it.Put(ctx, s); err != nil {
			t.Fatal(err)
		}
		s.Settle(it.Ref)
		if i%4 != 1 {
			b.live = append(b.live, it)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

func refsOf(items []*blobtest.Item) (refs []recipe.BlobRef) {
	for _, it := range items {
		refs = append(refs, it.Ref)
	}
	return refs
}

func checkAll(t *testing.T, s *blob.Store, items []*blobtest.Item) {
	t.Helper()
	for _, it := range items {
		if err := it.Check(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// movedItems are the items where the copies are.
func movedItems(t *testing.T, items []*blobtest.Item, moved []blob.Moved) (out []*blobtest.Item) {
	t.Helper()
	if len(moved) != len(items) {
		t.Fatalf("%d moved of %d", len(moved), len(items))
	}
	for _, it := range items {
		i := slices.IndexFunc(moved, func(m blob.Moved) bool { return m.From == it.Ref })
		to := *it
		to.Ref = moved[i].To
		out = append(out, &to)
	}
	return out
}

// checkPacks: every file has a row that says so, and no pack of copies is open.
func checkPacks(t *testing.T, fsys vfs.FS, catalog blob.Catalog) {
	t.Helper()
	names, err := fsys.ReadDir("packs")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := catalog.List(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Kind == blob.KindCopies && (r.State == blob.PackOpen || r.Unsettled()) {
			t.Fatalf("%+v", r)
		}
		if r.Kind == blob.KindJournal && r.State == blob.PackOpen { // the keeper may be making it
			continue
		}
		if there := slices.Contains(names, fmt.Sprintf("%010d.pack", r.Pack)); there != (r.State < blob.PackGone) {
			t.Fatalf("%+v, file %v", r, there)
		}
	}
}

// restart opens what a crash left: the sources are there, the copies too if they were promised, nothing is replayed.
func restart(t *testing.T, disk *vfs.Mem, catalog *blob.MemoryCatalog, items ...[]*blobtest.Item) {
	t.Helper()
	ctx := context.Background()
	s, err := blob.Open(ctx, compactOptions(disk, catalog))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Replay(ctx, blob.Visitor{
		Record: func(r blob.Record) error { return fmt.Errorf("replayed %+v", r.Ref) },
		Damage: func(d blob.Damage) error { return fmt.Errorf("%+v", d) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range items {
		checkAll(t, s, list)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	checkPacks(t, disk, catalog)
}

// TestCompactFailEveryIO fails each operation of a compaction in turn.
func TestCompactFailEveryIO(t *testing.T) {
	ctx := context.Background()
	base, named := newMailbox(t), 0
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for i := int64(0); ; i++ {
			disk, catalog := base.disk.Crash(uint64(i)), base.catalog.Clone()
			faulty := vfs.NewFaulty(disk, nil)
			s, err := blob.Open(ctx, compactOptions(faulty, catalog))
			if err != nil {
				t.Fatal(err)
			}
			for s.Ready() < 1 { // the keeper's operations are not the compaction's
				runtime.Gosched()
			}
			first, hit := faulty.Count(), vfs.Op("")
			faulty.SetPlan(func(n int64, op vfs.Op, _ string) error {
				if n != first+i {
					return nil
				}
				hit = op
				return errno
			})
			copied := slices.Clone(base.live)
			opt := blob.CompactOptions{Compress: i%4 < 2}
			if i%2 == 1 {
				opt.Damaged = func(ref recipe.BlobRef, _ error) error {
					copied = slices.DeleteFunc(copied, func(it *blobtest.Item) bool { return it.Ref == ref })
					return nil
				}
			}
			moved, err := s.Compact(ctx, refsOf(base.live), opt)
			faulty.SetPlan(nil)
			var copies []*blobtest.Item
			switch {
			case err == nil:
				copies = movedItems(t, copied, moved)
				checkAll(t, s, copies)
				if left := len(base.live) - len(copied); left > 0 {
					named++
					if reading := []vfs.Op{vfs.OpRead, vfs.OpOpen, vfs.OpStat}; left > 1 || !slices.Contains(reading, hit) || errno != syscall.EIO {
						t.Fatalf("%v at %d (%s): %d records left out", errno, i, hit, left)
					}
				} else if hit == vfs.OpWrite || hit == vfs.OpSync || hit == vfs.OpSyncDir || hit == vfs.OpCreate || hit == vfs.OpRead {
					t.Fatalf("%v at %d (%s): no error", errno, i, hit)
				}
			case moved != nil:
				t.Fatalf("moved %v with %v", moved, err)
			case s.Failed() == nil:
				checkPacks(t, disk, catalog)
				if errno == syscall.ENOSPC && hit == vfs.OpWrite && !isStatus(err, status.ErrNoSpace) {
					t.Fatal(err)
				}
				if moved, err = s.Compact(ctx, refsOf(base.live), blob.CompactOptions{}); err != nil { // there is room again
					t.Fatal(err)
				}
				copies = movedItems(t, base.live, moved)
			case errno == syscall.ENOSPC && hit != vfs.OpSync && hit != vfs.OpSyncDir:
				t.Fatalf("at %d (%s): failed for good: %v", i, hit, err)
			}
			checkAll(t, s, base.live)
			_ = s.Close(ctx) // says why the store failed, if it did
			restart(t, disk.Crash(uint64(i)), catalog.Clone(), base.live, copies)
			if hit == "" {
				break
			}
		}
	}
	if named == 0 {
		t.Fatal("no record was left out for an error in reading it")
	}
}

// TestCompactReadBack: copies that do not read back end the compaction, and are nobody's damaged source.
func TestCompactReadBack(t *testing.T) {
	ctx := context.Background()
	b := newMailbox(t)
	s, err := blob.Open(ctx, compactOptions(b.disk, b.catalog))
	if err != nil {
		t.Fatal(err)
	}
	names, err := b.disk.ReadDir("packs")
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(context.Context, time.Duration) error { // the disk writes something else
		now, err := b.disk.ReadDir("packs")
		for _, name := range now {
			if slices.Contains(names, name) {
				continue
			}
			f, err := b.disk.OpenWrite("packs/" + name)
			if err == nil {
				_, err = f.WriteAt([]byte("spoilt"), 200)
			}
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		return err
	}
	_, err = s.Compact(ctx, refsOf(b.live), blob.CompactOptions{Rate: 1, Sleep: spoil, Damaged: func(ref recipe.BlobRef, err error) error {
		t.Errorf("%v: %v", ref, err)
		return nil
	}})
	if err == nil {
		t.Fatal("sealed")
	}
	checkPacks(t, b.disk, b.catalog)
	checkAll(t, s, b.live)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestCompactCrash takes the power at each operation of a compaction.
func TestCompactCrash(t *testing.T) {
	ctx := context.Background()
	base := newMailbox(t)
	for i := int64(0); ; i++ {
		m := newMachine()
		m.disk, m.catalog = base.disk.Crash(uint64(i)), base.catalog.Clone()
		faulty := vfs.NewFaulty(m.disk, nil)
		s, err := blob.Open(ctx, compactOptions(faulty, haltingCatalog{m.catalog, m}))
		if err != nil {
			t.Fatal(err)
		}
		for s.Ready() < 1 {
			runtime.Gosched()
		}
		first := faulty.Count()
		faulty.SetPlan(func(n int64, _ vfs.Op, _ string) error {
			if n < first+i {
				return nil
			}
			m.stopped.Store(true)
			return errStopped
		})
		moved, err := s.Compact(ctx, refsOf(base.live), blob.CompactOptions{Compress: i%2 == 0})
		stopped := m.stopped.Load()
		m.stopped.Store(true)
		var copies []*blobtest.Item
		if err == nil {
			copies = movedItems(t, base.live, moved)
		}
		catalog := m.catalog.Clone()
		disk := m.disk.Crash(uint64(i))
		restart(t, disk, catalog, base.live, copies)
		restart(t, disk, catalog, base.live, copies)
		_ = s.Close(ctx) // the machine stands still
		if !stopped {
			break
		}
	}
}

// TestCompactDamage: a damaged record is named and left where it is.
func TestCompactDamage(t *testing.T) {
	ctx := context.Background()
	b := newMailbox(t)
	bad := b.live[2]
	f, err := b.disk.OpenWrite(fmt.Sprintf("packs/%010d.pack", bad.Ref.Pack))
	if err == nil {
		_, err = f.WriteAt([]byte{^bad.Body[5]}, bad.Ref.Offset+64+5)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := blob.Open(ctx, compactOptions(b.disk, b.catalog))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Compact(ctx, refsOf(b.live), blob.CompactOptions{}); !errors.Is(err, blob.ErrDamaged) {
		t.Fatal(err)
	}
	checkPacks(t, b.disk, b.catalog)
	var named []recipe.BlobRef
	moved, err := s.Compact(ctx, refsOf(b.live), blob.CompactOptions{Compress: true, Damaged: func(ref recipe.BlobRef, err error) error {
		named = append(named, ref)
		if !errors.Is(err, blob.ErrDamaged) {
			t.Error(err)
		}
		return nil
	}})
	if err != nil || len(named) != 1 || named[0] != bad.Ref {
		t.Fatalf("%v %v", named, err)
	}
	checkAll(t, s, movedItems(t, slices.Delete(slices.Clone(b.live), 2, 3), moved))
	// In a pack of copies nothing is ever torn: all of it was durable before anything led there.
	last := moved[len(moved)-1].To
	if f, err = b.disk.OpenWrite(fmt.Sprintf("packs/%010d.pack", last.Pack)); err == nil {
		_, err = f.WriteAt([]byte{'?'}, last.Offset+70)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	var damage []blob.Damage
	tail, err := s.Scan(ctx, last.Pack, 0, blob.Visitor{Damage: func(d blob.Damage) error { damage = append(damage, d); return nil }})
	if err != nil || tail.Torn != 0 || len(damage) != 1 || damage[0].From != last.Offset {
		t.Fatalf("%+v %+v %v", damage, tail, err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestCompactPace: the rate holds, a quarter of it while mail comes in, and the end of ctx ends it at once.
func TestCompactPace(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b := newMailbox(t)
	s, err := blob.Open(ctx, compactOptions(b.disk, b.catalog))
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, it := range b.live {
		bytes += int64(len(it.Body))
	}
	run := func(each func()) (slept time.Duration, err error) {
		_, err = s.Compact(ctx, refsOf(b.live), blob.CompactOptions{Rate: 1 << 20, Sleep: func(ctx context.Context, d time.Duration) error {
			slept += d
			each()
			return ctx.Err()
		}})
		return slept, err
	}
	quiet, err := run(func() {})
	want := time.Duration(bytes) * time.Second / (1 << 20)
	if err != nil || quiet > want*5/4 || quiet < want/2 {
		t.Fatalf("slept %v for %v: %v", quiet, want, err)
	}
	n := int64(100)
	if err := blobtest.NewItem(n, 10, 1).Put(ctx, s); err != nil {
		t.Fatal(err)
	}
	busy, err := run(func() {})
	if err != nil || busy != quiet { // it came before the compaction
		t.Fatalf("slept %v, %v: %v", busy, quiet, err)
	}
	busy, err = run(func() {
		n++
		if err := blobtest.NewItem(n, 10, 1).Put(ctx, s); err != nil {
			t.Error(err)
		}
	})
	if err != nil || busy < quiet*2 {
		t.Fatalf("slept %v beside mail, %v without: %v", busy, quiet, err)
	}
	if _, err := run(cancel); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	checkPacks(t, b.disk, b.catalog)
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestCompactRaces: Puts, readers of sources and copies, condemning and deleting, all at once.
func TestCompactRaces(t *testing.T) {
	ctx := context.Background()
	refs := &references{}
	now := time.Unix(1_700_000_000, 0)
	var mu sync.Mutex
	opt := compactOptions(vfs.NewVolatile(), blob.NewMemoryCatalog(refs.has))
	opt.Handles = 2
	opt.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s, err := blob.Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	var items []*blobtest.Item // guarded by mu; each pack of them is referred to
	settle := func(it *blobtest.Item) {
		mu.Lock()
		refs.set(it.Ref.Pack, true)
		items = append(items, it)
		mu.Unlock()
		s.Settle(it.Ref)
	}
	stop := make(chan struct{})
	var readers, putters sync.WaitGroup
	for g := range int64(3) {
		putters.Go(func() {
			for i := range int64(60) {
				it := blobtest.NewText(g*1000+i, int(i*i*37)%6000, 30)
				if err := it.Put(ctx, s); err != nil {
					t.Error(err)
					return
				}
				settle(it)
			}
		})
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				if len(items) == 0 {
					mu.Unlock()
					continue
				}
				it := *items[i*7%len(items)] // where it was when we looked
				mu.Unlock()
				if err := it.Check(ctx, s); err != nil && !errors.Is(err, blob.ErrMissing) {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	deleted := 0
	round := func() {
		if err := s.FlushSettled(ctx); err != nil {
			t.Fatal(err)
		}
		rows, err := opt.Catalog.List(ctx, 0, blob.PackSealed)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if row.Unsettled() || s.Busy(row.Pack) || row.Kind == blob.KindCopies && row.Pack%3 != 0 {
				continue
			}
			mu.Lock()
			var live []*blobtest.Item
			for _, it := range items {
				if it.Ref.Pack == row.Pack {
					live = append(live, it)
				}
			}
			mu.Unlock()
			moved, err := s.Compact(ctx, refsOf(live), blob.CompactOptions{Compress: true})
			if err != nil {
				t.Fatal(err)
			}
			to := movedItems(t, live, moved)
			mu.Lock()
			for i, it := range live {
				refs.set(to[i].Ref.Pack, true)
				*it = *to[i]
			}
			refs.set(row.Pack, false)
			mu.Unlock()
			if err := s.Condemn(ctx, row.Pack); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			now = now.Add(blob.DeleteAfter)
			mu.Unlock()
			if err := s.Delete(ctx, row.Pack); err != nil {
				t.Fatal(err)
			}
			deleted++
		}
	}
	for range 8 {
		round()
	}
	putters.Wait()
	round()
	close(stop)
	readers.Wait()
	if deleted < 5 {
		t.Fatalf("%d packs deleted: the test tests nothing", deleted)
	}
	checkAll(t, s, items)
	if len(items) != 180 {
		t.Fatal(len(items))
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
