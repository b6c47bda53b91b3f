package blobtest

import (
	"context"
	"errors"
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
