package order

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/postrider/postrider/test/crash/disk"
)

// Commit is a transaction of a database in WAL mode that has written its commit
// frame.
type Commit struct {
	Begin int64 // the line on which the write that completes it began
	End   int64 // the line on which its last write returned
	Log   disk.Node
	base  *database
}

// Image is the database file as the transaction leaves it, in the journal mode
// of a database without a log, so that it can be opened alone. It holds until
// the visitor returns.
func (c *Commit) Image() []byte { return c.base.image() }

// DatabaseReport is what Database judged.
type DatabaseReport struct {
	Commits     int
	Checkpoints int // times that a log with commits was reset or started over
	Pages       int // page writes to the database file
	Violations  []Violation
}

// Err is nil if nothing was wrong.
func (r *DatabaseReport) Err() error {
	if len(r.Violations) > 0 {
		return fmt.Errorf("database %s: %d violations, the first: %s", r, len(r.Violations), r.Violations[0])
	}
	return nil
}

func (r *DatabaseReport) String() string {
	return fmt.Sprintf("%d commits, %d logs emptied, %d pages written in place", r.Commits, r.Checkpoints, r.Pages)
}

// Database judges the order in which SQLite wrote the file at path (relative to
// the root) and its log, and shows each commit to visit, in order:
//
//   - a page is written into the file only after its bytes, as a frame of the
//     log, were synced;
//   - the log starts over, is truncated or removed only after each page that
//     its commits changed was written into the file, in its last state, and the
//     file synced.
//
// initial is the file from before the trace, without a log; nil: there was none.
// What was written before there was a log (SQLite makes a new file so) is
// nobody's promise yet.
func Database(h *disk.History, path string, initial []byte, visit func(Commit) error) (*DatabaseReport, error) {
	d := &database{h: h, path: path, page: defaultPage, file: map[int64][]byte{}, pending: map[int64]frame{}, logged: map[uint64][]int{},
		last: map[uint32]uint64{}, placed: map[uint64][]int{}, seed: maphash.MakeSeed()}
	for at := int64(0); at+d.page <= int64(len(initial)); at += d.page {
		d.file[at/d.page] = initial[at : at+d.page]
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		switch {
		case op.Kind == disk.Data && op.Path == path:
			d.inPlace(i)
		case op.Kind == disk.Data && op.Path == path+"-wal":
			committed, err := d.log(i)
			if err != nil {
				return nil, err
			}
			if !committed {
				continue
			}
			d.report.Commits++
			if visit == nil {
				continue
			}
			if err := visit(Commit{Begin: op.Begin, End: op.End, Log: op.Node, base: d}); err != nil {
				return nil, err
			}
		case op.Path == path+"-wal" && (op.Kind == disk.Unlink || op.Kind == disk.Truncate && op.Size < walHeader):
			d.restart(op)
		}
	}
	return &d.report, nil
}

// frame is a page in the log.
type frame struct {
	number uint32
	commit bool
	data   []byte
	op     int
}

type database struct {
	h      *disk.History
	path   string
	page   int64
	seed   maphash.Seed
	file   map[int64][]byte // pages by number from 0: in place, or as committed
	size   int64            // in pages, since the first commit; 0: none
	report DatabaseReport

	// Of the log since it was last started over.
	pending map[int64]frame // of the transaction being written, by offset
	head    [frameHeader]byte
	logged  map[uint64][]int  // hash of number and bytes → writes that carry the page
	last    map[uint32]uint64 // of committed pages: the hash of the last state
	placed  map[uint64][]int  // hash of number and bytes → writes into the file
	used    bool              // the log ever had a frame
}

func (d *database) hash(number uint32, data []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(d.seed)
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], number)
	h.Write(n[:])
	h.Write(data)
	return h.Sum64()
}

func (d *database) violate(format string, args ...any) {
	d.report.Violations = append(d.report.Violations, Violation{d.path, "database", fmt.Sprintf(format, args...)})
}

// inPlace takes a write into the database file.
func (d *database) inPlace(i int) {
	op := &d.h.Ops[i]
	for at := int64(0); at+d.page <= int64(len(op.Data)) && op.Offset%d.page == 0; at += d.page {
		number := uint32((op.Offset+at)/d.page) + 1
		data := op.Data[at : at+d.page]
		if !d.used {
			d.file[int64(number)-1] = data
			continue
		}
		d.report.Pages++
		sum := d.hash(number, data)
		d.placed[sum] = append(d.placed[sum], i)
		if !slices.ContainsFunc(d.logged[sum], func(j int) bool {
			w := &d.h.Ops[j]
			_, ok := d.h.Covered(w.Node, w.End, op.Begin)
			return w.End < op.Begin && ok
		}) {
			d.violate("page %d is written in place (line %d) before it was synced in the log", number, op.Begin)
		}
	}
}

// log takes a write into the log and tells whether it completes a transaction.
func (d *database) log(i int) (committed bool, err error) {
	op := &d.h.Ops[i]
	if op.Offset == 0 {
		d.restart(op)
	}
	step := frameHeader + d.page
	for at := int64(0); at < int64(len(op.Data)); {
		where := op.Offset + at - walHeader
		rest := op.Data[at:]
		switch {
		case where < 0:
			at += min(-where, int64(len(rest)))
		case where%step == 0 && len(rest) >= frameHeader:
			copy(d.head[:], rest)
			at += frameHeader
		case where%step == frameHeader && int64(len(rest)) >= d.page:
			d.pend(where-frameHeader, i, rest[:d.page])
			if binary.BigEndian.Uint32(d.head[4:]) != 0 {
				d.commit()
				committed = true
			}
			at += d.page
		default:
			return false, fmt.Errorf("line %d: a write of %d bytes at %d into the log is no frame", op.Begin, len(op.Data), op.Offset)
		}
	}
	return committed, nil
}

func (d *database) pend(where int64, op int, data []byte) {
	f := frame{binary.BigEndian.Uint32(d.head[:]), binary.BigEndian.Uint32(d.head[4:]) != 0, data, op}
	for at := range d.pending { // an earlier transaction that was given up ends where this one writes over it
		if at > where {
			delete(d.pending, at)
		}
	}
	d.pending[where] = f
	sum := d.hash(f.number, data)
	d.logged[sum] = append(d.logged[sum], op)
	d.used = true
}

func (d *database) commit() {
	for at, f := range d.pending {
		d.file[int64(f.number)-1] = f.data
		d.last[f.number] = d.hash(f.number, f.data)
		delete(d.pending, at)
	}
	d.size = int64(binary.BigEndian.Uint32(d.head[4:]))
}

// restart judges the operation that gives up what the log holds.
func (d *database) restart(op *disk.Op) {
	if len(d.last) > 0 {
		d.report.Checkpoints++
	}
	for number, sum := range d.last {
		if int64(number) > d.size {
			continue // cut off since
		}
		if !slices.ContainsFunc(d.placed[sum], func(j int) bool {
			w := &d.h.Ops[j]
			_, ok := d.h.Covered(w.Node, w.End, op.Begin)
			return w.End < op.Begin && ok
		}) {
			d.violate("the log is given up (line %d) before page %d was written in place and synced", op.Begin, number)
			break
		}
	}
	clear(d.last)
	clear(d.logged)
	clear(d.placed)
	clear(d.pending)
}

func (d *database) image() []byte {
	b := make([]byte, d.size*d.page)
	for n, data := range d.file {
		if n < d.size {
			copy(b[n*d.page:], data)
		}
	}
	if len(b) > 20 {
		b[18], b[19] = 1, 1 // File Format §1.3.4: 1 is a rollback journal, 2 a log
	}
	return b
}
