package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/postrider/postrider/internal/state/fault"
)

// PackCheck compares the pack folder with the catalog and looks at the packs' headers and lengths; it reads no records.
type PackCheck struct {
	fault.Check
	Reader       *Reader
	Catalog      *DBCatalog
	Installation Installation
	// Busy tells of packs that a running Store has in hand: the repair leaves them alone. nil: there are none.
	Busy func(pack int64) bool
	// Aside is the folder that files go to which nothing knows; it is made when needed.
	Aside string
	// Adopt prepares the ledgers for the replay of a pack that the catalog will know again.
	Adopt func(ctx context.Context, pack int64) error
}

// Run reports what is wrong and calls sound for every pack that has a file which can be read.
func (c *PackCheck) Run(ctx context.Context, sound func(Row)) error {
	// Names before rows: a new pack has its row before its file.
	names, err := c.Reader.s.opt.FS.ReadDir(c.Reader.s.opt.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files := map[int64]bool{}
	for _, name := range names {
		if n, ok := packNumber(name); ok {
			files[n] = true
		} else if err := c.unknownFile(name, fault.FileUnknown, "is not a pack"); err != nil {
			return err
		}
	}
	known := map[int64]bool{}
	err = c.Catalog.each(ctx, func(r Row) error {
		known[r.Pack] = true
		if !files[r.Pack] {
			return c.absent(ctx, r)
		}
		return c.present(ctx, r, sound)
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if n, ok := packNumber(name); ok && !known[n] {
			if err := c.unknownPack(ctx, Row{Pack: n}, sound); err != nil {
				return err
			}
		}
	}
	return nil
}

// absent judges a row without a file.
func (c *PackCheck) absent(ctx context.Context, r Row) error {
	switch r.State {
	case PackDeleted, PackGone:
		return nil
	case PackOpen: // its file may never have been made, or is being made
		used, err := c.Catalog.Referred(ctx, r.Pack)
		if err != nil || !used && r.Settled <= packHeaderSize {
			return err
		}
	}
	if now, err := c.Catalog.Get(ctx, r.Pack); err != nil || now.State >= PackDeleted {
		return err // it was deleted since
	}
	if _, err := c.Reader.s.opt.FS.Size(c.Reader.s.path(r.Pack)); err == nil {
		return nil // it was made since
	}
	f := fault.Fault{Kind: fault.PackMissing, Pack: r.Pack,
		Text: fmt.Sprintf("pack %d (%v, %d bytes) has no file %s", r.Pack, r.State, r.Size, c.Reader.s.path(r.Pack))}
	if c.mendable(r.Pack) {
		// What was settled in it stays so: if the file comes back, nothing of that is delivered again.
		if err := c.Catalog.force(ctx, r.Pack, PackGone, max(r.Size, r.Settled)); err != nil {
			return err
		}
		f.Mended = "the catalog calls it gone; put the file back and check again to have it back"
	}
	return c.Report(f)
}

// present judges a row with a file.
func (c *PackCheck) present(ctx context.Context, r Row, sound func(Row)) error {
	if r.State == PackGone {
		return c.unknownPack(ctx, r, sound)
	}
	if r.State == PackDeleted || r.State == PackOpen && r.Kind == KindCopies {
		return nil // the next start removes it, or a compaction is writing it
	}
	ok, err := c.header(ctx, r)
	if err != nil || !ok {
		return err
	}
	size, err := c.Reader.s.opt.FS.Size(c.Reader.s.path(r.Pack))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if need := max(r.Size, r.Settled); size < need {
		f := fault.Fault{Kind: fault.PackTruncated, Pack: r.Pack, Offset: size,
			Text: fmt.Sprintf("pack %d has %d bytes, and had %d", r.Pack, size, need)}
		if c.mendable(r.Pack) {
			if err := c.Catalog.force(ctx, r.Pack, r.State, size); err != nil {
				return err
			}
			f.Mended = "the catalog has the new length"
		}
		if err := c.Report(f); err != nil {
			return err
		}
	}
	sound(r)
	return nil
}

// header looks at the pack's first bytes; ok says that its records can be looked for.
func (c *PackCheck) header(ctx context.Context, r Row) (ok bool, err error) {
	file, err := c.Reader.s.opt.FS.Open(c.Reader.s.path(r.Pack))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var b [packHeaderSize]byte
	n, rerr := file.ReadAt(b[:], 0)
	m, merr := readMark(file, r.Pack)
	if err := file.Close(); err != nil {
		return false, err
	}
	if n < len(b) && !isEOF(rerr) {
		return false, rerr
	}
	h, herr := parsePackHeader(b[:n])
	f := fault.Fault{Pack: r.Pack}
	switch {
	case errors.Is(merr, ErrUnsupported):
		f.Kind, f.Text = fault.PackLater, fmt.Sprintf("pack %d: %v; this version leaves it alone", r.Pack, merr)
	case merr != nil && n < packHeaderSize && r.State == PackOpen:
		return false, nil // the file of a pack being made
	case merr != nil:
		f.Kind, f.Text = fault.PackUnreadable, fmt.Sprintf("pack %d: %v; nothing in it can be found", r.Pack, merr)
		if c.mendable(r.Pack) {
			name := path.Base(c.Reader.s.path(r.Pack))
			if err := errors.Join(c.moveAside(name), c.Catalog.force(ctx, r.Pack, PackGone, max(r.Size, r.Settled))); err != nil {
				return false, err
			}
			f.Mended = "moved to " + path.Join(c.Aside, name) + "; the catalog calls it gone"
		}
	case herr != nil:
		f.Kind, f.Text = fault.PackHeader, fmt.Sprintf("pack %d: its header is damaged; its records are found all the same", r.Pack)
		if c.mendable(r.Pack) {
			if err := c.writeHeader(r, m); err != nil {
				return false, err
			}
			f.Mended = "the header was written anew"
		}
	case h.number != r.Pack:
		f.Kind, f.Text = fault.PackHeader, fmt.Sprintf("pack %d: the file says that it is pack %d", r.Pack, h.number)
	case h.owner != Installation{} && h.owner != c.Installation:
		f.Kind, f.Text = fault.PackInstallation, fmt.Sprintf("pack %d was written by another installation (%x…) than the database's (%x…): "+
			"the database or the packs come from another system", r.Pack, h.owner[:4], c.Installation[:4])
	default:
		return true, nil
	}
	return merr == nil, c.Report(f)
}

// unknownPack judges a pack that the catalog does not have, or calls gone: one that can be read comes back, so that what
// leads into it is found and what was never delivered is.
func (c *PackCheck) unknownPack(ctx context.Context, r Row, sound func(Row)) error {
	name := path.Base(c.Reader.s.path(r.Pack))
	file, err := c.Reader.s.opt.FS.Open(c.Reader.s.path(r.Pack))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var b [packHeaderSize]byte
	_, rerr := file.ReadAt(b[:], 0)
	_, merr := readMark(file, r.Pack)
	size, serr := file.Size()
	if err := errors.Join(serr, file.Close()); err != nil {
		return err
	}
	h, herr := parsePackHeader(b[:])
	switch {
	case errors.Is(merr, ErrUnsupported):
		return c.Report(fault.Fault{Kind: fault.PackLater, Pack: r.Pack,
			Text: fmt.Sprintf("pack %d, which the catalog does not know: %v; this version leaves it alone", r.Pack, merr)})
	case rerr != nil && !isEOF(rerr):
		return rerr
	case merr != nil || size <= packHeaderSize || herr != nil || h.number != r.Pack:
		return c.unknownFile(name, fault.PackUnreadable, "is a pack that the catalog does not know, and nothing in it can be found")
	}
	f := fault.Fault{Kind: fault.PackUnknown, Pack: r.Pack, Text: fmt.Sprintf("%s is a pack that the catalog does not know", name)}
	if r.State == PackGone {
		f.Text = fmt.Sprintf("%s is there, and the catalog calls the pack gone", name)
	}
	switch {
	case h.owner != Installation{} && h.owner != c.Installation:
		f.Kind, f.Text = fault.PackInstallation, f.Text+": another installation has written it"
		return c.Report(f)
	case c.mendable(r.Pack):
		if err := c.Adopt(ctx, r.Pack); err != nil {
			return err
		}
		row := Row{Pack: r.Pack, State: PackSealed, Node: h.node, Epoch: h.epoch, Created: h.created, Size: size, Kind: h.kind}
		if h.kind == KindCopies {
			row.Settled = size // copies of what was delivered long ago
		} else if r.State == PackGone {
			row.Settled = min(r.Settled, size)
		}
		if err := c.Catalog.adopt(ctx, row); err != nil {
			return err
		}
		f.Mended = "the catalog has it again; what in it was never delivered is at the next start"
		sound(row)
	}
	return c.Report(f)
}

// unknownFile reports a file that is of no use, and moves it out of the way.
func (c *PackCheck) unknownFile(name string, kind fault.Kind, why string) error {
	f := fault.Fault{Kind: kind, Text: fmt.Sprintf("%s %s", path.Join(c.Reader.s.opt.Dir, name), why)}
	if c.Repair {
		if err := c.moveAside(name); err != nil {
			return err
		}
		f.Mended = "moved to " + path.Join(c.Aside, name)
	}
	return c.Report(f)
}

func (c *PackCheck) moveAside(name string) error {
	fsys, dir := c.Reader.s.opt.FS, c.Reader.s.opt.Dir
	if err := fsys.MkdirAll(c.Aside); err != nil {
		return err
	}
	if _, err := fsys.Size(path.Join(c.Aside, name)); err == nil {
		return fmt.Errorf("%s: %w; rename it and check again", path.Join(c.Aside, name), fs.ErrExist)
	}
	if err := fsys.Rename(path.Join(dir, name), path.Join(c.Aside, name)); err != nil {
		return err
	}
	return errors.Join(fsys.SyncDir(c.Aside), fsys.SyncDir(dir))
}

func (c *PackCheck) mendable(pack int64) bool {
	return c.Repair && (c.Busy == nil || !c.Busy(pack))
}

// writeHeader makes a damaged header anew from the pack's row and the mark in its records.
func (c *PackCheck) writeHeader(r Row, m mark) error {
	h := packHeader{version: formatVersion, node: r.Node, number: r.Pack, created: r.Created, epoch: r.Epoch, mark: m, owner: c.Installation, kind: r.Kind}
	f, err := c.Reader.s.opt.FS.OpenWrite(c.Reader.s.path(r.Pack))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(h.append(nil), 0)
	if err == nil {
		err = f.Datasync()
	}
	return errors.Join(err, f.Close())
}

// Busy tells whether the store has a pack in hand: it writes it, keeps it ready, or has unsettled records in it.
func (s *Store) Busy(pack int64) bool { return s.inFlight(pack) }
