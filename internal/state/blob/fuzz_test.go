package blob

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/postrider/postrider/internal/vfs"
)

// FuzzScan reads arbitrary bytes as pack 1. With repair the checksums of whatever looks like a header or a footer are made
// right first, so that the fuzzer gets behind them. A scan must account for every byte, report only records that
// Verify agrees with and that encode to the very bytes it read, and never read outside the file.
func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, repair bool) {
		if len(data) > 1<<20 {
			return
		}
		if repair {
			data = repaired(data)
		}
		disk := vfs.NewVolatile()
		file, err := disk.Create("p")
		if err == nil {
			_, err = file.WriteAt(data, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := readMark(file, 1)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		checkScan(t, data, file, m)
	})
}

// repaired returns a copy with right checksums.
func repaired(data []byte) []byte {
	b := bytes.Clone(data)
	fix := func(at, n int) {
		if at >= 0 && at+n <= len(b) {
			binary.BigEndian.PutUint32(b[at+n-4:], crc(b[at:at+n-4]))
		}
	}
	fix(0, packHeaderSize)
	for i := packHeaderSize; i+4 <= len(b); i++ {
		switch string(b[i : i+4]) {
		case recordMagic:
			fix(i, headerSize)
		case footerMagic:
			fix(i, footerSize)
		}
	}
	return b
}

func checkScan(t *testing.T, data []byte, file vfs.File, m mark) {
	type stretch struct{ from, to int64 }
	var covered []stretch
	size := int64(len(data))
	sc := scanner{r: file, pack: 1, size: size, mark: m, codec: new(codec), buf: make([]byte, 512), v: Visitor{
		Record: func(r Record) error {
			covered = append(covered, stretch{r.Ref.Offset, r.End})
			fr, err := readFrame(file, size, m, r.Ref.Offset)
			if err != nil {
				t.Fatalf("reported %+v: %v", r, err)
			}
			if err := fr.supported(); err != nil {
				t.Fatalf("reported %+v: %v", r, err)
			}
			if got := encoded(fr, data[r.Ref.Offset:r.End]); !bytes.Equal(got, data[r.Ref.Offset:r.End]) {
				t.Fatalf("record at %d encodes to other bytes:\n%x\n%x", r.Ref.Offset, got, data[r.Ref.Offset:r.End])
			}
			return nil
		},
		Damage: func(d Damage) error {
			if d.From >= d.To || d.Err == nil {
				t.Fatalf("%+v", d)
			}
			covered = append(covered, stretch{d.From, d.To})
			return nil
		},
	}}
	if err := sc.run(context.Background(), packHeaderSize); err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, max(size, packHeaderSize))
	for _, c := range covered {
		if c.from < packHeaderSize || c.to > size {
			t.Fatalf("%+v of %d", c, size)
		}
		for i := c.from; i < c.to; i++ {
			if seen[i] {
				t.Fatalf("byte %d reported twice: %+v", i, covered)
			}
			seen[i] = true
		}
	}
	for i := int64(packHeaderSize); i < size; i++ {
		unused := i >= sc.tail.End && len(bytes.Trim(data[sc.tail.End:], "\x00")) == 0
		if !seen[i] && !unused && (sc.tail.Torn == 0 || i < sc.tail.Torn) {
			t.Fatalf("byte %d of %d skipped: %+v, tail %+v", i, size, covered, sc.tail)
		}
	}
}

// encoded writes the record anew from what was read; reserved bytes are taken over, and the checksums that depend on them.
func encoded(fr frame, b []byte) []byte {
	out := make([]byte, headerSize)
	fr.put(out)
	copy(out[13:14], b[13:14])
	copy(out[56:60], b[56:60])
	binary.BigEndian.PutUint32(out[60:], crc(out[:60]))
	trailer := b[headerSize+fr.bodyLen+trailerHeadSize:][:fr.trailerLen]
	body := b[headerSize:][:fr.bodyLen]
	out = append(out, body...)
	out = append(out, make([]byte, trailerHeadSize)...)
	putTrailerHead(out[len(out)-trailerHeadSize:], len(trailer), crc(trailer))
	out = append(out, trailer...)
	foot := footer{header: fr.sum, body: fr.bodyLen, trailer: fr.trailerLen, bodySum: crc(body), trSum: crc(trailer)}
	out = append(out, make([]byte, footerSize)...)
	foot.put(out[len(out)-footerSize:])
	return out
}
