package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A block in a segment is two frames of Zstandard: a skippable one (RFC 8878 §3.1.2) with its head, and one with its lines. All
// numbers are little-endian.
//
//	0x184D2A5D  4 bytes, a skippable frame's magic number
//	length      4 bytes, of what follows in this frame
//	"PRT1"      4 bytes
//	run         8 bytes, Options.Run
//	first       8 bytes, microseconds since 1970 of the earliest line
//	last        8 bytes, of the latest
//	lines       4 bytes, how many
//	size        4 bytes, of the lines
//	packed      4 bytes, of the frame that follows
//	filter      the bits of the bloom filter
//	sum         4 bytes, CRC-32C of everything from "PRT1" to the filter
const (
	skippable = 0x184D2A5D
	mark      = "PRT1"
	headFixed = 4 + 8 + 8 + 8 + 4 + 4 + 4
	headMax   = headFixed + maxBloom + 4
	maxPlain  = largest + 2*maxLine // no writer makes a larger block
	maxPacked = maxPlain + maxPlain/8
)

// draft is a block that is being filled.
type draft struct {
	text        []byte
	keys        []uint64 // hashes, some of them more than once
	count       int
	first, last time.Time
}

func (d *draft) add(l *line) {
	if d.count == 0 {
		d.first, d.last = l.at, l.at
	}
	d.text = append(d.text, l.text...)
	d.keys = append(d.keys, l.keys...)
	d.count++
	if l.at.Before(d.first) { // the clock may be set back
		d.first = l.at
	}
	if l.at.After(d.last) {
		d.last = l.at
	}
}

// reset makes a draft that was written one to be filled.
func (d *draft) reset() { *d = draft{text: d.text[:0], keys: d.keys[:0]} }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pack appends the block to into.
func (d *draft) pack(into []byte, z *zstd.Encoder, run uint64) []byte {
	slices.Sort(d.keys)
	filter := newBloom(slices.Compact(d.keys))
	start := len(into)
	into = binary.LittleEndian.AppendUint32(into, skippable)
	into = binary.LittleEndian.AppendUint32(into, uint32(headFixed+len(filter)+4))
	into = append(into, mark...)
	into = binary.LittleEndian.AppendUint64(into, run)
	into = binary.LittleEndian.AppendUint64(into, uint64(d.first.UnixMicro()))
	into = binary.LittleEndian.AppendUint64(into, uint64(d.last.UnixMicro()))
	into = binary.LittleEndian.AppendUint32(into, uint32(d.count))
	into = binary.LittleEndian.AppendUint32(into, uint32(len(d.text)))
	into = binary.LittleEndian.AppendUint32(into, 0) // packed
	into = append(into, filter...)
	sum := len(into)
	into = binary.LittleEndian.AppendUint32(into, 0)
	frame := len(into)
	into = z.EncodeAll(d.text, into)
	binary.LittleEndian.PutUint32(into[start+8+headFixed-4:], uint32(len(into)-frame))
	binary.LittleEndian.PutUint32(into[sum:], crc32.Checksum(into[start+8:sum], castagnoli))
	return into
}

// head is what is known of a block without its lines.
type head struct {
	run         uint64
	first, last time.Time
	lines       int
	size        int
	packed      int
	filter      bloom
}

var (
	errNoHead = errors.New("no head of a block")
	errDamage = errors.New("damaged block")
)

// parseHead reads what stands in the skippable frame of a block.
func parseHead(p []byte) (h head, err error) {
	if len(p) < headFixed+4 || len(p) > headMax || string(p[:4]) != mark {
		return h, errNoHead
	}
	sum := len(p) - 4
	if crc32.Checksum(p[:sum], castagnoli) != binary.LittleEndian.Uint32(p[sum:]) {
		return h, errDamage
	}
	h.run = binary.LittleEndian.Uint64(p[4:])
	h.first = time.UnixMicro(int64(binary.LittleEndian.Uint64(p[12:])))
	h.last = time.UnixMicro(int64(binary.LittleEndian.Uint64(p[20:])))
	lines, size, packed := binary.LittleEndian.Uint32(p[28:]), binary.LittleEndian.Uint32(p[32:]), binary.LittleEndian.Uint32(p[36:])
	if size > maxPlain || packed > maxPacked || lines > size {
		return h, errDamage
	}
	h.lines, h.size, h.packed = int(lines), int(size), int(packed)
	h.filter = bloom(p[headFixed:sum])
	return h, nil
}

// unpack returns the lines of a block.
func (h *head) unpack(z *zstd.Decoder, frame []byte) ([]byte, error) {
	text, err := z.DecodeAll(frame, make([]byte, 0, h.size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamage, err)
	}
	if len(text) != h.size {
		return nil, errDamage
	}
	return text, nil
}

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(blockSize), zstd.WithEncoderCRC(true))
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPlain))
}
