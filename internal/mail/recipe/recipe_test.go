package recipe

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

type bodies map[int64][]byte

func (b bodies) ReadBodyAt(ref BlobRef, p []byte, off int64) error {
	body := b[ref.Pack]
	if off < 0 || off+int64(len(p)) > int64(len(body)) {
		return io.ErrUnexpectedEOF
	}
	copy(p, body[off:])
	return nil
}

func TestReaderAgreesWithConcatenation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := bodies{}
		var r Recipe
		var want []byte
		for i := range rapid.IntRange(0, 6).Draw(t, "segments") {
			b := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
			if rapid.Bool().Draw(t, "literal") {
				r = append(r, Literal(append([]byte{}, b...)))
				want = append(want, b...)
				continue
			}
			pack := int64(i + 1)
			src[pack] = b
			off := rapid.IntRange(0, len(b)).Draw(t, "off")
			n := rapid.IntRange(0, len(b)-off).Draw(t, "n")
			r = append(r, Segment{Blob: BlobRef{Pack: pack, Length: int64(len(b))}, Offset: int64(off), Length: int64(n)})
			want = append(want, b[off:off+n]...)
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		if r.Size() != int64(len(want)) {
			t.Fatalf("size %d, want %d", r.Size(), len(want))
		}
		var buf bytes.Buffer
		if _, err := NewReader(src, r).WriteTo(&buf); err != nil || !bytes.Equal(buf.Bytes(), want) {
			t.Fatalf("WriteTo: %v", err)
		}
		off := rapid.IntRange(0, len(want)+2).Draw(t, "slice off")
		n := rapid.IntRange(0, len(want)+2).Draw(t, "slice n")
		got, err := io.ReadAll(NewReader(src, r.Slice(int64(off), int64(n))))
		lo := min(off, len(want))
		if err != nil || !bytes.Equal(got, want[lo:min(lo+n, len(want))]) {
			t.Fatalf("slice %d+%d: %q %v", off, n, got, err)
		}
		pre, err := io.ReadAll(NewReader(src, r.Prepend([]byte("X: y\r\n"))))
		if err != nil || string(pre) != "X: y\r\n"+string(want) {
			t.Fatalf("prepend: %q %v", pre, err)
		}
	})
}

func TestCheckRefuses(t *testing.T) {
	ref := BlobRef{Pack: 1, Length: 10}
	for name, r := range map[string]Recipe{
		"range past the end":  {{Blob: ref, Offset: 5, Length: 6}},
		"negative offset":     {{Blob: ref, Offset: -1, Length: 2}},
		"negative length":     {{Blob: ref, Offset: 1, Length: -2}},
		"overflow":            {{Blob: ref, Offset: 1 << 62, Length: 1 << 62}},
		"no blob":             {{Length: 3}},
		"literal length lies": {{Literal: []byte("abc"), Length: 4}},
		"too many literals":   {Literal(make([]byte, MaxLiteral)), Literal([]byte("x"))},
	} {
		if err := r.Check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := io.ReadAll(NewReader(bodies{}, Whole(ref))); err == nil {
		t.Error("a missing body reads without error")
	}
}
