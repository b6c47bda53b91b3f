// Package disk turns the events of a trace into what happened to the files
// under one directory: bytes put into a file, names put into a directory, syncs
// of either. Files are told apart by identity, not by name, so that renames and
// reused names do not confuse the judges who read this.
//
// The model is POSIX's, not one file system's: a sync of a file makes its
// bytes and size durable and says nothing about its name; a sync of a directory
// makes the names in it durable and says nothing about the files. A sync covers
// what had returned before the sync began. What was written before a sync that
// failed is never again taken for durable by a later one, since the kernel may
// have dropped the pages and called them clean.
//
// Build refuses a trace that changes files in ways a trace does not show
// (trace.Opaque) and one that writes to files it has not seen. SQLite's -shm
// files are left out: they are a shared mapping, hold the WAL's index only, and
// are built anew when the database is opened after a crash.
//
// The program must be one process; children it starts must not write here.
//
// Files: disk.go (values and the question Covered), build.go (from events),
// names.go (the tree of names).
package disk

import (
	"slices"
	"sort"
)

// Node is a file or directory under the root. The root itself is 0.
type Node int

// Kind says what an Op does.
type Kind int

// Data puts bytes at an offset. Truncate sets the size. Grow raises it to at
// least Size. Link puts Node under Name into Dir, Unlink takes the name away,
// Rename does both and is one step. Sync is of Node, file or directory.
const (
	Data Kind = iota
	Truncate
	Grow
	Link
	Unlink
	Rename
	Sync
)

// Op is one change, or one sync.
type Op struct {
	Kind       Kind
	Begin, End int64 // as in trace.Event
	Node       Node
	Path       string // of Node when it happened, relative to the root; for messages
	Offset     int64
	Data       []byte
	Size       int64
	Dir        Node // Link, Unlink, Rename: where Name is
	Name       string
	FromDir    Node // Rename
	FromName   string
	Failed     bool // Sync that returned an error
}

// History is all that happened, in the order of return; what never returned
// comes last.
type History struct {
	Ops     []Op
	Start   map[Node]Entry // what was there at the beginning, the root aside
	IsDir   map[Node]bool
	syncs   map[Node][]span // by begin
	failed  map[Node][]span
	names   map[Node][]int // its Links and Renames in Ops
	Synced  int            // syncs that returned without error
	Ignored int            // changes outside the root, and of -shm files
}

// Entry is a file or directory there at the beginning.
type Entry struct {
	Path string // relative to the root
	Size int64
}

type span struct{ begin, end int64 }

// Covered tells whether what happened to n, and returned at line after, was
// durable at line before: some sync of n began later than after, returned
// earlier than before, and none between them failed. It returns the line on
// which that sync returned.
func (h *History) Covered(n Node, after, before int64) (int64, bool) {
	good := h.syncs[n]
	i := sort.Search(len(good), func(i int) bool { return good[i].begin > after })
	for ; i < len(good) && good[i].begin < before; i++ {
		if good[i].end >= before {
			continue
		}
		if slices.ContainsFunc(h.failed[n], func(f span) bool { return f.end > after && f.begin < good[i].end }) {
			return 0, false
		}
		return good[i].end, true
	}
	return 0, false
}

// Name returns the last operation that gave n the name it had at line before,
// if one in the trace did.
func (h *History) Name(n Node, before int64) (Op, bool) {
	for _, i := range slices.Backward(h.names[n]) {
		if h.Ops[i].Begin < before {
			return h.Ops[i], true
		}
	}
	return Op{}, false
}
