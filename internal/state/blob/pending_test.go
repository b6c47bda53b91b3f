package blob

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
)

// What is being written can be read at any time, from memory and from the disk, and more can be written after that.
func TestReadWhileWritingMemory(t *testing.T) {
	s, err := NewMemory(t.Context(), Options{SmallMax: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 9_999, 10_001, pieceSize - headerSize, pieceSize, 3*pieceSize + 17} {
		w, err := s.Create(t.Context(), queueid.New(int64(size+1), 1), 0)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 0, size)
		for len(body) < size {
			b := make([]byte, min(size-len(body), 1+rnd.IntN(40_000)))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
			body = append(body, b...)
			off := rnd.IntN(len(body))
			got := make([]byte, rnd.IntN(len(body)-off+1))
			if _, err := w.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, body[off:off+len(got)]) {
				t.Fatalf("%d of %d: %d+%d: %v", len(body), size, off, len(got), err)
			}
		}
		if _, err := w.ReadAt(make([]byte, size+1), 0); err == nil {
			t.Errorf("%d: more than there is", size)
		}
		ref, err := w.Commit(t.Context(), []byte("trailer"))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if err := s.ReadBodyAt(ref, got, 0); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d: committed: %v", size, err)
		}
		if _, err := w.ReadAt(nil, 0); err == nil {
			t.Errorf("%d: read after the end", size)
		}
	}
}
