package blob

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// Record must say what ReadBodyAt, Trailer and Verify say, of small and streamed records and of trailers longer than the
// guess, in whatever buffer.
func TestRecordReadsWhatTheOthersRead(t *testing.T) {
	r := newRig(t)
	var buf []byte
	for n, size := range []int{0, 1, 300, 4 << 10, 40 << 10} {
		for _, trailer := range []int{0, 9, trailerGuess, trailerGuess + 1, 9 << 10} {
			want, tr := bytes.Repeat([]byte{byte('a' + n)}, size), bytes.Repeat([]byte("t"), trailer)
			w, err := r.s.Create(context.Background(), queueid.New(int64(n), 1), int64(size))
			if err == nil {
				_, err = w.Write(want)
			}
			if err != nil {
				t.Fatal(err)
			}
			ref, err := w.Commit(context.Background(), tr)
			if err != nil {
				t.Fatal(err)
			}
			body, got, err := r.s.Record(context.Background(), ref, &buf)
			if err != nil || !bytes.Equal(body, want) || !bytes.Equal(got, tr) {
				t.Errorf("%d, %d: %d, %d, %v", size, trailer, len(body), len(got), err)
			}
			for _, d := range []int64{-1, 1} {
				if _, _, err := r.s.Record(context.Background(), recipe.BlobRef{Pack: ref.Pack, Offset: ref.Offset, Length: ref.Length + d}, &buf); err == nil {
					t.Errorf("%d, %d: reads with a length of %d more", size, trailer, d)
				}
			}
		}
	}
}

// No bit of a record can be flipped unnoticed.
func TestRecordFindsFlippedBits(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= 2; n++ {
		r.put(n, body(n))
	}
	ref, end := r.refs[0], r.refs[1].Offset
	sound := r.bytes(ref.Pack)
	var buf []byte
	for bit := ref.Offset * 8; bit < end*8; bit += 3 {
		b := slices.Clone(sound)
		b[bit/8] ^= 1 << (bit % 8)
		r.set(ref.Pack, b)
		if _, _, err := r.s.Record(context.Background(), ref, &buf); err == nil {
			t.Fatalf("bit %d: reads", bit-ref.Offset*8)
		}
	}
}
