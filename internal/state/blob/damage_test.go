package blob

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/vfs"
)

// rig is a store whose files a test can change.
type rig struct {
	t    *testing.T
	opt  Options
	s    *Store
	refs []recipe.BlobRef
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, opt: Options{FS: vfs.NewVolatile(), Dir: "p", Catalog: NewMemoryCatalog(nil), SmallMax: 4 << 10, Ready: 1, Fill: -1}}
	r.open()
	return r
}

func (r *rig) open() {
	r.t.Helper()
	s, err := Open(context.Background(), r.opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.s = s
	r.t.Cleanup(func() { _ = s.Close(context.Background()) })
}

func (r *rig) put(n int, body []byte) recipe.BlobRef {
	r.t.Helper()
	w, err := r.s.Create(context.Background(), queueid.New(int64(n), 1), int64(len(body)))
	if err == nil {
		_, err = w.Write(body)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	ref, err := w.Commit(context.Background(), fmt.Appendf(nil, "trailer %d", n))
	if err != nil {
		r.t.Fatal(err)
	}
	r.refs = append(r.refs, ref)
	return ref
}

// bytes reads the pack's file; set replaces it.
func (r *rig) bytes(pack int64) []byte {
	f, err := r.opt.FS.Open(r.s.path(pack))
	if err != nil {
		r.t.Fatal(err)
	}
	n, _ := f.Size()
	b := make([]byte, n)
	_, _ = f.ReadAt(b, 0)
	_ = f.Close()
	return b
}

func (r *rig) set(pack int64, b []byte) {
	f, err := r.opt.FS.OpenWrite(r.s.path(pack))
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	_ = f.Close()
	r.s.handles.drop(pack)
}

func (r *rig) scan(pack int64) (ids []int64, bad []Damage, tail Tail, err error) {
	tail, err = r.s.Scan(context.Background(), pack, 0, Visitor{
		Record: func(rec Record) error { ids = append(ids, rec.ID.Micros()); return nil },
		Damage: func(d Damage) error { bad = append(bad, d); return nil },
	})
	return ids, bad, tail, err
}

func body(n int) []byte { return bytes.Repeat([]byte{byte('a' + n)}, 100+10*n) }

// TestBitFlips flips every bit of the middle one of three records: it is never read as sound, the others always are.
func TestBitFlips(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= 3; n++ {
		r.put(n, body(n))
	}
	ref, end := r.refs[1], r.refs[2].Offset
	sound := r.bytes(ref.Pack)
	for bit := ref.Offset * 8; bit < end*8; bit++ {
		b := slices.Clone(sound)
		b[bit/8] ^= 1 << (bit % 8)
		r.set(ref.Pack, b)
		if err := r.s.Verify(context.Background(), ref); err == nil {
			t.Fatalf("bit %d: verifies", bit-ref.Offset*8)
		}
		ids, bad, tail, err := r.scan(ref.Pack)
		if err != nil || !slices.Equal(ids, []int64{1, 3}) || tail.Torn != 0 {
			t.Fatalf("bit %d: %v %+v %v", bit-ref.Offset*8, ids, tail, err)
		}
		if len(bad) != 1 || bad[0].From != ref.Offset || bad[0].To != end || !errors.Is(bad[0].Err, ErrDamaged) {
			t.Fatalf("bit %d: damage %+v", bit-ref.Offset*8, bad)
		}
	}
}

// TestBitFlipsAtTheEnd flips every bit of the last record, of which no later one tells: all of it was written, so it is damage.
// (Only in the record's last byte, where it makes a zero of it, it could be the cut end of a write.)
func TestBitFlipsAtTheEnd(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= 3; n++ {
		r.put(n, body(n))
	}
	last, pack := r.refs[2].Offset, r.refs[2].Pack
	sound := r.bytes(pack)
	for len(sound) > 0 && sound[len(sound)-1] == 0 { // written ahead
		sound = sound[:len(sound)-1]
	}
	for _, ahead := range []int{0, 100, 5000} {
		for bit := last * 8; bit < int64(len(sound)-1)*8; bit++ {
			b := append(slices.Clone(sound), make([]byte, ahead)...)
			b[bit/8] ^= 1 << (bit % 8)
			r.set(pack, b)
			ids, bad, tail, err := r.scan(pack)
			if err != nil || !slices.Equal(ids, []int64{1, 2}) || tail.Torn != 0 || len(bad) != 1 || bad[0].From != last {
				t.Fatalf("bit %d: %v %+v %+v %v", bit-last*8, ids, bad, tail, err)
			}
		}
	}
}

// TestTornTail cuts the pack at every length of its last record, and fills the rest with zeros.
func TestTornTail(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= 3; n++ {
		r.put(n, body(n))
	}
	last := r.refs[2].Offset
	sound := r.bytes(r.refs[0].Pack)
	for cut := last; cut < int64(len(sound)); cut++ {
		zeros := append(slices.Clone(sound[:cut]), make([]byte, int64(len(sound))-cut)...)
		for _, b := range [][]byte{sound[:cut], zeros} {
			r.set(r.refs[0].Pack, b)
			ids, bad, tail, err := r.scan(r.refs[0].Pack)
			if bytes.Equal(b, sound) {
				break // the last byte is zero anyway
			}
			want := Tail{End: last, Size: int64(len(b)), Torn: last}
			if cut == last && len(b) == int(last) {
				want.Torn = 0
			}
			if len(bytes.Trim(b[last:], "\x00")) == 0 { // space written ahead
				want.Torn = 0
			}
			if err != nil || len(bad) != 0 || !slices.Equal(ids, []int64{1, 2}) || tail != want {
				t.Fatalf("cut at %d: %v %v %+v, want %+v, %v", cut, ids, bad, tail, want, err)
			}
		}
	}
}

// TestTornGroup: of the first record of the last group a sector is missing, and the second is whole. That was never
// acknowledged, so it is torn, not damage; the whole one is reported.
func TestTornGroup(t *testing.T) {
	r := newRig(t)
	r.put(1, body(1))
	p := r.s.current
	var g group
	for n := 2; n <= 3; n++ {
		w, _ := r.s.Create(context.Background(), queueid.New(int64(n), 1), 0)
		_, _ = w.Write(body(n))
		w.foot = footer{body: w.size, bodySum: w.sum}
		w.buf = append(w.buf, make([]byte, trailerHeadSize)...)
		putTrailerHead(w.buf[len(w.buf)-trailerHeadSize:], 0, 0)
		g.add(w)
	}
	at := p.written
	g.place(p)
	_, _ = p.file.WriteVecAt(g.pieces, at)
	b := r.bytes(r.refs[0].Pack)
	clear(b[at : (at/sectorSize+1)*sectorSize])
	r.set(r.refs[0].Pack, b)
	ids, bad, tail, err := r.scan(r.refs[0].Pack)
	if err != nil || len(bad) != 0 || !slices.Equal(ids, []int64{1, 3}) || tail.Torn != at || tail.End != int64(len(b)) {
		t.Fatalf("%v %v %+v %v", ids, bad, tail, err)
	}
	// After a further group the same bytes are damage: that group was written when this one was durable.
	p.written = tail.End
	r.put(4, body(4))
	ids, bad, tail, err = r.scan(r.refs[0].Pack)
	if err != nil || len(bad) != 1 || bad[0].From != at || !slices.Equal(ids, []int64{1, 3, 4}) || tail.Torn != 0 {
		t.Fatalf("%v %v %+v %v", ids, bad, tail, err)
	}
}

// TestTornPiece: of a large record's second write the first sector is missing, which the first write filled in part. All the
// rest is there, so that no sector is all zeros; nothing was acknowledged.
func TestTornPiece(t *testing.T) {
	for _, size := range []int{pieceSize - headerSize - 20, pieceSize, pieceSize + 9000} { // the border in the trailer, in the body
		r := newRig(t)
		ref := r.put(1, bytes.Repeat([]byte{'x'}, size))
		b := r.bytes(ref.Pack)
		border := ref.Offset + pieceSize
		if border%sectorSize == 0 {
			t.Fatal("the pieces share no sector")
		}
		clear(b[border:min(int64(len(b)-1), (border/sectorSize+1)*sectorSize)])
		r.set(ref.Pack, b)
		ids, bad, tail, err := r.scan(ref.Pack)
		if err != nil || len(ids) != 0 || len(bad) != 0 || tail.Torn != ref.Offset {
			t.Fatalf("%d: %v %+v %+v %v", size, ids, bad, tail, err)
		}
	}
}

// TestForgedRecord: a body that holds a record copied from another pack is not taken for one behind damage.
func TestForgedRecord(t *testing.T) {
	other := newRig(t)
	other.put(66, []byte("evil"))
	forged := other.bytes(other.refs[0].Pack)[packHeaderSize:]
	r := newRig(t)
	r.put(1, append([]byte("mail with a record in it: "), forged...))
	r.put(2, body(2))
	b := r.bytes(r.refs[0].Pack)
	b[r.refs[0].Offset+3] ^= 1 // its header is gone: the scan must look for the next
	r.set(r.refs[0].Pack, b)
	ids, bad, _, err := r.scan(r.refs[0].Pack)
	if err != nil || !slices.Equal(ids, []int64{2}) || len(bad) != 1 {
		t.Fatalf("%v %+v %v", ids, bad, err)
	}
}

// edit changes a record's header and makes its checksums right again, as a later version would have written it.
func edit(b []byte, off int64, change func(header []byte)) {
	h := b[off : off+headerSize]
	change(h)
	binary.BigEndian.PutUint32(h[60:], crc(h[:60]))
	foot := off + headerSize + int64(binary.BigEndian.Uint64(h[32:])) + trailerHeadSize + int64(binary.BigEndian.Uint32(h[48:]))
	f := b[foot : foot+footerSize]
	binary.BigEndian.PutUint32(f[4:], crc(h[:60]))
	binary.BigEndian.PutUint32(f[28:], crc(f[:28]))
}

func TestLaterVersions(t *testing.T) {
	for want, change := range map[string]func([]byte){
		"version 2":       func(h []byte) { h[12] = 2 },
		"flags encrypted": func(h []byte) { h[15] |= byte(flagEncrypted) },
		"flags bit 9":     func(h []byte) { h[14] |= 2 },
		"key id 7":        func(h []byte) { h[55] = 7 },
	} {
		t.Run(want, func(t *testing.T) {
			r := newRig(t)
			for n := 1; n <= 3; n++ {
				r.put(n, body(n))
			}
			b := r.bytes(r.refs[0].Pack)
			edit(b, r.refs[1].Offset, change)
			r.set(r.refs[0].Pack, b)
			refuses := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v", what, err)
				}
			}
			ctx := context.Background()
			refuses("read", r.s.ReadBodyAt(r.refs[1], make([]byte, 1), 0))
			_, err := r.s.Trailer(ctx, r.refs[1])
			refuses("trailer", err)
			refuses("verify", r.s.Verify(ctx, r.refs[1]))
			ids, bad, _, err := r.scan(r.refs[0].Pack)
			if err != nil || len(bad) != 1 || !slices.Equal(ids, []int64{1, 3}) {
				t.Fatalf("scan: %v %v %v", ids, bad, err)
			}
			refuses("scan", bad[0].Err)
			// A start must not pass over it: its message would be lost for the version that can read it.
			if err := r.s.Close(ctx); err != nil {
				t.Fatal(err)
			}
			r.open()
			refuses("replay", r.s.Replay(ctx, Visitor{}))
		})
	}
}

func TestPackHeader(t *testing.T) {
	later := func(b []byte, at int, v byte) {
		b[at] = v
		binary.BigEndian.PutUint32(b[60:], crc(b[:60]))
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		err    error // of reading a record
		ids    []int64
	}{
		"damaged":       {func(b []byte) []byte { b[20] ^= 1; return b }, nil, []int64{1, 2}}, // the records tell the mark
		"both damaged":  {func(b []byte) []byte { b[20] ^= 1; b[64] ^= 1; return b }, ErrDamaged, nil},
		"other number":  {func(b []byte) []byte { later(b, 23, 9); b[64] ^= 1; return b }, ErrDamaged, nil},
		"later version": {func(b []byte) []byte { later(b, 8, 2); return b }, ErrUnsupported, nil},
		"flags":         {func(b []byte) []byte { later(b, 11, 2); return b }, ErrUnsupported, nil},
		"short":         {func(b []byte) []byte { return b[:30] }, ErrDamaged, nil},
		"empty":         {func(b []byte) []byte { return nil }, ErrDamaged, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.put(1, body(1))
			r.put(2, body(2))
			r.set(r.refs[0].Pack, c.change(r.bytes(r.refs[0].Pack)))
			if err := r.s.Verify(context.Background(), r.refs[1]); !errors.Is(err, c.err) {
				t.Fatalf("verify: %v", err)
			}
			ids, _, _, err := r.scan(r.refs[0].Pack)
			if !errors.Is(err, c.err) || !slices.Equal(ids, c.ids) {
				t.Fatalf("scan: %v %v", ids, err)
			}
		})
	}
}

// TestReplayGoesOnAfterDamage: damaged and missing packs are reported, everything else is replayed.
func TestReplayGoesOnAfterDamage(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	r.put(1, body(1))
	r.put(2, body(2))
	r.put(3, body(3))
	r.put(4, make([]byte, 9000)) // a pack of its own
	r.put(5, make([]byte, 9000))
	b := r.bytes(r.refs[0].Pack)
	b[r.refs[1].Offset+headerSize] ^= 1
	r.set(r.refs[0].Pack, b)
	if err := r.s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.opt.FS.Remove(r.s.path(r.refs[3].Pack)); err != nil {
		t.Fatal(err)
	}
	for start := range 2 {
		r.open()
		var ids []int64
		var bad []Damage
		err := r.s.Replay(ctx, Visitor{
			Record: func(rec Record) error { ids = append(ids, rec.ID.Micros()); r.s.Settle(rec.Ref); return nil },
			Damage: func(d Damage) error { bad = append(bad, d); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if start == 1 { // reported once, and done with
			if len(ids)+len(bad) != 0 {
				t.Fatalf("again: %v %v", ids, bad)
			}
			break
		}
		// Replay goes by pack numbers; which of the ready packs a large body took is left open.
		slices.Sort(ids)
		slices.SortFunc(bad, func(a, b Damage) int { return b.ID.Compare(a.ID) })
		if !slices.Equal(ids, []int64{1, 3, 5}) || len(bad) != 2 || bad[0].ID.Micros() != 2 || !errors.Is(bad[1].Err, ErrMissing) {
			t.Fatalf("%v %+v", ids, bad)
		}
		if err := r.s.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
