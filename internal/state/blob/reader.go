package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/vfs"
)

// Reader reads packs and knows nothing else: no catalog, no journal. A check uses it, beside a running Store or without.
type Reader struct{ s *Store }

var _ recipe.Source = (*Reader)(nil)

const readerHandles = 16

// NewReader reads the packs in dir.
func NewReader(fsys vfs.FS, dir string) *Reader {
	s := &Store{opt: Options{FS: fsys, Dir: dir}}
	s.opt.setDefaults()
	s.handles = newHandles(s.openHandle, readerHandles)
	return &Reader{s}
}

// Close closes the files.
func (r *Reader) Close() error { return r.s.handles.close() }

// ReadBodyAt is Store.ReadBodyAt.
func (r *Reader) ReadBodyAt(ref recipe.BlobRef, p []byte, off int64) error {
	return r.s.ReadBodyAt(ref, p, off)
}

// Trailer is Store.Trailer.
func (r *Reader) Trailer(ctx context.Context, ref recipe.BlobRef) ([]byte, error) {
	return r.s.Trailer(ctx, ref)
}

// Verify is Store.Verify.
func (r *Reader) Verify(ctx context.Context, ref recipe.BlobRef) error { return r.s.Verify(ctx, ref) }

// Scan is Store.Scan.
func (r *Reader) Scan(ctx context.Context, pack, from int64, v Visitor) (Tail, error) {
	return r.s.Scan(ctx, pack, from, v)
}

// Peek checks that header, trailer and footer of the record of ref are sound and belong together: all but the body, which
// it does not read. It returns the record's queue id.
func (r *Reader) Peek(ctx context.Context, ref recipe.BlobRef) (queueid.ID, error) {
	h, err := r.s.handles.get(ref.Pack)
	if err != nil {
		return queueid.ID{}, readError(ref, err)
	}
	defer r.s.handles.release(h)
	id, err := peek(ctx, h, ref)
	if err != nil {
		return id, readError(ref, err)
	}
	return id, nil
}

func peek(ctx context.Context, h *handle, ref recipe.BlobRef) (id queueid.ID, err error) {
	if err := ctx.Err(); err != nil {
		return id, err
	}
	hd, err := readHeader(h.file, h.mark, ref.Offset)
	if err != nil {
		return id, err
	}
	if err := hd.supported(); err != nil {
		return hd.id, err
	}
	fr, err := readSizedFrame(h, ref.Offset)
	if err == nil && fr.stored.plain != ref.Length {
		err = damaged("its body has %d bytes", fr.stored.plain)
	}
	if err != nil {
		return hd.id, err
	}
	t, err := readTrailer(h.file, fr.stored.at+fr.bodyLen)
	if err == nil && (int64(len(t)) != fr.trailerLen || crc(t) != fr.foot.trSum) {
		err = damaged("the trailer belongs to another record")
	}
	return hd.id, err
}

// Size is the length of a pack's file in bytes.
func (r *Reader) Size(pack int64) (int64, error) { return r.s.opt.FS.Size(r.s.path(pack)) }

// Packs lists the packs that have a file, by number.
func (r *Reader) Packs() (list []int64, err error) {
	names, err := r.s.opt.FS.ReadDir(r.s.opt.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, name := range names {
		if n, ok := packNumber(name); ok {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, err
}

// packNumber reads the name of a pack's file.
func packNumber(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, ".pack")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ok && err == nil && n > 0 && name == fmt.Sprintf("%010d.pack", n)
}
