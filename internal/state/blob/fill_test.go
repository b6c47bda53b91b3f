package blob

import (
	"context"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/postrider/postrider/internal/vfs"
)

// fillRig has a store whose appends have moved into a filled pack.
func fillRig(t *testing.T) *rig {
	r := &rig{t: t, opt: Options{
		FS: vfs.NewMem(), Dir: "p", Catalog: NewMemoryCatalog(nil), SmallMax: 4 << 10, Ready: 1, Fill: 64 << 10,
	}}
	r.open()
	r.put(1, body(1)) // asks for it
	r.awaitFilled()
	r.put(2, body(2))
	return r
}

func (r *rig) awaitFilled() {
	for !r.s.hasFilled() {
		runtime.Gosched()
	}
}

func (s *Store) hasFilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filled != nil
}

// TestFilledPack: records go into the written space and the file does not grow; what is left over is cut off at the end.
func TestFilledPack(t *testing.T) {
	r := fillRig(t)
	pack := r.refs[1].Pack
	if pack == r.refs[0].Pack {
		t.Fatal("the filled pack was not taken")
	}
	r.put(3, body(3))
	if n := len(r.bytes(pack)); n != packHeaderSize+64<<10 || r.refs[2].Pack != pack {
		t.Fatalf("pack of %d bytes, record in %d", n, r.refs[2].Pack)
	}
	ids, bad, tail, err := r.scan(pack)
	if err != nil || len(bad) != 0 || !slices.Equal(ids, []int64{2, 3}) || tail.Torn != 0 || tail.End >= tail.Size {
		t.Fatalf("%v %v %+v %v", ids, bad, tail, err)
	}
	// When the space is used up, the next filled pack is next.
	r.awaitFilled()
	for n := 4; r.refs[len(r.refs)-1].Pack == pack; n++ {
		r.put(n, make([]byte, 3<<10))
		r.awaitFilled()
	}
	if err := r.s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for p := r.refs[0].Pack; ; p++ {
		row, err := r.opt.Catalog.Get(context.Background(), p)
		if err != nil {
			break
		}
		if b := r.bytes(p); row.State == PackSealed && int64(len(b)) != row.Size || row.State == PackOpen && len(b) != packHeaderSize {
			t.Fatalf("%+v, file of %d bytes", row, len(b))
		}
	}
}

// TestFilledPackAfterCrash: a killed process leaves a pack with written space behind its records; a replay ends there.
func TestFilledPackAfterCrash(t *testing.T) {
	r := fillRig(t)
	pack := r.refs[1].Pack
	r.awaitFilled() // a third pack: nothing but zeros
	r.opt.FS = r.opt.FS.(*vfs.Mem).Crash(1)
	r.opt.Catalog = r.opt.Catalog.(*MemoryCatalog).Clone()
	r.open()
	var ids []int64
	err := r.s.Replay(context.Background(), Visitor{
		Record: func(rec Record) error { ids = append(ids, rec.ID.Micros()); r.s.Settle(rec.Ref); return nil },
		Damage: func(d Damage) error { return d.Err },
	})
	if err != nil || !slices.Equal(ids, []int64{1, 2}) {
		t.Fatalf("%v %v", ids, err)
	}
	if tail, err := r.s.Scan(context.Background(), pack, 0, Visitor{}); err != nil || tail.Size != tail.End {
		t.Fatalf("%+v %v: the space was not freed", tail, err)
	}
	if err := r.s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.open()
	if n := len(r.s.replay); n != 0 {
		t.Fatalf("%d packs to replay after all was settled", n)
	}
}

// TestFillMeetsFullDisk: no room for zeros is no reason to refuse mail, and gives back what it took.
func TestFillMeetsFullDisk(t *testing.T) {
	zeros := 0
	disk := vfs.NewMem()
	r := &rig{t: t, opt: Options{Dir: "p", Catalog: NewMemoryCatalog(nil), SmallMax: 1 << 10, Ready: 1, Fill: 64 << 10}}
	done := make(chan struct{}, 1)
	filling := func(_ int64, op vfs.Op, name string) error { // the eighth write is one of zeros: before it come headers, one record
		if op != vfs.OpWrite {
			return nil
		}
		if zeros++; zeros == 8 {
			done <- struct{}{}
			return syscall.ENOSPC
		}
		return nil
	}
	r.opt.FS = vfs.NewFaulty(disk, filling)
	r.open()
	r.put(1, body(1))
	<-done
	r.put(2, body(2))
	if r.s.Failed() != nil || r.s.hasFilled() {
		t.Fatal(r.s.Failed())
	}
	for _, ref := range r.refs {
		if err := r.s.Verify(context.Background(), ref); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	names, err := disk.ReadDir("p")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if n, err := disk.Size("p/" + name); n > 1000 || err != nil {
			t.Fatalf("%s has %d bytes %v", name, n, err)
		}
	}
}
