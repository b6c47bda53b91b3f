package blob_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/blob/blobtest"
	"github.com/postrider/postrider/internal/state/durable"
	"github.com/postrider/postrider/internal/vfs"
)

// replica is a durable.Waiter that answers with err, and remembers what it was asked.
type replica struct {
	mu    sync.Mutex
	err   error
	asked []durable.Position
}

func (r *replica) Wait(_ context.Context, p durable.Position) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, p)
	return r.err
}

// TestCommitAsksTheSeam: no acknowledgement passes durable.Waiter by, and none is given against its answer.
func TestCommitAsksTheSeam(t *testing.T) {
	ctx := context.Background()
	rep := &replica{}
	s, err := blob.NewMemory(ctx, blob.Options{Durable: rep, SmallMax: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{500, 5000} {
		it := blobtest.NewItem(int64(i), size, 10)
		if err := it.Put(ctx, s); err != nil {
			t.Fatal(err)
		}
		if len(rep.asked) != i+1 {
			t.Fatalf("asked %d times", len(rep.asked))
		}
		p := rep.asked[i]
		if p.Log != durable.Packs || p.Segment != it.Ref.Pack || p.Offset <= it.Ref.Offset+it.Ref.Length {
			t.Fatalf("%v for %v", p, it.Ref)
		}
	}
	rep.err = errors.New("the other box is away")
	before := s.Stats().Commits
	if err := blobtest.NewItem(9, 100, 1).Put(ctx, s); !errors.Is(err, rep.err) || !status.IsTemporary(err) {
		t.Fatal(err)
	}
	if s.Stats().Commits != before || s.Unsettled() != 2 {
		t.Fatalf("counted as acknowledged: %+v, %d unsettled", s.Stats(), s.Unsettled())
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestCommitGivenUp: a caller whose context ends gets no reference, and its record is not there.
func TestCommitGivenUp(t *testing.T) {
	s, err := blob.NewMemory(context.Background(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w, err := s.Create(ctx, queueid.New(1, 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Create(ctx, queueid.New(2, 1), 0); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := w.Commit(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := s.Unsettled(); n != 0 {
		t.Fatalf("%d records", n)
	}
	w, _ = s.Create(context.Background(), queueid.New(3, 1), 0)
	if _, err := w.Commit(context.Background(), make([]byte, blob.MaxTrailer+1)); !status.IsTemporary(err) {
		t.Fatalf("endless trailer: %v", err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestGroups: records that wait together share one sync.
func TestGroups(t *testing.T) {
	ctx := context.Background()
	gate := make(chan struct{})
	var once sync.Once
	entered := make(chan struct{})
	// Armed, the next sync of records waits for the gate.
	var mu sync.Mutex
	armed := false
	disk := vfs.NewFaulty(vfs.NewVolatile(), func(_ int64, op vfs.Op, _ string) error {
		mu.Lock()
		wait := armed && op == vfs.OpSync
		mu.Unlock()
		if wait {
			once.Do(func() { close(entered) })
			<-gate
		}
		return nil
	})
	s, err := blob.Open(ctx, blob.Options{FS: disk, Dir: "p", Catalog: blob.NewMemoryCatalog(nil), Ready: 1, Fill: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := blobtest.NewItem(0, 10, 1).Put(ctx, s); err != nil { // opens the pack
		t.Fatal(err)
	}
	for s.Ready() < 1 { // the keeper is still making one
		runtime.Gosched()
	}
	before := s.Stats()
	mu.Lock()
	armed = true
	mu.Unlock()
	var wg sync.WaitGroup
	put := func(n int64) {
		wg.Go(func() {
			if err := blobtest.NewItem(n, 100, 1).Put(ctx, s); err != nil {
				t.Error(err)
			}
		})
	}
	put(1)
	<-entered
	for n := int64(2); n <= 40; n++ {
		put(n)
	}
	for s.Waiting() < 39 {
		runtime.Gosched()
	}
	close(gate)
	wg.Wait()
	after := s.Stats()
	if after.Commits-before.Commits != 40 || after.Syncs-before.Syncs != 2 {
		t.Fatalf("%d records in %d syncs", after.Commits-before.Commits, after.Syncs-before.Syncs)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
