package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/recipe"
)

// storedForm compresses a body as compaction writes it.
func storedForm(t testing.TB, c *codec, body []byte) []byte {
	t.Helper()
	var out []byte
	var begins []int64
	for at := 0; at < len(body); at += frameSize {
		if at > 0 {
			begins = append(begins, int64(len(out)))
		}
		var err error
		if out, err = c.encode(out, body[at:min(at+frameSize, len(body))]); err != nil {
			t.Fatal(err)
		}
	}
	return appendJump(out, begins, int64(len(body)), crc(body))
}

// counter counts what is read.
type counter struct {
	r            *bytes.Reader
	calls, bytes int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.calls++
	c.bytes += len(p)
	return c.r.ReadAt(p, off)
}

// TestRangeOfLongBody: a range in the middle of a long body reads and decompresses one frame, and one piece after the other
// in the same frame nothing more.
func TestRangeOfLongBody(t *testing.T) {
	var c codec
	body := bytes.Repeat([]byte("The same line again, but for what follows: 0123456789abcdef.\r\n"), 50<<20/62)
	form := storedForm(t, &c, body)
	r := &counter{r: bytes.NewReader(form)}
	b, err := readJump(r, 0, int64(len(form)))
	if err != nil {
		t.Fatal(err)
	}
	off := int64(len(body)/2) &^ (frameSize - 1)
	for i := range int64(4) {
		p := make([]byte, 1000)
		if err := c.readAt(r, &b, frameKey{pack: 1, offset: 64}, p, off+i*1000); err != nil || !bytes.Equal(p, body[off+i*1000:][:1000]) {
			t.Fatal(err)
		}
	}
	if r.calls != 3 || r.bytes > jumpTail+2*jumpEntry+frameSize/8 {
		t.Fatalf("%d reads of %d bytes", r.calls, r.bytes)
	}
	if n := testing.AllocsPerRun(10, func() {
		_ = c.readAt(r, &b, frameKey{pack: 1, offset: 64}, make([]byte, 2*frameSize), off)
	}); n > 12 {
		t.Fatalf("%v allocations to read two frames", n)
	}
}

// TestStoredFormFlips flips every bit of a stored form: reading all of it tells, or gives the right body.
func TestStoredFormFlips(t *testing.T) {
	var c codec
	body := bytes.Repeat([]byte("abcdefgh ijklmnop\r\n"), frameSize/19+5)
	form := storedForm(t, &c, body)
	same := 0
	for bit := range len(form) * 8 {
		form[bit/8] ^= 1 << (bit % 8)
		r := bytes.NewReader(form)
		b, err := readJump(r, 0, int64(len(form)))
		if err == nil {
			err = c.verify(context.Background(), r, &b)
		}
		switch {
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Fatalf("bit %d of %d: %v", bit, len(form)*8, err)
		case err != nil:
		case b.plain != int64(len(body)) || b.sum != crc(body):
			t.Fatalf("bit %d of %d: another body", bit, len(form)*8)
		default:
			same++
		}
		form[bit/8] ^= 1 << (bit % 8)
	}
	// What no reader looks at: the header of the skippable frame, and a bit of each frame's (RFC 8878 §3.1.1.1.1). The
	// record's own checksum covers them.
	if same > skippableHead*8+4 {
		t.Fatalf("%d flipped bits change nothing", same)
	}
}

// TestBase64Shrinks: most bytes of mail are attachments in base64, in which nothing repeats; six bits of eight is what is left.
func TestBase64Shrinks(t *testing.T) {
	var c codec
	noise := make([]byte, 90<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	var body []byte
	for line := range slices.Chunk(base64.StdEncoding.AppendEncode(nil, noise), 76) {
		body = append(append(body, line...), "\r\n"...)
	}
	if form := storedForm(t, &c, body); len(form) > len(body)*79/100 {
		t.Fatalf("%d bytes of %d", len(form), len(body))
	}
}

// FuzzStored reads arbitrary bytes as a compressed body. Whatever its table says, no range takes more memory than a frame,
// none outside of the body is given, all ways to read agree, and a body that verifies is what its parts are.
func FuzzStored(f *testing.F) {
	f.Fuzz(func(t *testing.T, form []byte, at uint32, n uint16, repair bool) {
		if len(form) > 1<<20 {
			return
		}
		if repair && len(form) >= jumpTail {
			form = bytes.Clone(form)
			tail := form[len(form)-jumpTail:]
			copy(tail[16:], jumpMagic)
			sum := crc(tail[:20])
			tail[20], tail[21], tail[22], tail[23] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		var c codec
		r := bytes.NewReader(form)
		b, err := readJump(r, 0, int64(len(form)))
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if b.plain > 8<<20 { // frames of one repeated byte are short: no fault, but a long wait
			return
		}
		off := int64(at) % b.plain
		p := make([]byte, min(int64(n), b.plain-off))
		rangeErr := c.readAt(r, &b, frameKey{}, p, off)
		err = c.verify(context.Background(), r, &b)
		for _, e := range []error{rangeErr, err} {
			if e != nil && !errors.Is(e, ErrDamaged) {
				t.Fatal(e)
			}
		}
		if err != nil {
			return
		}
		if rangeErr != nil {
			t.Fatalf("verifies, but %d+%d: %v", off, len(p), rangeErr)
		}
		whole := make([]byte, b.plain)
		if err := c.readAt(r, &b, frameKey{offset: 1}, whole, 0); err != nil {
			t.Fatal(err)
		}
		if crc(whole) != b.sum || !bytes.Equal(p, whole[off:off+int64(len(p))]) {
			t.Fatal("another body")
		}
		again := storedForm(t, &c, whole)
		b2, err := readJump(bytes.NewReader(again), 0, int64(len(again)))
		if err == nil {
			err = c.verify(context.Background(), bytes.NewReader(again), &b2)
		}
		if err != nil || b2.plain != b.plain || b2.sum != b.sum {
			t.Fatalf("%+v %+v: %v", b, b2, err)
		}
	})
}

// TestDeleteBesideReader: who has a pack open reads on when it is deleted.
func TestDeleteBesideReader(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	now := time.Unix(1_700_000_000, 0)
	r.opt.Clock = func() time.Time { return now }
	ref := r.put(1, body(1))
	r.s.Settle(ref)
	if err := r.s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	r.open()
	h, err := r.s.handles.get(ref.Pack)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.s.Condemn(ctx, ref.Pack); err != nil {
		t.Fatal(err)
	}
	now = now.Add(DeleteAfter)
	if err := r.s.Delete(ctx, ref.Pack); err != nil {
		t.Fatal(err)
	}
	b, err := locate(h, recipe.BlobRef{Pack: ref.Pack, Offset: ref.Offset, Length: ref.Length})
	got := make([]byte, ref.Length)
	if err == nil {
		err = readFull(h.file, got, b.at)
	}
	if err != nil || !bytes.Equal(got, body(1)) {
		t.Fatal(err)
	}
	r.s.handles.release(h)
	if err := r.s.Verify(ctx, ref); !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
}
