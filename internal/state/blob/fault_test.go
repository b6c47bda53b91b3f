package blob_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/blob/blobtest"
	"github.com/postrider/postrider/internal/vfs"
)

// isStatus tells whether err is the given failure, whatever operation and cause it carries.
func isStatus(err error, want *status.Error) bool {
	var e *status.Error
	return errors.As(err, &e) && e.Public == want.Public
}

// TestFailEveryIO fails each operation of a workload in turn, with each kind of error, and checks what was promised.
func TestFailEveryIO(t *testing.T) {
	ctx := context.Background()
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		failures := 0
		for i := int64(0); ; i++ {
			disk, catalog := vfs.NewMem(), blob.NewMemoryCatalog(nil)
			var hit vfs.Op
			faulty := vfs.NewFaulty(disk, func(n int64, op vfs.Op, _ string) error {
				if n != i {
					return nil
				}
				hit = op
				return errno
			})
			var told atomic.Int32
			opt := blob.Options{
				FS: faulty, Dir: "packs", Catalog: catalog, SmallMax: 1 << 10, PackSize: 4 << 10, Ready: 1, Fill: 12 << 10,
				Fatal: func(error) { told.Add(1) },
			}
			s, err := blob.Open(ctx, opt)
			if err != nil {
				if hit == "" {
					t.Fatalf("%v at %d: open: %v", errno, i, err)
				}
				continue
			}
			acked, failed := putSeries(t, s)
			fatal := s.Failed() != nil
			closeErr := s.Close(ctx)
			failures += failed
			mustFail := hit == vfs.OpSync || hit == vfs.OpSyncDir || errno == syscall.EIO && hit == vfs.OpWrite
			switch {
			case mustFail && (s.Failed() == nil || closeErr == nil):
				t.Fatalf("%v at %d (%s): the store goes on", errno, i, hit)
			case fatal && told.Load() != 1:
				t.Fatalf("%v at %d (%s): Fatal was called %d times", errno, i, hit, told.Load())
			case s.Failed() != nil && errno != syscall.EIO && hit != vfs.OpSync && hit != vfs.OpSyncDir:
				t.Fatalf("%v at %d (%s): failed for good: %v", errno, i, hit, s.Failed())
			}
			opt.FS, opt.Catalog = disk.Crash(uint64(i)), catalog.Clone()
			checkSurvivors(t, opt, acked)
			if hit == "" { // past the last operation
				break
			}
		}
		if failures == 0 {
			t.Fatalf("%v never failed a commit", errno)
		}
	}
}

// putSeries puts small and large bodies one after another. A temporary failure must leave the next attempt working, a
// fatal one must fail all that follow.
func putSeries(t *testing.T, s *blob.Store) (acked []*blobtest.Item, failed int) {
	t.Helper()
	ctx := context.Background()
	fatal := false
	for n := range int64(14) {
		size := 700
		if n%4 == 3 {
			size = 140 << 10
		}
		it := blobtest.NewItem(n+1, size, 50)
		err := it.Put(ctx, s)
		if err == nil && fatal {
			t.Fatal("acknowledged after a fatal error")
		}
		if err != nil {
			failed++
			switch {
			case isStatus(err, status.ErrFatal):
				fatal = true
			case isStatus(err, status.ErrNoSpace) && !fatal:
				if err := it.Put(ctx, s); err != nil { // one operation failed, once
					t.Fatalf("second attempt: %v", err)
				}
			default:
				t.Fatalf("neither temporary nor fatal: %v", err)
			}
		}
		if !it.Ref.IsZero() {
			acked = append(acked, it)
		}
	}
	return acked, failed
}

func checkSurvivors(t *testing.T, opt blob.Options, acked []*blobtest.Item) {
	t.Helper()
	ctx := context.Background()
	s, err := blob.Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	found := map[queueid.ID]int{}
	err = s.Replay(ctx, blob.Visitor{
		Record: func(r blob.Record) error { found[r.ID]++; return nil },
		Damage: func(d blob.Damage) error { return d.Err },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range acked {
		if err := it.Check(ctx, s); err != nil && blob.RecordsSynced {
			t.Fatal(err)
		}
		if found[it.ID] != 1 && blob.RecordsSynced {
			t.Fatalf("replayed %d times", found[it.ID])
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFullAndBack: while the disk is full every commit is answered 452, reading goes on, and afterwards all is well.
func TestDiskFullAndBack(t *testing.T) {
	ctx := context.Background()
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		disk, catalog := vfs.NewMem(), blob.NewMemoryCatalog(nil)
		faulty := vfs.NewFaulty(disk, nil)
		opt := blob.Options{FS: faulty, Dir: "packs", Catalog: catalog, SmallMax: 1 << 10, PackSize: 4 << 10, Ready: 2, Fill: 12 << 10}
		s, err := blob.Open(ctx, opt)
		if err != nil {
			t.Fatal(err)
		}
		acked, _ := putSeries(t, s)
		faulty.SetPlan(func(_ int64, op vfs.Op, _ string) error {
			switch op {
			case vfs.OpWrite, vfs.OpCreate:
				return errno
			case vfs.OpTruncate:
				if errno == syscall.EROFS {
					return errno
				}
			}
			return nil
		})
		for n := range int64(20) {
			it := blobtest.NewItem(100+n, int(n%2)*5000+200, 10)
			if err := it.Put(ctx, s); !isStatus(err, status.ErrNoSpace) {
				t.Fatalf("%v: %v", errno, err)
			}
			if err := acked[n%int64(len(acked))].Check(ctx, s); err != nil {
				t.Fatalf("%v: reading while full: %v", errno, err)
			}
		}
		faulty.SetPlan(nil)
		more, failed := putSeries(t, s)
		if failed > 0 || s.Failed() != nil {
			t.Fatalf("%v: %d failed after there was room again: %v", errno, failed, s.Failed())
		}
		for _, it := range append(acked, more...) {
			if err := it.Check(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
		// No byte of a refused message is left between or behind the records.
		for pack := int64(1); ; pack++ {
			tail, err := s.Scan(ctx, pack, 0, blob.Visitor{
				Record: func(r blob.Record) error {
					if r.ID.Micros() >= 100 {
						t.Fatalf("%v: a refused record is there", errno)
					}
					return nil
				},
				Damage: func(d blob.Damage) error { return d.Err },
			})
			if errors.Is(err, blob.ErrMissing) {
				break
			}
			// A pack whose cut failed too, with nothing else in it, was put aside; its tail is torn, not sound.
			if err != nil || tail.Torn != 0 && errno != syscall.EROFS {
				t.Fatalf("%v: pack %d: %+v %v", errno, pack, tail, err)
			}
		}
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
