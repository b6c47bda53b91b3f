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
		var b stored
		b, err = locate(h, ref)
		switch {
		case err != nil:
		case b.frame > 0:
			err = s.codec.readAt(h.file, &b, frameKey{pack: ref.Pack, offset: ref.Offset}, p, off)
		default:
			err = readFull(h.file, p, b.at+off)
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
	at, err := locate(h, ref)
	if err != nil {
		return nil, readError(ref, err)
	}
	b, err := readTrailer(h.file, at.at+at.length)
	if err != nil {
		return nil, readError(ref, err)
	}
	return b, nil
}

// Verify reads the whole record and checks every checksum; a compressed body is decompressed.
func (s *Store) Verify(ctx context.Context, ref recipe.BlobRef) error {
	h, err := s.handles.get(ref.Pack)
	if err != nil {
		return readError(ref, err)
	}
	defer s.handles.release(h)
	fr, err := readRefFrame(h, ref)
	if err == nil {
		_, err = fr.verify(ctx, h.file, workspace{&s.codec, make([]byte, max(1, min(64<<10, fr.bodyLen)))})
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

// locate reads the header that ref leads to, checks that it fits and tells where the body is.
func locate(h *handle, ref recipe.BlobRef) (b stored, err error) {
	hd, err := readHeader(h.file, h.mark, ref.Offset)
	if err != nil {
		return b, err
	}
	if err := hd.supported(); err != nil {
		return b, err
	}
	b = stored{at: ref.Offset + headerSize, length: hd.body, plain: hd.body}
	switch {
	case hd.flags&flagStreamed == 0 && hd.flags&flagZstd == 0:
	case hd.flags&flagStreamed == 0:
		b, err = readJump(h.file, b.at, hd.body)
	case hd.flags&flagZstd == 0:
		// A streamed record's length shows in where its trailer begins.
		var t [trailerHeadSize]byte
		if err := readFull(h.file, t[:], b.at+ref.Length); err != nil {
			return b, err
		}
		b.length, b.plain = ref.Length, ref.Length
		_, _, err = parseTrailerHead(t[:])
	default:
		var fr frame
		fr, err = readSizedFrame(h, ref.Offset)
		b = fr.stored
	}
	if err == nil && b.plain != ref.Length {
		err = damaged("its body has %d bytes", b.plain)
	}
	return b, err
}

// readSizedFrame reads the frame of the record at an offset.
func readSizedFrame(h *handle, off int64) (frame, error) {
	size, err := h.file.Size()
	if err != nil {
		return frame{}, err
	}
	return readFrame(h.file, size, h.mark, off)
}

// readRefFrame reads the frame of the record that ref leads to and checks that it fits.
func readRefFrame(h *handle, ref recipe.BlobRef) (fr frame, err error) {
	if _, err := locate(h, ref); err != nil {
		return fr, err
	}
	fr, err = readSizedFrame(h, ref.Offset)
	if err == nil && fr.stored.plain != ref.Length {
		err = damaged("its body has %d bytes", fr.stored.plain)
	}
	return fr, err
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
	bodyLen    int64 // as stored
	trailerLen int64
	stored     stored
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
	fr.stored = stored{at: off + headerSize, length: fr.bodyLen, plain: fr.bodyLen}
	if fr.flags&flagZstd != 0 && fr.supported() == nil {
		fr.stored, err = readJump(r, fr.stored.at, fr.bodyLen)
	}
	return fr, err
}

// plainSum is the checksum of the body.
func (fr *frame) plainSum() uint32 {
	if fr.stored.frame > 0 {
		return fr.stored.sum
	}
	return fr.foot.bodySum
}

// workspace is what checking a record needs.
type workspace struct {
	codec *codec
	buf   []byte
}

// verify reads body and trailer, checks them against the footer and returns the trailer. A compressed body is decompressed.
func (fr *frame) verify(ctx context.Context, r io.ReaderAt, ws workspace) ([]byte, error) {
	var sum uint32
	for at := int64(0); at < fr.bodyLen; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := ws.buf[:min(int64(len(ws.buf)), fr.bodyLen-at)]
		if err := readFull(r, b, fr.off+headerSize+at); err != nil {
			return nil, err
		}
		sum = crc32.Update(sum, castagnoli, b)
		at += int64(len(b))
	}
	if sum != fr.foot.bodySum {
		return nil, damaged("body checksum")
	}
	if fr.stored.frame > 0 {
		if err := ws.codec.verify(ctx, r, &fr.stored); err != nil {
			return nil, err
		}
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
