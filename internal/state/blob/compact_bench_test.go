package blob_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/blob/blobtest"
	"github.com/postrider/postrider/internal/vfs"
)

// BenchmarkCompact copies messages of 10 KiB in memory: the processor time of a message, disk aside.
func BenchmarkCompact(b *testing.B) {
	for _, compress := range []bool{false, true} {
		b.Run(fmt.Sprintf("compress=%v", compress), func(b *testing.B) {
			ctx := context.Background()
			s, err := blob.Open(ctx, blob.Options{FS: vfs.NewVolatile(), Dir: "p", Catalog: blob.NewMemoryCatalog(nil), Fill: -1, Ready: 1})
			if err != nil {
				b.Fatal(err)
			}
			const n = 500
			var live []recipe.BlobRef
			for i := range int64(n) {
				it := blobtest.NewText(i, 10<<10, 500)
				if err := it.Put(ctx, s); err != nil {
					b.Fatal(err)
				}
				s.Settle(it.Ref)
				live = append(live, it.Ref)
			}
			// Only a sealed pack can be compacted.
			for s.Busy(live[0].Pack) {
				if err := s.FlushSettled(ctx); err != nil {
					b.Fatal(err)
				}
				if err := s.SealOlder(ctx, time.Now().Add(time.Hour)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				if _, err := s.Compact(ctx, live, blob.CompactOptions{Compress: compress}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N*n)/1000, "cpu-µs/msg")
			if err := s.Close(ctx); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
