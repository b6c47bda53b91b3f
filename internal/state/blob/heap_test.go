package blob

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/vfs"
)

// TestLargeBodyHeap passes 50 MiB in and out and asserts what it costs in heap: less than 1 MiB at any moment.
func TestLargeBodyHeap(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, Options{FS: vfs.OS{}, Dir: t.TempDir(), Catalog: NewMemoryCatalog(nil)})
	if err != nil {
		t.Fatal(err)
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	const total = 50 << 20
	piece := make([]byte, 32<<10)
	runtime.GC()
	before, peak := heap(), int64(0)
	w, err := s.Create(ctx, queueid.New(1, 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range total / len(piece) {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		peak = max(peak, heap()-before)
	}
	ref, err := w.Commit(ctx, []byte("trailer"))
	if err != nil {
		t.Fatal(err)
	}
	r := recipe.NewReader(s, recipe.Whole(ref))
	for {
		n, _ := r.Read(piece)
		peak = max(peak, heap()-before)
		if n == 0 {
			break
		}
	}
	if err := s.Verify(ctx, ref); err != nil {
		t.Fatal(err)
	}
	if ref.Length != total || peak >= 1<<20 {
		t.Fatalf("%d bytes cost %d KiB of heap", ref.Length, peak>>10)
	}
	t.Logf("50 MiB: %d KiB of heap", peak>>10)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestCompactLargeBodyHeap copies 50 MiB and compresses them, and reads a range out of the middle: less than 6 MiB at any
// moment, most of it the encoder's and the decoder's own.
func TestCompactLargeBodyHeap(t *testing.T) {
	ctx := context.Background()
	opt := Options{FS: vfs.OS{}, Dir: t.TempDir(), Catalog: NewMemoryCatalog(nil)}
	s, err := Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(ctx, queueid.New(1, 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	const total = 50 << 20
	piece := make([]byte, 32<<10)
	for i := range total / len(piece) {
		for j := range piece {
			piece[j] = "0123456789abcdefghijklmnopqrstuv"[(i*j+j>>5)%32]
		}
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := w.Commit(ctx, []byte("trailer"))
	if err != nil {
		t.Fatal(err)
	}
	s.Settle(ref)
	for s.Busy(ref.Pack) { // until the keeper has sealed it
		if err := s.FlushSettled(ctx); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	before, peak := heap(), int64(0)
	look := func(context.Context, time.Duration) error { peak = max(peak, heap()-before); return nil }
	moved, err := s.Compact(ctx, []recipe.BlobRef{ref}, CompactOptions{Compress: true, Rate: 1 << 30, Sleep: look})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ReadBodyAt(moved[0].To, piece, total/2); err != nil {
		t.Fatal(err)
	}
	peak = max(peak, heap()-before)
	size, err := s.opt.FS.Size(s.path(moved[0].To.Pack))
	if err != nil || size > total/2 || peak >= 6<<20 {
		t.Fatalf("%d bytes stored, %d KiB of heap: %v", size, peak>>10, err)
	}
	t.Logf("50 MiB: %d KiB of heap", peak>>10)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
