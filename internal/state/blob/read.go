package blob

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/postrider/postrider/internal/mail/recipe"
)

var _ recipe.Source = (*Store)(nil)

// ReadBodyAt implements recipe.Source: it fills p with the body's bytes from off. It checks that the reference meets the
// header of a record of that length which this version can read, not the body's checksum; Verify does that.
func (s *Store) ReadBodyAt(ref recipe.BlobRef, p []byte, off int64) error {
	if off < 0 || ref.Length < 0 || off > ref.Length-int64(len(p)) {
		return fmt.Errorf("blob: read %d+%d of a body of %d: %w", off, len(p), ref.Length, recipe.ErrInvalid)
	}
	h, err := s.handles.get(ref.Pack)
	if err == nil {
		defer s.handles.release(h)
		if _, err = readRefHeader(h, ref); err == nil {
			err = readFull(h.file, p, ref.Offset+headerSize+off)
		}
	}
	if err != nil {
		return readError(ref, err)
	}
	return nil
}

// Trailer returns the record's trailer, checked.
func (s *Store) Trailer(ctx context.Context, ref recipe.BlobRef) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := s.handles.get(ref.Pack)
	if err != nil {
		return nil, readError(ref, err)
	}
	defer s.handles.release(h)
	if _, err = readRefHeader(h, ref); err != nil {
		return nil, readError(ref, err)
	}
	b, err := readTrailer(h.file, ref.Offset+headerSize+ref.Length)
	if err != nil {
		return nil, readError(ref, err)
	}
	return b, nil
}

// Verify reads the whole record and checks every checksum.
func (s *Store) Verify(ctx context.Context, ref recipe.BlobRef) error {
	h, err := s.handles.get(ref.Pack)
	if err != nil {
		return readError(ref, err)
	}
	defer s.handles.release(h)
	if _, err := readRefHeader(h, ref); err != nil {
		return readError(ref, err)
	}
	size, err := h.file.Size()
	if err != nil {
		return readError(ref, err)
	}
	fr, err := readFrame(h.file, size, h.mark, ref.Offset)
	if err == nil && fr.bodyLen != ref.Length {
		err = damaged("its body has %d bytes", fr.bodyLen)
	}
	if err == nil {
		_, err = fr.verify(ctx, h.file, make([]byte, max(1, min(64<<10, ref.Length))))
	}
	if err != nil {
		return readError(ref, err)
	}
	return nil
}

func readError(ref recipe.BlobRef, err error) error {
	return fmt.Errorf("blob: pack %d, record at %d, %d bytes: %w", ref.Pack, ref.Offset, ref.Length, err)
}

// readFull fills p; the end of the file is damage.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if isEOF(err) {
		return damaged("the pack ends at %d", off+int64(n))
	}
	return err
}

func isEOF(err error) bool { return err == nil || errors.Is(err, io.EOF) }

// readHeader reads the record header at off.
func readHeader(r io.ReaderAt, m mark, off int64) (header, error) {
	if off < packHeaderSize {
		return header{}, damaged("no record begins at %d", off)
	}
	var b [headerSize]byte
	if err := readFull(r, b[:], off); err != nil {
		return header{}, err
	}
	return parseHeader(b[:], m)
}

// readRefHeader reads the header that ref leads to and checks that it fits.
func readRefHeader(h *handle, ref recipe.BlobRef) (header, error) {
	hd, err := readHeader(h.file, h.mark, ref.Offset)
	if err != nil {
		return hd, err
	}
	if err := hd.supported(); err != nil {
		return hd, err
	}
	if hd.flags&flagStreamed == 0 {
		if hd.body != ref.Length {
			err = damaged("its body has %d bytes", hd.body)
		}
		return hd, err
	}
	// A streamed record's length shows in where its trailer begins.
	var b [trailerHeadSize]byte
	if err := readFull(h.file, b[:], ref.Offset+headerSize+ref.Length); err != nil {
		return hd, err
	}
	_, _, err = parseTrailerHead(b[:])
	return hd, err
}

// readTrailer reads the trailer whose head is at off.
func readTrailer(r io.ReaderAt, off int64) ([]byte, error) {
	var head [trailerHeadSize]byte
	if err := readFull(r, head[:], off); err != nil {
		return nil, err
	}
	n, sum, err := parseTrailerHead(head[:])
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if err := readFull(r, b, off+trailerHeadSize); err != nil {
		return nil, err
	}
	if crc(b) != sum {
		return nil, damaged("trailer checksum")
	}
	return b, nil
}

// frame is a record with the places of its parts.
type frame struct {
	header
	off        int64
	bodyLen    int64
	trailerLen int64
	foot       footer
	end        int64
}

// readFrame reads the header at off and the footer that belongs to it, and checks that they agree. size is the file's.
// With a sound header the header is returned also when the rest fails.
func readFrame(r io.ReaderAt, size int64, m mark, off int64) (fr frame, err error) {
	if fr.header, err = readHeader(r, m, off); err != nil {
		return fr, err
	}
	fr.off, fr.bodyLen, fr.trailerLen = off, fr.body, fr.trailer
	fr.end = off + overhead + fr.bodyLen + fr.trailerLen
	if fr.flags&flagStreamed != 0 {
		fr.end = size // the only record of its pack
	}
	if fr.end > size || fr.end-footerSize < off+headerSize+trailerHeadSize {
		return fr, damaged("cut short")
	}
	var b [footerSize]byte
	if err := readFull(r, b[:], fr.end-footerSize); err != nil {
		return fr, err
	}
	if fr.foot, err = parseFooter(b[:]); err != nil {
		return fr, err
	}
	if fr.flags&flagStreamed != 0 {
		fr.bodyLen, fr.trailerLen = fr.foot.body, fr.foot.trailer
	}
	if fr.foot.header != fr.sum || fr.foot.body != fr.bodyLen || fr.foot.trailer != fr.trailerLen ||
		off+overhead+fr.bodyLen+fr.trailerLen != fr.end {
		return fr, damaged("the footer belongs to another record")
	}
	return fr, nil
}

// verify reads body and trailer, checks them against the footer and returns the trailer. buf is working space.
func (fr *frame) verify(ctx context.Context, r io.ReaderAt, buf []byte) ([]byte, error) {
	var sum uint32
	for at := int64(0); at < fr.bodyLen; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := buf[:min(int64(len(buf)), fr.bodyLen-at)]
		if err := readFull(r, b, fr.off+headerSize+at); err != nil {
			return nil, err
		}
		sum = crc32.Update(sum, castagnoli, b)
		at += int64(len(b))
	}
	if sum != fr.foot.bodySum {
		return nil, damaged("body checksum")
	}
	t, err := readTrailer(r, fr.off+headerSize+fr.bodyLen)
	if err != nil {
		return nil, err
	}
	if int64(len(t)) != fr.trailerLen || crc(t) != fr.foot.trSum {
		return nil, damaged("the trailer belongs to another record")
	}
	return t, nil
}
