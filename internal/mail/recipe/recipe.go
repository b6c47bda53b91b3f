// Package recipe describes the bytes of a message without holding them: a list of segments, each either literal bytes or
// a range of a stored body. The user's bytes are written once and never rewritten; adding a header field is a literal,
// removing one is two ranges, a replaced body is a second blob.
//
// The package does no I/O; Reader reads through a Source that the caller supplies.
package recipe

import (
	"errors"
	"fmt"
	"io"
)

// MaxLiteral is the limit of all literal bytes of one recipe together.
const MaxLiteral = 64 << 10

// BlobRef is the place of one record in the packs: where its header begins and how long its body is.
type BlobRef struct {
	Pack   int64 // pack number, ≥ 1; 0: no blob
	Offset int64 // of the record's header in the pack file, bytes
	Length int64 // of the record's body, bytes
}

// IsZero tells whether the reference is none.
func (r BlobRef) IsZero() bool { return r.Pack == 0 }

// Segment is Literal when that is not nil, else Length bytes of the body of Blob, from Offset.
type Segment struct {
	Literal []byte
	Blob    BlobRef
	Offset  int64 // within the body, bytes
	Length  int64 // bytes; equals len(Literal) for a literal
}

// Recipe is the message: its segments in order.
type Recipe []Segment

// Whole is the recipe of a stored body as it is.
func Whole(ref BlobRef) Recipe { return Recipe{{Blob: ref, Length: ref.Length}} }

// Literal makes a literal segment.
func Literal(b []byte) Segment { return Segment{Literal: b, Length: int64(len(b))} }

// Prepend returns the recipe with literal bytes in front, e.g. a trace header field with its CRLF.
func (r Recipe) Prepend(b []byte) Recipe {
	if len(b) == 0 {
		return r
	}
	out := make(Recipe, 0, len(r)+1)
	return append(append(out, Literal(b)), r...)
}

// Size is the length of the message in bytes.
func (r Recipe) Size() int64 {
	var n int64
	for _, s := range r {
		n += s.Length
	}
	return n
}

// ErrInvalid is returned by Check and by everything that reads a recipe that does not pass it.
var ErrInvalid = errors.New("invalid recipe")

// Check verifies the bounds: literal lengths, ranges inside their bodies, MaxLiteral.
func (r Recipe) Check() error {
	literal := 0
	for i, s := range r {
		switch {
		case s.Literal != nil && s.Length != int64(len(s.Literal)):
			return fmt.Errorf("%w: segment %d: literal of %d bytes says %d", ErrInvalid, i, len(s.Literal), s.Length)
		case s.Literal != nil:
			literal += len(s.Literal)
		case s.Blob.IsZero() || s.Offset < 0 || s.Length < 0 || s.Offset > s.Blob.Length-s.Length:
			return fmt.Errorf("%w: segment %d: range %d+%d of a body of %d", ErrInvalid, i, s.Offset, s.Length, s.Blob.Length)
		}
	}
	if literal > MaxLiteral {
		return fmt.Errorf("%w: %d literal bytes, limit %d", ErrInvalid, literal, MaxLiteral)
	}
	return nil
}

// Slice returns the recipe of the bytes [off, off+n), cut to the message's end.
func (r Recipe) Slice(off, n int64) Recipe {
	var out Recipe
	for _, s := range r {
		if n <= 0 {
			break
		}
		if off >= s.Length {
			off -= s.Length
			continue
		}
		take := min(s.Length-off, n)
		if s.Literal != nil {
			out = append(out, Literal(s.Literal[off:off+take]))
		} else {
			out = append(out, Segment{Blob: s.Blob, Offset: s.Offset + off, Length: take})
		}
		n, off = n-take, 0
	}
	return out
}

// Source reads bodies. ReadBodyAt reads len(p) bytes of the body of ref from offset off, or returns an error; short reads
// are errors.
type Source interface {
	ReadBodyAt(ref BlobRef, p []byte, off int64) error
}

// Reader reads the message in order. It also implements io.WriterTo, with a buffer of its own, and io.ReaderAt.
type Reader struct {
	src    Source
	recipe Recipe
	size   int64
	pos    int64
}

// NewReader reads r through src.
func NewReader(src Source, r Recipe) *Reader { return &Reader{src: src, recipe: r, size: r.Size()} }

// Size is the message's length in bytes.
func (r *Reader) Size() int64 { return r.size }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.pos)
	r.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt over the recipe's result.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: negative offset", ErrInvalid)
	}
	done := 0
	for _, s := range r.recipe {
		if done == len(p) {
			return done, nil
		}
		if off >= s.Length {
			off -= s.Length
			continue
		}
		n := int(min(s.Length-off, int64(len(p)-done)))
		if s.Literal != nil {
			copy(p[done:done+n], s.Literal[off:])
		} else if err := r.src.ReadBodyAt(s.Blob, p[done:done+n], s.Offset+off); err != nil {
			return done, err
		}
		done, off = done+n, 0
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// WriteTo implements io.WriterTo: the rest of the message in pieces of at most 64 KiB.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, min(64<<10, max(r.size-r.pos, 1)))
	var total int64
	for {
		n, err := r.Read(buf)
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
