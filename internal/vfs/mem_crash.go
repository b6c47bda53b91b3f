package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// Crash returns the disk as a loss of power at this instant could leave it: everything synced, and of the rest a part that
// seed picks. Names that were not synced may be missing (or removed ones still there); of writes that were not synced any
// 512-byte sectors may be there, in any combination, the others as they were before. m goes on unharmed.
func (m *Mem) Crash(seed uint64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := rand.New(rand.NewPCG(seed, 0x706f7765722d6f66))
	c := crash{r: r, done: map[*node]*node{}}
	return &Mem{root: c.copy(m.root), volatile: m.volatile}
}

// crash copies nodes; done keeps a file that has two names one file.
type crash struct {
	r    *rand.Rand
	done map[*node]*node
}

func (c *crash) copy(n *node) *node {
	if out := c.done[n]; out != nil {
		return out
	}
	out := &node{dir: n.dir}
	c.done[n] = out
	if !n.dir {
		out.kept = c.contents(n)
		out.now = slices.Clone(out.kept)
		return out
	}
	names := maps.Clone(n.keptNames)
	keep := c.mood()
	for _, r := range n.nameLog {
		if c.r.Float64() < keep {
			applyRename(names, r)
		}
	}
	out.names = make(map[string]*node, len(names))
	// In order, so that the same seed gives the same disk.
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out.names[name] = c.copy(names[name])
	}
	out.keptNames = maps.Clone(out.names)
	return out
}

// mood is how much of the un-synced rest a crash keeps: often nothing or all, else a share.
func (c *crash) mood() float64 {
	switch c.r.IntN(4) {
	case 0:
		return 0
	case 1:
		return 1
	}
	return c.r.Float64()
}

func (c *crash) contents(n *node) []byte {
	b := slices.Clone(n.kept)
	keep := c.mood()
	for _, ch := range n.log {
		if ch.data == nil {
			if c.r.Float64() < keep {
				b = ch.apply(b)
			}
			continue
		}
		for from := 0; from < len(ch.data); {
			// Up to the next sector border of the file, not of the write.
			to := min(len(ch.data), from+sectorSize-int((ch.off+int64(from))%sectorSize))
			if c.r.Float64() < keep {
				b = change{ch.off + int64(from), ch.data[from:to]}.apply(b)
			}
			from = to
		}
	}
	return b
}
