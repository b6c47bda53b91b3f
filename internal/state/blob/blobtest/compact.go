package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
)

// settled puts the items' packs behind the journal: everything is settled, sealed, and the store open anew.
func (e *env) settled(items ...*Item) *blob.Store {
	e.t.Helper()
	for _, it := range items {
		e.store.Settle(it.Ref)
	}
	if err := e.store.FlushSettled(context.Background()); err != nil {
		e.t.Fatal(err)
	}
	e.close()
	if got := e.replay(); len(got) != 0 {
		e.t.Fatalf("%d records replayed", len(got))
	}
	return e.store
}

// move gives the items the references that Compact returned, one for each.
func (e *env) move(items []*Item, moved []blob.Moved) {
	e.t.Helper()
	to := map[recipe.BlobRef]recipe.BlobRef{}
	for _, m := range moved {
		if m.To.Length != m.From.Length || m.To.Pack == m.From.Pack {
			e.t.Fatalf("%+v", m)
		}
		to[m.From] = m.To
	}
	if len(to) != len(items) {
		e.t.Fatalf("%d records copied, want %d", len(to), len(items))
	}
	for _, it := range items {
		it.Ref = to[it.Ref]
	}
}

func compact(t *testing.T, e *env) {
	e.open()
	ctx := context.Background()
	var items, dead []*Item
	var live []recipe.BlobRef
	for i, body := range []int{0, 1, 700, SmallMax, 3000, 40, SmallMax * 3, 300 << 10, PackSize / 2, 12, PackSize / 2, 5000} {
		it := e.put(body, 10+i*30)
		dead = append(dead, e.put(900, 5))
		items, live = append(items, it), append(live, it.Ref)
	}
	if _, err := e.store.Compact(ctx, live[:1], blob.CompactOptions{}); !errors.Is(err, blob.ErrInUse) {
		t.Fatalf("a pack with unsettled records: %v", err)
	}
	s := e.settled(append(dead, items...)...)
	before := *items[2]
	moved, err := s.Compact(ctx, append(live, live[3]), blob.CompactOptions{Compress: true}) // one of them twice
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Check(ctx, s); err != nil {
		t.Fatalf("the source: %v", err)
	}
	e.move(items, moved)
	e.check(items...)
	if found := e.scanAll(items); len(found) != len(items) {
		t.Fatalf("%d records in the copies", len(found))
	}
	for pack := range packs(items) {
		if s.Busy(pack) {
			t.Fatalf("pack %d is still written", pack)
		}
	}
	// No start replays a copy, and the source can go.
	e.close()
	if got := e.replay(); len(got) != 0 {
		t.Fatalf("%d copies replayed", len(got))
	}
	e.check(items...)
	for pack := range packs(dead) {
		if err := e.store.Condemn(ctx, pack); err != nil {
			t.Fatal(err)
		}
		e.now = e.now.Add(blob.DeleteAfter)
		if err := e.store.Delete(ctx, pack); err != nil {
			t.Fatal(err)
		}
	}
	e.check(items...)
	// Copies are copied like others, several packs into one.
	live = live[:0]
	for _, it := range items {
		live = append(live, it.Ref)
	}
	if moved, err = e.store.Compact(ctx, live[:5], blob.CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	e.move(items[:5], moved)
	e.check(items...)
	if n := len(packs(items[:5])); n != 1 {
		t.Fatalf("%d packs", n)
	}
}

func packs(items []*Item) map[int64]bool {
	out := map[int64]bool{}
	for _, it := range items {
		out[it.Ref.Pack] = true
	}
	return out
}

// NewText makes an item whose body shrinks when it is compressed.
func NewText(n int64, body, trailer int) *Item {
	it := NewItem(n, body, trailer)
	for i := 0; i < body; i += 64 {
		copy(it.Body[i:], fmt.Sprintf("%08x line %d of message %d, which says much the same again\r\n", i*i, i, n))
	}
	return it
}

func compressed(t *testing.T, e *env) {
	s := e.open()
	ctx := context.Background()
	const frame = 128 << 10
	var items []*Item
	var plain int64
	for _, body := range []int{300, 5000, frame - 1, frame, frame + 1, 3*frame + 7, 700, 40 * frame} {
		e.ids++
		it := NewText(e.ids, body, 50)
		if err := it.Put(ctx, s); err != nil {
			t.Fatal(err)
		}
		items, plain = append(items, it), plain+int64(body)
	}
	noise := e.put(3*frame, 20) // its first frame tells
	late := NewItem(99, 5*frame, 20)
	copy(late.Body, NewText(99, frame, 0).Body) // its first frame deceives
	if err := late.Put(ctx, s); err != nil {
		t.Fatal(err)
	}
	items = append(items, noise, late)
	s = e.settled(items...)
	compactAll := func(opt blob.CompactOptions) (size int64) {
		t.Helper()
		var live []recipe.BlobRef
		for _, it := range items {
			live = append(live, it.Ref)
		}
		moved, err := s.Compact(ctx, live, opt)
		if err != nil {
			t.Fatal(err)
		}
		e.move(items, moved)
		e.check(items...)
		found := e.scanAll(items)
		if len(found) != len(items) {
			t.Fatalf("%d records", len(found))
		}
		for pack := range packs(items) {
			tail, err := s.Scan(ctx, pack, 0, blob.Visitor{})
			if err != nil {
				t.Fatal(err)
			}
			size += tail.Size - 64 // without the header of the pack
		}
		return size
	}
	size := compactAll(blob.CompactOptions{Compress: true})
	if want := int64(len(noise.Body)+len(late.Body)) + plain/2; size > want {
		t.Fatalf("%d bytes, want at most %d", size, want)
	}
	for _, it := range items {
		n := int64(len(it.Body))
		for _, r := range [][2]int64{{0, 1}, {n - 1, 1}, {n / 2, n / 3}, {frame - 3, 7}, {frame, frame}, {1, n - 2}, {n, 0}} {
			if r[0]+r[1] > n || r[1] < 0 {
				continue
			}
			p := make([]byte, r[1])
			if err := s.ReadBodyAt(it.Ref, p, r[0]); err != nil || !bytes.Equal(p, it.Body[r[0]:r[0]+r[1]]) {
				t.Fatalf("%v, range %v: %v", it.Ref, r, err)
			}
		}
		for _, d := range []int64{-1, 1} {
			ref := it.Ref
			ref.Length += d
			if err := s.ReadBodyAt(ref, make([]byte, 1), 0); !errors.Is(err, blob.ErrDamaged) {
				t.Fatalf("%v: %v", ref, err)
			}
		}
		if err := s.ReadBodyAt(it.Ref, make([]byte, 2), n-1); !errors.Is(err, recipe.ErrInvalid) {
			t.Fatal(err)
		}
	}
	// What is compressed stays as it is stored.
	for _, compress := range []bool{false, true} {
		if again := compactAll(blob.CompactOptions{Compress: compress}); again != size {
			t.Fatalf("%d bytes, and %d copied again", size, again)
		}
	}
	e.close()
	if got := e.replay(); len(got) != 0 {
		t.Fatalf("%d copies replayed", len(got))
	}
	e.check(items...)
}
