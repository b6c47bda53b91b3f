package blob

import (
	"context"

	"github.com/postrider/postrider/internal/mail/recipe"
)

// trailerGuess is how many bytes of a trailer are read along with the body: most trailers are shorter.
const trailerGuess = 2 << 10

// Record reads a record with its trailer and checks every sum, as Verify, Trailer and ReadBodyAt do together, in one read
// from the disk where the record is in its plain form. It is for small records: all of it is in memory. body and trailer
// lie in *buf, which is replaced by a larger one where it must be, or in memory of their own.
func (s *Store) Record(ctx context.Context, ref recipe.BlobRef, buf *[]byte) (body, trailer []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	body, trailer, plain, err := s.plainRecord(ref, buf)
	if err != nil {
		return nil, nil, readError(ref, err)
	}
	if plain {
		return body, trailer, nil
	}
	if err := s.Verify(ctx, ref); err != nil {
		return nil, nil, err
	}
	body = room(buf, int(ref.Length))
	if err := s.ReadBodyAt(ref, body, 0); err != nil {
		return nil, nil, err
	}
	trailer, err = s.Trailer(ctx, ref)
	return body, trailer, err
}

// plainRecord reads a record whose header has its lengths and whose body stands as it is; plain is false for others.
func (s *Store) plainRecord(ref recipe.BlobRef, buf *[]byte) (body, trailer []byte, plain bool, err error) {
	if ref.Length < 0 || ref.Length > MaxBody || ref.Offset < packHeaderSize {
		return nil, nil, false, damaged("no record begins at %d", ref.Offset)
	}
	h, err := s.handles.get(ref.Pack)
	if err != nil {
		return nil, nil, false, err
	}
	defer s.handles.release(h)
	b := room(buf, overhead+int(ref.Length)+trailerGuess)
	n, err := h.file.ReadAt(b, ref.Offset)
	if n < len(b) && !isEOF(err) {
		return nil, nil, false, err
	}
	hd, err := parseHeader(b[:n], h.mark)
	if err != nil {
		return nil, nil, false, err
	}
	if err := hd.supported(); err != nil || hd.flags != 0 {
		return nil, nil, false, err
	}
	if hd.body != ref.Length {
		return nil, nil, false, damaged("its body has %d bytes", hd.body)
	}
	if whole := overhead + int(hd.body+hd.trailer); whole > n {
		b = room(buf, whole)
		if err := readFull(h.file, b[n:], ref.Offset+int64(n)); err != nil {
			return nil, nil, false, err
		}
	} else {
		b = b[:whole]
	}
	body, trailer, err = hd.split(b)
	return body, trailer, err == nil, err
}

// split finds the parts of a whole record in memory and checks their sums.
func (h *header) split(b []byte) (body, trailer []byte, err error) {
	body, rest := b[headerSize:headerSize+h.body], b[headerSize+h.body:]
	n, sum, err := parseTrailerHead(rest)
	if err != nil {
		return nil, nil, err
	}
	foot, err := parseFooter(rest[len(rest)-footerSize:])
	if err != nil {
		return nil, nil, err
	}
	trailer = rest[trailerHeadSize : len(rest)-footerSize]
	switch {
	case foot.header != h.sum || foot.body != h.body || foot.trailer != h.trailer:
		return nil, nil, damaged("the footer belongs to another record")
	case crc(body) != foot.bodySum:
		return nil, nil, damaged("body checksum")
	case n != h.trailer || sum != foot.trSum || crc(trailer) != sum:
		return nil, nil, damaged("the trailer belongs to another record")
	}
	return body, trailer, nil
}

// room returns n bytes of *buf, in a larger one that begins with the same bytes where it is too small.
func room(buf *[]byte, n int) []byte {
	if cap(*buf) < n {
		larger := make([]byte, n)
		copy(larger, (*buf)[:cap(*buf)])
		*buf = larger
	}
	return (*buf)[:n]
}
