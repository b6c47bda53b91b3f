package blob

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/vfs"
)

// benchDir is on a real disk: $POSTRIDER_BENCH_DIR or the working directory, never a tmpfs by accident.
func benchDir(b *testing.B) string {
	base := os.Getenv("POSTRIDER_BENCH_DIR")
	if base == "" {
		base = "."
	}
	dir, err := os.MkdirTemp(base, ".bench-*")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// BenchmarkCommit commits bodies of 10 KiB with a trailer of 600 bytes, and prints the records that one sync carried.
func BenchmarkCommit(b *testing.B) {
	for _, goroutines := range []int{1, 50} {
		b.Run(fmt.Sprintf("10KiB/goroutines=%d", goroutines), func(b *testing.B) {
			ctx := context.Background()
			s, err := Open(ctx, Options{FS: vfs.OS{}, Dir: benchDir(b), Catalog: NewMemoryCatalog(nil)})
			if err != nil {
				b.Fatal(err)
			}
			text, trailer := make([]byte, 10<<10), make([]byte, 600)
			var ids, left atomic.Int64
			left.Store(int64(b.N))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error, goroutines)
			for range goroutines {
				go func() {
					for left.Add(-1) >= 0 {
						w, err := s.Create(ctx, queueid.New(ids.Add(1), 1), 10<<10)
						if err == nil {
							_, err = w.Write(text)
						}
						if err == nil {
							ref, cerr := w.Commit(ctx, trailer)
							s.Settle(ref)
							err = cerr
						}
						if err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range goroutines {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/float64(max(s.Stats().Syncs, 1)), "records/sync")
			if err := s.Close(ctx); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkProbe is the disk alone: one append of 11 KiB and one fdatasync.
func BenchmarkProbe(b *testing.B) {
	f, err := vfs.OS{}.Create(benchDir(b) + "/probe")
	if err != nil {
		b.Fatal(err)
	}
	text := make([]byte, 11<<10)
	for i := range b.N {
		if _, err := f.WriteAt(text, int64(i)*int64(len(text))); err != nil {
			b.Fatal(err)
		}
		if err := f.Datasync(); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
