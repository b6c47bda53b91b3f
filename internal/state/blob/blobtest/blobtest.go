// Package blobtest is the contract of the blob store: every implementation, of disk and of catalog, passes Run.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
)

// Small limits, so that short tests meet every path.
const (
	SmallMax = 4 << 10
	PackSize = 64 << 10
)

// Opener opens a store over one and the same data at each call, after the one before was closed. Refer makes something
// refer to a pack, or no longer, as the mailstore does.
type Opener struct {
	Open  func(blob.Options) (*blob.Store, error)
	Refer func(pack int64, referred bool)
}

// Run runs the contract. fresh makes an Opener over empty data.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for name, fn := range map[string]func(*testing.T, *env){
		"RoundTrip":     roundTrip,
		"BadReferences": badReferences,
		"Abort":         abort,
		"Concurrent":    concurrent,
		"Reopen":        reopen,
		"Lifecycle":     lifecycle,
		"SealOlder":     sealOlder,
		"Compact":       compact,
		"Compressed":    compressed,
		"Close":         closing,
	} {
		t.Run(name, func(t *testing.T) {
			e := &env{t: t, opener: fresh(t), now: time.Unix(1_700_000_000, 0)}
			fn(t, e)
			if e.store != nil {
				e.close()
			}
		})
	}
}

type env struct {
	t      *testing.T
	opener Opener
	store  *blob.Store
	now    time.Time
	ids    int64
}

func (e *env) open() *blob.Store {
	e.t.Helper()
	s, err := e.opener.Open(blob.Options{
		SmallMax: SmallMax, PackSize: PackSize, Clock: func() time.Time { return e.now }, Handles: 3,
		Fill: 48 << 10,
	})
	if err != nil {
		e.t.Fatal(err)
	}
	e.store = s
	return s
}

func (e *env) close() {
	e.t.Helper()
	if err := e.store.Close(context.Background()); err != nil {
		e.t.Fatal(err)
	}
}

// Item is a record as it was put.
type Item struct {
	ID      queueid.ID
	Body    []byte
	Trailer []byte
	Ref     recipe.BlobRef
}

// NewItem makes one with random contents.
func NewItem(n int64, body, trailer int) *Item {
	it := &Item{ID: queueid.New(n, 7), Body: make([]byte, body), Trailer: make([]byte, trailer)}
	_, _ = rand.Read(it.Body) // never fails
	_, _ = rand.Read(it.Trailer)
	if body >= 8 {
		binary.BigEndian.PutUint64(it.Body, uint64(n))
	}
	return it
}

// Put writes the item in uneven pieces and commits it.
func (it *Item) Put(ctx context.Context, s *blob.Store) error {
	w, err := s.Create(ctx, it.ID, int64(len(it.Body))/2)
	if err != nil {
		return err
	}
	defer w.Abort()
	for b := it.Body; len(b) > 0; {
		n := min(len(b), 1+len(b)*2/3)
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	it.Ref, err = w.Commit(ctx, it.Trailer)
	return err
}

// Check reads the item back in every way.
func (it *Item) Check(ctx context.Context, s *blob.Store) error {
	if it.Ref.Length != int64(len(it.Body)) || it.Ref.IsZero() {
		return fmt.Errorf("reference %v for a body of %d", it.Ref, len(it.Body))
	}
	got, err := io.ReadAll(recipe.NewReader(s, recipe.Whole(it.Ref)))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, it.Body) {
		return fmt.Errorf("%v: another body", it.Ref)
	}
	tr, err := s.Trailer(ctx, it.Ref)
	if err != nil {
		return err
	}
	if !bytes.Equal(tr, it.Trailer) {
		return fmt.Errorf("%v: another trailer", it.Ref)
	}
	return s.Verify(ctx, it.Ref)
}

func (e *env) put(body, trailer int) *Item {
	e.t.Helper()
	e.ids++
	it := NewItem(e.ids, body, trailer)
	if err := it.Put(context.Background(), e.store); err != nil {
		e.t.Fatal(err)
	}
	return it
}

func (e *env) check(items ...*Item) {
	e.t.Helper()
	for _, it := range items {
		if err := it.Check(context.Background(), e.store); err != nil {
			e.t.Fatal(err)
		}
	}
}

// scanAll returns the records of the packs that the items lie in, and fails on damage.
func (e *env) scanAll(items []*Item) map[recipe.BlobRef]blob.Record {
	e.t.Helper()
	out := map[recipe.BlobRef]blob.Record{}
	seen := map[int64]bool{}
	for _, it := range items {
		if seen[it.Ref.Pack] {
			continue
		}
		seen[it.Ref.Pack] = true
		end := int64(0)
		tail, err := e.store.Scan(context.Background(), it.Ref.Pack, 0, blob.Visitor{
			Record: func(r blob.Record) error {
				if r.Ref.Offset < end {
					e.t.Fatalf("record at %d after one that ends at %d", r.Ref.Offset, end)
				}
				end = r.End
				out[r.Ref] = r
				return nil
			},
			Damage: func(d blob.Damage) error { return d.Err },
		})
		if err != nil {
			e.t.Fatal(err)
		}
		if tail.End != end || tail.Torn != 0 {
			e.t.Fatalf("tail %+v, last record ends at %d", tail, end)
		}
	}
	return out
}

func roundTrip(t *testing.T, e *env) {
	s := e.open()
	var items []*Item
	for _, body := range []int{0, 1, 100, SmallMax - 1, SmallMax, SmallMax + 1, 128 << 10, 3*(128<<10) + 7} {
		for _, trailer := range []int{0, 1, 300, 200 << 10} {
			items = append(items, e.put(body, trailer))
		}
	}
	e.check(items...)
	found := e.scanAll(items)
	for _, it := range items {
		r, ok := found[it.Ref]
		if !ok || r.ID != it.ID || !bytes.Equal(r.Trailer, it.Trailer) {
			t.Fatalf("scan: %v found %v", it.Ref, ok)
		}
	}
	if len(found) != len(items) {
		t.Fatalf("scan found %d records of %d", len(found), len(items))
	}
	it := items[len(items)-1]
	for _, r := range [][2]int64{{0, 1}, {it.Ref.Length - 1, 1}, {131000, 200}, {5, 0}} {
		p := make([]byte, r[1])
		if err := s.ReadBodyAt(it.Ref, p, r[0]); err != nil || !bytes.Equal(p, it.Body[r[0]:r[0]+r[1]]) {
			t.Fatalf("range %v: %v", r, err)
		}
	}
	if st := s.Stats(); st.Commits != int64(len(items)) || st.Syncs < 2 {
		t.Fatalf("%+v", st)
	}
}

func badReferences(t *testing.T, e *env) {
	s := e.open()
	ctx := context.Background()
	small, large := e.put(1000, 10), e.put(SmallMax*3, 10)
	move := func(r recipe.BlobRef, pack, off, length int64) recipe.BlobRef {
		return recipe.BlobRef{Pack: r.Pack + pack, Offset: r.Offset + off, Length: r.Length + length}
	}
	for name, ref := range map[string]recipe.BlobRef{
		"offset":                  move(small.Ref, 0, 1, 0),
		"before the first record": move(small.Ref, 0, -64, 0),
		"negative":                move(small.Ref, 0, -1000, 0),
		"behind the end":          move(small.Ref, 0, 1<<30, 0),
		"shorter":                 move(small.Ref, 0, 0, -1),
		"longer":                  move(small.Ref, 0, 0, 1),
		"streamed, shorter":       move(large.Ref, 0, 0, -1),
		"streamed, longer":        move(large.Ref, 0, 0, 1),
	} {
		p := make([]byte, 10)
		if err := s.ReadBodyAt(ref, p, 0); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("%s: read: %v", name, err)
		}
		if _, err := s.Trailer(ctx, ref); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("%s: trailer: %v", name, err)
		}
		if err := s.Verify(ctx, ref); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("%s: verify: %v", name, err)
		}
	}
	none := move(small.Ref, 1000, 0, 0)
	if err := s.Verify(ctx, none); !errors.Is(err, blob.ErrMissing) || !status.IsTemporary(err) {
		t.Errorf("no such pack: %v", err)
	}
	for _, off := range []int64{-1, 991, 1 << 62} {
		if err := s.ReadBodyAt(small.Ref, make([]byte, 10), off); !errors.Is(err, recipe.ErrInvalid) {
			t.Errorf("range at %d: %v", off, err)
		}
	}
	e.check(small, large)
}

func abort(t *testing.T, e *env) {
	s := e.open()
	ctx := context.Background()
	for _, n := range []int{0, 10, SmallMax * 40} {
		w, err := s.Create(ctx, queueid.New(1, 1), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		w.Abort()
		if _, err := w.Commit(ctx, nil); err == nil {
			t.Fatal("commit after abort")
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Fatal("write after abort")
		}
	}
	// The aborted bodies are nowhere: records that follow, in the packs they were in, are all that is there.
	var items []*Item
	for range 6 {
		items = append(items, e.put(SmallMax*2, 5), e.put(10, 5))
	}
	e.check(items...)
	if found := e.scanAll(items); len(found) != len(items) {
		t.Fatalf("%d records, want %d", len(found), len(items))
	}
	if n := s.Unsettled(); n != len(items) {
		t.Fatalf("%d unsettled", n)
	}
}

func concurrent(t *testing.T, e *env) {
	s := e.open()
	ctx := context.Background()
	var mu sync.Mutex
	var items []*Item
	var wg sync.WaitGroup
	for g := range int64(8) {
		wg.Go(func() {
			for i := range int64(12) {
				it := NewItem(g*1000+i, int(i*i*97)%(SmallMax*2), int(i*31))
				if err := it.Put(ctx, s); err != nil {
					t.Error(err)
					return
				}
				if err := it.Check(ctx, s); err != nil {
					t.Error(err)
				}
				if i%3 != 0 {
					s.Settle(it.Ref)
				}
				if i%5 == 0 {
					if err := s.FlushSettled(ctx); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				items = append(items, it)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if found := e.scanAll(items); len(found) != 96 {
		t.Fatalf("%d records", len(found))
	}
	if n := s.Unsettled(); n != 8*4 {
		t.Fatalf("%d unsettled", n)
	}
}

// replay opens and replays, and returns what it found in order.
func (e *env) replay() []blob.Record {
	e.t.Helper()
	var out []blob.Record
	e.open()
	err := e.store.Replay(context.Background(), blob.Visitor{
		Record: func(r blob.Record) error { out = append(out, r); return nil },
		Damage: func(d blob.Damage) error { return d.Err },
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

func reopen(t *testing.T, e *env) {
	if got := e.replay(); len(got) != 0 {
		t.Fatal("records in an empty store")
	}
	var items []*Item
	for i := range 40 {
		items = append(items, e.put(i*300, 20))
	}
	for i, it := range items {
		if i < 10 || i == 20 {
			e.store.Settle(it.Ref)
			e.store.Settle(it.Ref)
		}
		if e.store.Saved(it.Ref) {
			t.Fatal("saved before the positions were written")
		}
	}
	if err := e.store.FlushSettled(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, it := range items {
		if want := i < 10; e.store.Saved(it.Ref) && !want && it.Ref.Pack == items[10].Ref.Pack || want && !e.store.Saved(it.Ref) {
			t.Fatalf("record %d: saved %v", i, !want)
		}
	}
	e.close()
	got := e.replay()
	found := map[recipe.BlobRef]bool{}
	last := recipe.BlobRef{}
	for _, r := range got {
		found[r.Ref] = true
		if r.Ref.Pack < last.Pack || r.Ref.Pack == last.Pack && r.Ref.Offset <= last.Offset {
			t.Fatalf("%v after %v", r.Ref, last)
		}
		last = r.Ref
	}
	for i, it := range items {
		if !found[it.Ref] && i >= 10 && i != 20 {
			t.Fatalf("unsettled record %d is not replayed", i)
		}
		if found[it.Ref] && i < 10 {
			t.Fatalf("settled record %d is replayed", i)
		}
	}
	e.check(items...)
	more := e.put(50, 5)
	if got := e.store.Unsettled(); got != len(found)+1 {
		t.Fatalf("%d unsettled, %d replayed", got, len(found))
	}
	e.close()
	if again := e.replay(); len(again) != len(got)+1 { // nothing was settled
		t.Fatalf("second start: %d records, want %d", len(again), len(got)+1)
	}
	for _, it := range append(items, more) {
		e.store.Settle(it.Ref)
	}
	e.close()
	if got := e.replay(); len(got) != 0 {
		t.Fatalf("%d records replayed after all were settled", len(got))
	}
	e.check(append(items, more)...)
}

func lifecycle(t *testing.T, e *env) {
	s := e.open()
	ctx := context.Background()
	a := e.put(100, 5)
	inUse := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, blob.ErrInUse) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	inUse("condemn the current pack", s.Condemn(ctx, a.Ref.Pack))
	e.close()
	e.replay()
	s = e.store
	inUse("condemn with an unsettled record", s.Condemn(ctx, a.Ref.Pack))
	s.Settle(a.Ref)
	if err := s.FlushSettled(ctx); err != nil {
		t.Fatal(err)
	}
	e.close() // seals for certain
	s = e.open()
	e.opener.Refer(a.Ref.Pack, true)
	inUse("condemn with a reference", s.Condemn(ctx, a.Ref.Pack))
	e.opener.Refer(a.Ref.Pack, false)
	inUse("delete without condemning", s.Delete(ctx, a.Ref.Pack))
	if err := s.Condemn(ctx, a.Ref.Pack); err != nil {
		t.Fatal(err)
	}
	inUse("condemn twice", s.Condemn(ctx, a.Ref.Pack))
	e.check(a)
	e.now = e.now.Add(blob.DeleteAfter - time.Second)
	inUse("delete too early", s.Delete(ctx, a.Ref.Pack))
	e.now = e.now.Add(time.Second)
	if err := s.Delete(ctx, a.Ref.Pack); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(ctx, a.Ref); !errors.Is(err, blob.ErrMissing) {
		t.Fatalf("deleted: %v", err)
	}
	if b := e.put(10, 1); b.Ref.Pack == a.Ref.Pack {
		t.Fatal("the number of a deleted pack came again")
	}
}

// sealOlder: a pack that is old enough goes on its way while the store runs.
func sealOlder(t *testing.T, e *env) {
	s := e.open()
	ctx := context.Background()
	if err := s.SealOlder(ctx, e.now.Add(time.Hour)); err != nil { // there is none
		t.Fatal(err)
	}
	a := e.put(100, 5)
	s.Settle(a.Ref)
	condemn := func() error { return errors.Join(s.FlushSettled(ctx), s.Condemn(ctx, a.Ref.Pack)) }
	if err := errors.Join(s.SealOlder(ctx, e.now), condemn()); !errors.Is(err, blob.ErrInUse) {
		t.Fatalf("a pack that is not old: %v", err)
	}
	if err := s.SealOlder(ctx, e.now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	c := e.put(300, 5)
	if c.Ref.Pack == a.Ref.Pack {
		t.Fatalf("%v %v", a.Ref, c.Ref)
	}
	for err := condemn(); err != nil; err = condemn() { // the keeper seals it
		if !errors.Is(err, blob.ErrInUse) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	e.check(a, c)
	e.close()
	if err := s.SealOlder(ctx, e.now); status.Of(err).Public != status.ErrShutdown.Public {
		t.Fatal(err)
	}
	if got := e.replay(); len(got) != 1 || got[0].Ref != c.Ref {
		t.Fatalf("%+v", got)
	}
}

func closing(t *testing.T, e *env) {
	s := e.open()
	ctx := context.Background()
	var wg sync.WaitGroup
	kept := make([]*Item, 20)
	for i := range kept {
		it := NewItem(int64(i), i*700, 10)
		wg.Go(func() {
			if err := it.Put(ctx, s); err == nil {
				kept[i] = it
			} else if status.Of(err).Public != status.ErrShutdown.Public {
				t.Errorf("%v", err)
			}
		})
	}
	open, err := s.Create(ctx, queueid.New(5, 5), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Write(make([]byte, SmallMax*2)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Commit(ctx, nil); err == nil {
		t.Fatal("commit after close")
	}
	if _, err := s.Create(ctx, queueid.New(6, 6), 0); err == nil {
		t.Fatal("create after close")
	}
	wg.Wait()
	found := map[queueid.ID]bool{}
	for _, r := range e.replay() {
		found[r.ID] = true
	}
	for _, it := range kept {
		if it != nil {
			e.check(it)
			if !found[it.ID] {
				t.Fatal("acknowledged and not replayed")
			}
		}
	}
	if found[queueid.New(5, 5)] {
		t.Fatal("a record that was never committed")
	}
}
