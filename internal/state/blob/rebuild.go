package blob

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// Head is what a pack tells of itself.
type Head struct {
	Row                // sealed, with nothing to replay
	Owner Installation // zero: not known
}

// Head reads the header of a pack. Where it is damaged, and the records can be found all the same, it has the size alone.
func (r *Reader) Head(pack int64) (h Head, err error) {
	file, err := r.s.opt.FS.Open(r.s.path(pack))
	if errors.Is(err, fs.ErrNotExist) {
		return h, ErrMissing
	}
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var b [packHeaderSize]byte
	if n, err := file.ReadAt(b[:], 0); n < len(b) && !isEOF(err) {
		return h, err
	}
	if _, err := readMark(file, pack); err != nil {
		return h, err
	}
	size, err := file.Size()
	h.Row = Row{Pack: pack, State: PackSealed, Created: time.UnixMicro(0), Size: size, Settled: size}
	if p, perr := parsePackHeader(b[:]); err == nil && perr == nil {
		h.Node, h.Epoch, h.Created, h.Kind, h.Owner = p.node, p.epoch, p.created, p.kind, p.owner
	}
	return h, err
}

// Restore is the rebuild's: the catalog has the pack, complete and with nothing to replay.
func (c *DBCatalog) Restore(ctx context.Context, h Head) error { return c.adopt(ctx, h.Row) }

// All calls fn for every pack of the catalog, by number.
func (c *DBCatalog) All(ctx context.Context, fn func(Row) error) error { return c.each(ctx, fn) }
