package blob

import (
	"container/list"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A compressed body is stored as zstd frames (RFC 8878) that know nothing of each other, each of frameSize plain bytes but
// the last, and behind them a skippable frame (§3.1.2) with the table of where they begin: any range is read by
// decompressing the frames it lies in, and `zstd -d` restores the whole. docs/format.md has the bytes.
const (
	frameSize    = 128 << 10 // as written
	minFrameSize = 4 << 10   // as read
	maxFrameSize = 1 << 20

	skippableMagic = 0x184D2A5D // little-endian, as everything of zstd
	skippableHead  = 8
	jumpMagic      = "PJmp"
	jumpEntry      = 8
	jumpTail       = 24

	maxFrameGrowth = 1 << 10 // a frame that did not shrink is so much longer than its plain bytes at most
)

// stored is where a body is in its pack, and in which form.
type stored struct {
	at     int64 // offset in the file
	length int64 // bytes there
	plain  int64 // bytes of the body
	frame  int64 // plain bytes per zstd frame; 0: stored as it is
	sum    uint32
}

// frames is how many zstd frames the body has.
func (b *stored) frames() int64 { return (b.plain + b.frame - 1) / b.frame }

// table is where the entries of the table begin, relative to at: the frames end skippableHead before.
func (b *stored) table() int64 { return b.length - jumpTail - jumpEntry*(b.frames()-1) }

// appendJump appends the skippable frame that ends a compressed body. begins are the offsets of the frames but the first.
func appendJump(b []byte, begins []int64, plain int64, sum uint32) []byte {
	b = binary.LittleEndian.AppendUint32(b, skippableMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(begins)*jumpEntry+jumpTail))
	for _, at := range begins {
		b = binary.BigEndian.AppendUint64(b, uint64(at))
	}
	n := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(plain))
	b = binary.BigEndian.AppendUint32(b, frameSize)
	b = binary.BigEndian.AppendUint32(b, sum)
	b = append(b, jumpMagic...)
	return binary.BigEndian.AppendUint32(b, crc(b[n:]))
}

// readJump reads the end of the compressed body of length bytes at an offset: how long it is in plain.
func readJump(r io.ReaderAt, at, length int64) (b stored, err error) {
	b = stored{at: at, length: length}
	if length < skippableHead+jumpTail {
		return b, damaged("compressed body of %d bytes", length)
	}
	var t [jumpTail]byte
	if err := readFull(r, t[:], at+length-jumpTail); err != nil {
		return b, err
	}
	if string(t[16:20]) != jumpMagic || crc(t[:20]) != binary.BigEndian.Uint32(t[20:]) {
		return b, damaged("table of a compressed body")
	}
	b.plain = int64(binary.BigEndian.Uint64(t[:]))
	b.frame = int64(binary.BigEndian.Uint32(t[8:]))
	b.sum = binary.BigEndian.Uint32(t[12:])
	if b.plain < 1 || b.plain > MaxBody || b.frame < minFrameSize || b.frame > maxFrameSize || b.table() < skippableHead {
		return b, damaged("compressed body of %d bytes in frames of %d", b.plain, b.frame)
	}
	return b, nil
}

// extent returns where zstd frame i is in the file, and how many plain bytes it holds.
func (b *stored) extent(r io.ReaderAt, i int64) (at, length, plain int64, err error) {
	var e [2 * jumpEntry]byte
	last, table := b.frames()-1, b.at+b.table()
	from, to := int64(0), b.table()-skippableHead
	switch {
	case last == 0:
	case i == 0:
		err = readFull(r, e[jumpEntry:], table)
		to = int64(binary.BigEndian.Uint64(e[jumpEntry:]))
	case i == last:
		err = readFull(r, e[:jumpEntry], table+jumpEntry*(i-1))
		from = int64(binary.BigEndian.Uint64(e[:]))
	default:
		err = readFull(r, e[:], table+jumpEntry*(i-1))
		from, to = int64(binary.BigEndian.Uint64(e[:])), int64(binary.BigEndian.Uint64(e[jumpEntry:]))
	}
	if err != nil {
		return 0, 0, 0, err
	}
	plain = min(b.frame, b.plain-i*b.frame)
	if from < 0 || to > b.table()-skippableHead || from >= to || to-from > plain+maxFrameGrowth {
		return 0, 0, 0, damaged("table of a compressed body, frame %d", i)
	}
	return b.at + from, to - from, plain, nil
}

// codec compresses and decompresses frames. Its encoders and decoders are pooled, work in the caller's goroutine and need
// no end.
type codec struct {
	encoders, decoders sync.Pool
	inputs             sync.Pool // *[]byte, of compressed frames
	cache              frameCache
}

// encode appends the frame of plain to dst.
func (c *codec) encode(dst, plain []byte) ([]byte, error) {
	e, _ := c.encoders.Get().(*zstd.Encoder)
	if e == nil {
		var err error
		e, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(compressLevel), zstd.WithWindowSize(frameSize),
			zstd.WithSingleSegment(true), zstd.WithEncoderCRC(true), zstd.WithLowerEncoderMem(true),
			zstd.WithAllLitEntropyCompression(true)) // base64 has no matches, and only this makes it a quarter shorter
		if err != nil {
			return dst, err
		}
	}
	defer c.encoders.Put(e)
	return e.EncodeAll(plain, dst), nil
}

// decode reads zstd frame i into dst, which has exactly its length.
func (c *codec) decode(r io.ReaderAt, b *stored, i int64, dst []byte) error {
	at, length, plain, err := b.extent(r, i)
	if err != nil {
		return err
	}
	in, _ := c.inputs.Get().(*[]byte)
	if in == nil || int64(cap(*in)) < length {
		in = new(make([]byte, length))
	}
	defer c.inputs.Put(in)
	if err := readFull(r, (*in)[:length], at); err != nil {
		return err
	}
	d, _ := c.decoders.Get().(*zstd.Decoder)
	if d == nil {
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true),
			zstd.WithDecoderMaxMemory(maxFrameSize), zstd.WithDecoderMaxWindow(maxFrameSize))
		if err != nil {
			return err
		}
	}
	defer c.decoders.Put(d)
	// What it says of its own length cannot make it write beyond dst.
	out, err := d.DecodeAll((*in)[:length], dst[:0:plain])
	if err != nil {
		return damaged("frame %d of a compressed body: %v", i, err)
	}
	if int64(len(out)) != plain {
		return damaged("frame %d of a compressed body has %d bytes, not %d", i, len(out), plain)
	}
	return nil
}

// readAt fills p with the body's plain bytes from off. key names the body in the cache.
func (c *codec) readAt(r io.ReaderAt, b *stored, key frameKey, p []byte, off int64) error {
	for len(p) > 0 {
		key.frame = off / b.frame
		begin := key.frame * b.frame
		plain := min(b.frame, b.plain-begin)
		n := min(int64(len(p)), plain-(off-begin))
		switch f := c.cache.get(key); {
		case f != nil:
			copy(p[:n], f[off-begin:])
		case n == plain: // all of it: straight to where it is wanted
			if err := c.decode(r, b, key.frame, p[:n]); err != nil {
				return err
			}
		default:
			f = make([]byte, plain)
			if err := c.decode(r, b, key.frame, f); err != nil {
				return err
			}
			c.cache.put(key, f)
			copy(p[:n], f[off-begin:])
		}
		p, off = p[n:], off+n
	}
	return nil
}

// verify decompresses all of it and checks its sum.
func (c *codec) verify(ctx context.Context, r io.ReaderAt, b *stored) error {
	var sum uint32
	buf := make([]byte, min(b.frame, b.plain))
	for i := range b.frames() {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(b.frame, b.plain-i*b.frame)]
		if err := c.decode(r, b, i, p); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, p)
	}
	if sum != b.sum {
		return damaged("checksum of the decompressed body")
	}
	return nil
}

// frameKey names a decompressed frame. Packs never change and their numbers never come again.
type frameKey struct{ pack, offset, frame int64 }

// cachedFrames is how many decompressed frames are kept, so that reading a message in pieces decompresses it once.
const cachedFrames = 16

// frameCache keeps the frames used last. What it holds is never written to.
type frameCache struct {
	mu   sync.Mutex
	all  map[frameKey]*list.Element
	used list.List // *cachedFrame, most recent first
}

type cachedFrame struct {
	key   frameKey
	plain []byte
}

func (c *frameCache) get(k frameKey) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.all[k]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*cachedFrame).plain
}

func (c *frameCache) put(k frameKey, plain []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[frameKey]*list.Element{}
	}
	if c.all[k] != nil { // two read it at once
		return
	}
	c.all[k] = c.used.PushFront(&cachedFrame{k, plain})
	if c.used.Len() > cachedFrames {
		old := c.used.Remove(c.used.Back()).(*cachedFrame)
		delete(c.all, old.key)
	}
}
