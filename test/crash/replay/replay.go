// Package replay rebuilds a data directory as a power cut could have left it at
// any instant of a trace.
//
// What a sync covered (disk.History.Covered) is there for sure. Of the rest a
// part drawn from the seed is there: sectors of 512 bytes of unsynced writes,
// each sector in one of its past states; sizes that grew, with zeros where the
// bytes did not come; truncations; names made, changed and removed. A name
// never depends on another name's fate, a rename is one step, and the bytes of
// a file never depend on its name. Calls in flight at the instant count as
// begun, not returned.
//
// One seed in five drops everything unsynced, one keeps everything (what a
// SIGKILL leaves), one draws by call, one by sector, and one keeps or drops all
// of each file: the extremes are where mistakes hide (a reference kept, what it
// leads to dropped), and chance alone would not go there.
//
// Files: replay.go (the cut), file.go (one file's bytes), instants.go (where to
// cut, and what was acknowledged by then).
package replay

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/postrider/postrider/test/crash/disk"
)

// Sector is the unit that a disk writes whole or not at all.
const Sector = 512

// Cut is one power cut.
type Cut struct {
	Instant int64 // a line of the trace: what ended before has returned, what began before is begun
	Seed    uint64
}

type fate int

const (
	drop fate = iota
	keep
	byCall
	bySector
	byFile // each file and directory keeps all or nothing of its own
	fates
)

// drawer decides what of the unsynced is there.
type drawer struct {
	*rand.Rand
	fate   fate
	chance float64
}

func newDrawer(c Cut) *drawer {
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.Instant)))
	return &drawer{Rand: r, fate: fate(r.IntN(int(fates))), chance: []float64{0.2, 0.5, 0.8}[r.IntN(3)]}
}

// one is the drawer of one file or directory.
func (d *drawer) one() *drawer {
	if d.fate != byFile {
		return d
	}
	return &drawer{Rand: d.Rand, fate: []fate{drop, keep}[d.IntN(2)]}
}

// there draws for a whole call.
func (d *drawer) there() bool {
	return d.fate == keep || d.fate > keep && d.Float64() < d.chance
}

// Replay writes the directory into out, which must not exist or be empty.
// initial is what disk.Build was given.
func Replay(h *disk.History, initial string, c Cut, out string) error {
	d := newDrawer(c)
	tree := names(h, c, d)
	byNode := map[disk.Node][]*disk.Op{}
	for i := range h.Ops {
		if op := &h.Ops[i]; op.Begin < c.Instant && op.Kind <= disk.Grow {
			byNode[op.Node] = append(byNode[op.Node], op)
		}
	}
	return writeDir(h, tree, 0, out, func(n disk.Node) ([]byte, error) {
		f := &file{draw: d.one(), frozen: map[int64]bool{}}
		if e, ok := h.Start[n]; ok {
			var err error
			if f.data, err = os.ReadFile(filepath.Join(initial, e.Path)); err != nil {
				return nil, err
			}
		}
		for _, op := range byNode[n] {
			_, sure := h.Covered(n, op.End, c.Instant)
			f.apply(op, sure)
		}
		return f.data, nil
	})
}

// names is the tree of names after the cut.
func names(h *disk.History, c Cut, d *drawer) disk.Tree {
	tree := disk.Tree{}
	for _, n := range slices.Sorted(maps.Keys(h.Start)) {
		path := h.Start[n].Path
		if dir, ok := tree.Lookup(filepath.Dir(path)); ok { // Start is numbered parents first
			tree.Put(dir, filepath.Base(path), n)
		}
	}
	type name struct {
		dir  disk.Node
		name string
	}
	dirs := map[disk.Node]*drawer{}
	frozen := map[name]bool{} // names that stay in an earlier state
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Begin >= c.Instant || op.Kind < disk.Link || op.Kind == disk.Sync {
			continue
		}
		if dirs[op.Dir] == nil {
			dirs[op.Dir] = d.one()
		}
		to, from := name{op.Dir, op.Name}, name{op.Dir, op.Name}
		_, sure := h.Covered(op.Dir, op.End, c.Instant)
		if op.Kind == disk.Rename {
			from = name{op.FromDir, op.FromName}
			if !sure {
				_, sure = h.Covered(op.FromDir, op.End, c.Instant)
			}
		}
		if sure || !frozen[to] && !frozen[from] && dirs[op.Dir].there() {
			tree.Apply(*op)
			continue
		}
		frozen[to], frozen[from] = true, true
	}
	return tree
}

// writeDir makes the directory n at path and all below it, in the order of names
// so that a seed always draws the same.
func writeDir(h *disk.History, tree disk.Tree, n disk.Node, path string, bytes func(disk.Node) ([]byte, error)) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(tree[n])) {
		child, at := tree[n][name], filepath.Join(path, name)
		if h.IsDir[child] {
			if err := writeDir(h, tree, child, at, bytes); err != nil {
				return err
			}
			continue
		}
		data, err := bytes(child)
		if err == nil {
			err = os.WriteFile(at, data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("replay of %s: %w", name, err)
		}
	}
	return nil
}
