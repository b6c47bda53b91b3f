package disk

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/test/crash/trace"
)

// handle is an open file description: dup shares it.
type handle struct {
	node   Node
	pos    int64
	append bool
}

type builder struct {
	h      *History
	root   string
	tree   Tree
	size   map[Node]int64
	fds    map[int]*handle
	next   Node
	event  *trace.Event
	rel    string // of event.Path
	inside bool
}

// Build makes the history of the directory root. initial is a copy of root as
// it was when the trace began, "" if it was empty or absent.
func Build(events []trace.Event, root, initial string) (*History, error) {
	b := &builder{
		h: &History{Start: map[Node]Entry{}, IsDir: map[Node]bool{0: true},
			syncs: map[Node][]span{}, failed: map[Node][]span{}, names: map[Node][]int{}},
		root: filepath.Clean(root), tree: Tree{}, size: map[Node]int64{}, fds: map[int]*handle{}, next: 1,
	}
	if initial != "" {
		if err := b.walk(initial); err != nil {
			return nil, err
		}
	}
	for i := range events {
		b.event = &events[i]
		if err := b.apply(); err != nil {
			e := b.event
			return nil, fmt.Errorf("trace line %d: %s of %s: %w", e.Begin, e.Call, e.Path, err)
		}
	}
	return b.h, nil
}

func (b *builder) walk(initial string) error {
	return filepath.WalkDir(initial, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == initial {
			return err
		}
		rel, err := filepath.Rel(initial, p)
		if err != nil {
			return err
		}
		dir, name, _ := b.tree.split(rel)
		info, err := d.Info()
		if err != nil || !(d.IsDir() || info.Mode().IsRegular()) || ignored(rel) {
			return err
		}
		n := b.node(d.IsDir())
		b.tree.Put(dir, name, n)
		b.h.Start[n] = Entry{rel, info.Size()}
		b.size[n] = info.Size()
		return nil
	})
}

func (b *builder) node(isDir bool) Node {
	n := b.next
	b.next++
	b.h.IsDir[n] = isDir
	return n
}

func ignored(rel string) bool { return strings.HasSuffix(rel, "-shm") }

// under gives a path relative to the root.
func (b *builder) under(p string) (string, bool) {
	if p == b.root {
		return ".", true
	}
	rel, ok := strings.CutPrefix(p, b.root+"/")
	return rel, ok && !ignored(rel)
}

func (b *builder) apply() error {
	e := b.event
	if e.Err != "" && e.Kind != trace.Sync {
		return nil
	}
	b.rel, b.inside = b.under(e.Path)
	if _, to := b.under(e.To); !b.inside && !to && e.Kind != trace.Opaque {
		if e.Kind == trace.Open || e.Kind == trace.Dup {
			delete(b.fds, e.FD)
		}
		b.h.Ignored++
		return nil
	}
	switch e.Kind {
	case trace.Open:
		return b.open()
	case trace.Dup:
		b.fds[e.FD] = b.fds[int(e.Size)]
	case trace.Mkdir:
		return b.link(b.node(true))
	case trace.Link:
		n, ok := b.tree.Lookup(b.rel)
		if b.rel, b.inside = b.under(e.To); !ok || !b.inside {
			return fmt.Errorf("link from or to outside %s", b.root)
		}
		return b.link(n)
	case trace.Rename:
		return b.rename()
	case trace.Unlink:
		if dir, name, ok := b.tree.split(b.rel); ok {
			if n, ok := b.tree[dir][name]; ok {
				b.add(Op{Kind: Unlink, Node: n, Dir: dir, Name: name})
			}
		} // else a socket: its bind is no file operation
	case trace.Opaque:
		if b.inside || e.Path == "" {
			return fmt.Errorf("a trace does not show what this writes")
		}
	case trace.Write, trace.Sync, trace.Truncate, trace.Allocate, trace.Seek:
		return b.file()
	}
	return nil
}

func (b *builder) add(op Op) {
	op.Begin, op.End, op.Path = b.event.Begin, b.event.End, b.rel
	b.tree.Apply(op)
	if op.Kind == Link || op.Kind == Rename {
		b.h.names[op.Node] = append(b.h.names[op.Node], len(b.h.Ops))
	}
	b.h.Ops = append(b.h.Ops, op)
}

func (b *builder) link(n Node) error {
	dir, name, ok := b.tree.split(b.rel)
	if !ok && b.rel == "." {
		return nil // the root itself
	}
	if !ok {
		return fmt.Errorf("in a directory the trace has not seen")
	}
	b.add(Op{Kind: Link, Node: n, Dir: dir, Name: name})
	return nil
}

func (b *builder) open() error {
	e := b.event
	if strings.Contains(e.Flags, "O_TMPFILE") {
		return fmt.Errorf("O_TMPFILE")
	}
	n, ok := b.tree.Lookup(b.rel)
	if !ok {
		if !strings.Contains(e.Flags, "O_CREAT") {
			return nil // a socket or a device; a write to it would be refused
		}
		n = b.node(false)
		if err := b.link(n); err != nil {
			return err
		}
	} else if strings.Contains(e.Flags, "O_TRUNC") && b.size[n] > 0 {
		b.size[n] = 0
		b.add(Op{Kind: Truncate, Node: n})
	}
	b.fds[e.FD] = &handle{node: n, append: strings.Contains(e.Flags, "O_APPEND")}
	return nil
}

func (b *builder) rename() error {
	e := b.event
	fromDir, fromName, ok1 := b.tree.split(b.rel)
	n, known := b.tree[fromDir][fromName]
	rel, inside := b.under(e.To)
	dir, name, ok2 := b.tree.split(rel)
	switch {
	case strings.Contains(e.Flags, "RENAME_EXCHANGE") || strings.Contains(e.Flags, "RENAME_WHITEOUT"):
		return fmt.Errorf("flags %s", e.Flags)
	case !b.inside || !inside || !ok1 || !ok2 || !known:
		return fmt.Errorf("to %s: the trace has not seen both places", e.To)
	}
	b.rel = rel
	b.add(Op{Kind: Rename, Node: n, FromDir: fromDir, FromName: fromName, Dir: dir, Name: name})
	return nil
}

// file handles what is done to a descriptor (or, truncate, to a path).
func (b *builder) file() error {
	e := b.event
	if e.Deleted {
		return nil // no name: nothing of it outlives a crash
	}
	n, ok := b.tree.Lookup(b.rel)
	if !ok {
		return fmt.Errorf("a file the trace has not seen made")
	}
	switch e.Kind {
	case trace.Seek:
		if f := b.fds[e.FD]; f != nil && f.node == n {
			f.pos = e.Result
		}
	case trace.Sync:
		s := span{e.Begin, e.End}
		if e.OK() {
			b.h.syncs[n] = append(b.h.syncs[n], s)
			sortLast(b.h.syncs[n])
			b.h.Synced++
		} else if e.Err != "" {
			b.h.failed[n] = append(b.h.failed[n], s)
		}
		b.add(Op{Kind: Sync, Node: n, Failed: e.Err != ""})
	case trace.Truncate:
		b.size[n] = e.Size
		b.add(Op{Kind: Truncate, Node: n, Size: e.Size})
	case trace.Allocate:
		if e.Flags != "0" && e.Flags != "FALLOC_FL_KEEP_SIZE" {
			return fmt.Errorf("flags %s", e.Flags)
		}
		if e.Flags == "0" && e.Size > b.size[n] {
			b.size[n] = e.Size
			b.add(Op{Kind: Grow, Node: n, Size: e.Size})
		}
	case trace.Write:
		return b.write(n)
	}
	return nil
}

func (b *builder) write(n Node) error {
	e := b.event
	off := e.Offset
	if off < 0 {
		f := b.fds[e.FD]
		if f == nil || f.node != n {
			return fmt.Errorf("at a position the trace has not seen")
		}
		if f.append {
			f.pos = b.size[n]
		}
		off = f.pos
		f.pos += int64(len(e.Data))
	}
	b.size[n] = max(b.size[n], off+int64(len(e.Data)))
	b.add(Op{Kind: Data, Node: n, Offset: off, Data: e.Data})
	return nil
}

// sortLast moves the last span to its place by begin: they arrive by end.
func sortLast(s []span) {
	for i := len(s) - 1; i > 0 && s[i-1].begin > s[i].begin; i-- {
		s[i-1], s[i] = s[i], s[i-1]
	}
}
