package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
)

// The bytes of packs; docs/format.md is their specification. Integers are big-endian.
const (
	packHeaderSize  = 64
	headerSize      = 64
	trailerHeadSize = 12
	footerSize      = 32
	overhead        = headerSize + trailerHeadSize + footerSize

	formatVersion = 1

	packMagic    = "POSTPACK"
	recordMagic  = "PRec"
	trailerMagic = "PTrl"
	footerMagic  = "PEnd"

	// MaxBody and MaxTrailer are the most a record takes, in bytes; a longer length on disk is damage.
	MaxBody    = int64(1) << 40
	MaxTrailer = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Errors of reading.
var (
	// ErrDamaged: bytes that do not pass their checksums, or a reference that does not fit what is on disk.
	ErrDamaged = errors.New("damaged record")
	// ErrUnsupported: a sound record or pack, written by a later version or with a feature this one lacks.
	ErrUnsupported = errors.New("written by a later version of Postrider")
	// ErrStranger: a file stands where a new pack would; it is never written over.
	ErrStranger = errors.New("a pack that should be new exists")
	// ErrMissing: the pack has no file.
	ErrMissing = errors.New("pack is missing")
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// Flags of a record.
type Flags uint16

const (
	flagStreamed  Flags = 1 << iota // the header has no lengths; the footer ends the file
	flagZstd                        // the body is compressed (zstd.go)
	flagEncrypted                   // reserved: the body is encrypted under the key id

	flagsKnown = flagStreamed | flagZstd
)

func (f Flags) String() string {
	var names []string
	for i := range 16 {
		bit := Flags(1) << i
		switch {
		case f&bit == 0:
		case bit == flagStreamed:
			names = append(names, "streamed")
		case bit == flagZstd:
			names = append(names, "zstd")
		case bit == flagEncrypted:
			names = append(names, "encrypted")
		default:
			names = append(names, fmt.Sprintf("bit %d", i))
		}
	}
	return strings.Join(names, ", ")
}

// mark is a random number of each pack, in its header and in each record's. Nobody who sends mail knows it, so a body that
// holds a forged record is never taken for one when a scan looks for the next header behind damage.
type mark [8]byte

// packFlagCopies: the pack holds copies that Compact made; it is no journal.
const packFlagCopies = 1

// packHeader stands at offset 0 of a pack.
type packHeader struct {
	version uint8
	kind    Kind
	node    uint32
	number  int64
	created time.Time // microseconds
	epoch   int64
	mark    mark
	owner   Installation // zero in packs of before it was written
}

// Installation is the beginning of the installation's UUID, 12 bytes. A check tells by it whose packs these are.
type Installation [12]byte

func (h *packHeader) append(b []byte) []byte {
	n := len(b)
	b = append(b, packMagic...)
	b = append(b, h.version, 0) // and reserved
	var flags uint16
	if h.kind == KindCopies {
		flags = packFlagCopies
	}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, h.node)
	b = binary.BigEndian.AppendUint64(b, uint64(h.number))
	b = binary.BigEndian.AppendUint64(b, uint64(h.created.UnixMicro()))
	b = append(b, h.mark[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.epoch))
	b = append(b, h.owner[:]...)
	return binary.BigEndian.AppendUint32(b, crc(b[n:]))
}

func parsePackHeader(b []byte) (h packHeader, err error) {
	if len(b) < packHeaderSize || string(b[:8]) != packMagic || crc(b[:60]) != binary.BigEndian.Uint32(b[60:]) {
		return h, damaged("pack header")
	}
	h = packHeader{
		version: b[8],
		node:    binary.BigEndian.Uint32(b[12:]),
		number:  int64(binary.BigEndian.Uint64(b[16:])),
		created: time.UnixMicro(int64(binary.BigEndian.Uint64(b[24:]))),
		mark:    mark(b[32:40]),
		epoch:   int64(binary.BigEndian.Uint64(b[40:])),
		owner:   Installation(b[48:60]),
	}
	if h.version != formatVersion {
		return h, fmt.Errorf("%w: pack format version %d", ErrUnsupported, h.version)
	}
	f := binary.BigEndian.Uint16(b[10:])
	if f&^packFlagCopies != 0 {
		return h, fmt.Errorf("%w: pack flags %#x", ErrUnsupported, f)
	}
	if f&packFlagCopies != 0 {
		h.kind = KindCopies
	}
	return h, nil
}

// header begins a record.
type header struct {
	mark    mark
	version uint8
	flags   Flags
	id      queueid.ID
	body    int64 // bytes; 0 when streamed
	durable int64 // everything in the pack before this offset was durable when the record was written
	trailer int64 // bytes; 0 when streamed
	key     uint32
	sum     uint32 // as read
}

// put writes the header into b[:headerSize] and returns its checksum.
func (h *header) put(b []byte) uint32 {
	copy(b, recordMagic)
	copy(b[4:], h.mark[:])
	b[12], b[13] = h.version, 0
	binary.BigEndian.PutUint16(b[14:], uint16(h.flags))
	copy(b[16:], h.id[:])
	binary.BigEndian.PutUint64(b[32:], uint64(h.body))
	binary.BigEndian.PutUint64(b[40:], uint64(h.durable))
	binary.BigEndian.PutUint32(b[48:], uint32(h.trailer))
	binary.BigEndian.PutUint32(b[52:], h.key)
	binary.BigEndian.PutUint32(b[56:], 0)
	sum := crc(b[:60])
	binary.BigEndian.PutUint32(b[60:], sum)
	return sum
}

// parseHeader reads a record header of the pack with this mark. A header of a later version is returned too: its lengths
// keep their places.
func parseHeader(b []byte, m mark) (h header, err error) {
	if len(b) < headerSize || string(b[:4]) != recordMagic || mark(b[4:12]) != m {
		return h, damaged("no record header")
	}
	h = header{
		mark:    m,
		version: b[12],
		flags:   Flags(binary.BigEndian.Uint16(b[14:])),
		id:      queueid.ID(b[16:32]),
		body:    int64(binary.BigEndian.Uint64(b[32:])),
		durable: int64(binary.BigEndian.Uint64(b[40:])),
		trailer: int64(binary.BigEndian.Uint32(b[48:])),
		key:     binary.BigEndian.Uint32(b[52:]),
		sum:     binary.BigEndian.Uint32(b[60:]),
	}
	if crc(b[:60]) != h.sum {
		return h, damaged("record header checksum")
	}
	if h.body < 0 || h.body > MaxBody || h.trailer > MaxTrailer {
		return h, damaged("record lengths %d, %d", h.body, h.trailer)
	}
	if h.flags&flagStreamed != 0 && (h.body != 0 || h.trailer != 0) {
		return h, damaged("streamed record with lengths")
	}
	return h, nil
}

// supported refuses what this version cannot read.
func (h *header) supported() error {
	if h.version != formatVersion {
		return fmt.Errorf("%w: record format version %d", ErrUnsupported, h.version)
	}
	if unknown := h.flags &^ flagsKnown; unknown != 0 {
		return fmt.Errorf("%w: record flags %v", ErrUnsupported, unknown)
	}
	if h.key != 0 {
		return fmt.Errorf("%w: key id %d", ErrUnsupported, h.key)
	}
	return nil
}

// putTrailerHead writes what stands before the trailer into b[:trailerHeadSize].
func putTrailerHead(b []byte, length int, sum uint32) {
	copy(b, trailerMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(length))
	binary.BigEndian.PutUint32(b[8:], sum)
}

func parseTrailerHead(b []byte) (length int64, sum uint32, err error) {
	if len(b) < trailerHeadSize || string(b[:4]) != trailerMagic {
		return 0, 0, damaged("no trailer where the body ends")
	}
	length = int64(binary.BigEndian.Uint32(b[4:]))
	if length > MaxTrailer {
		return 0, 0, damaged("trailer of %d bytes", length)
	}
	return length, binary.BigEndian.Uint32(b[8:]), nil
}

// footer ends a record. Its own checksum covers those of header, body and trailer, and so the whole record.
type footer struct {
	header  uint32 // checksums
	body    int64
	trailer int64
	bodySum uint32
	trSum   uint32
}

func (f *footer) put(b []byte) {
	copy(b, footerMagic)
	binary.BigEndian.PutUint32(b[4:], f.header)
	binary.BigEndian.PutUint64(b[8:], uint64(f.body))
	binary.BigEndian.PutUint32(b[16:], uint32(f.trailer))
	binary.BigEndian.PutUint32(b[20:], f.bodySum)
	binary.BigEndian.PutUint32(b[24:], f.trSum)
	binary.BigEndian.PutUint32(b[28:], crc(b[:28]))
}

func parseFooter(b []byte) (f footer, err error) {
	if len(b) < footerSize || string(b[:4]) != footerMagic || crc(b[:28]) != binary.BigEndian.Uint32(b[28:]) {
		return f, damaged("footer")
	}
	f = footer{
		header:  binary.BigEndian.Uint32(b[4:]),
		body:    int64(binary.BigEndian.Uint64(b[8:])),
		trailer: int64(binary.BigEndian.Uint32(b[16:])),
		bodySum: binary.BigEndian.Uint32(b[20:]),
		trSum:   binary.BigEndian.Uint32(b[24:]),
	}
	if f.body < 0 || f.body > MaxBody || f.trailer > MaxTrailer {
		return f, damaged("footer lengths %d, %d", f.body, f.trailer)
	}
	return f, nil
}
