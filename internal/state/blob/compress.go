package blob

import (
	"context"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// compressLevel and what a body must save: docs/design/0007 has the figures.
const (
	compressLevel = zstd.SpeedDefault
	minCompress   = 256 // a shorter body stays as it is
)

// pays tells whether n bytes instead of plain are worth it: an eighth saved.
func pays(n, plain int64) bool { return n <= plain-plain/8 }

// compress writes the body compressed, frame by frame, and tells where it is; ok is false if that does not pay, and
// whatever was written is written over. sum is what the body's must be.
func (t *copies) compress(ctx context.Context, c *compaction, r record, to int64) (b stored, bodySum uint32, ok bool, err error) {
	var begins []int64
	b = stored{at: to, plain: r.bodyLen, frame: frameSize}
	for done := int64(0); done < b.plain; {
		if err := c.goOn(ctx); err != nil {
			return b, 0, false, err
		}
		p := c.plainBuffer()[:min(frameSize, b.plain-done)]
		if err := readFull(r.file, p, r.off+headerSize+done); err != nil {
			return b, 0, false, badSource(err)
		}
		b.sum = crc32.Update(b.sum, castagnoli, p)
		if c.frame, err = c.s.codec.encode(c.frame[:0], p); err != nil {
			return b, 0, false, err
		}
		if done == 0 && !pays(int64(len(c.frame))+skippableHead+jumpTail, int64(len(p))) {
			return b, 0, false, nil
		}
		if done > 0 {
			begins = append(begins, b.length)
		}
		done += int64(len(p))
		if done == b.plain {
			c.frame = appendJump(c.frame, begins, b.plain, b.sum)
		}
		if err := t.write(c.frame, to+b.length); err != nil {
			return b, 0, false, err
		}
		bodySum = crc32.Update(bodySum, castagnoli, c.frame)
		b.length += int64(len(c.frame))
		if err := c.step(ctx, t, int64(len(p))); err != nil {
			return b, 0, false, err
		}
	}
	if b.sum != r.foot.bodySum {
		return b, 0, false, badSource(damaged("body checksum, at the second reading"))
	}
	return b, bodySum, pays(b.length, b.plain), nil
}

// plainBuffer is where a frame is read to.
func (c *compaction) plainBuffer() []byte {
	if c.plain == nil {
		c.plain = make([]byte, frameSize)
	}
	return c.plain
}
