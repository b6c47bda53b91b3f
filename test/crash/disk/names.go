package disk

import (
	"path"
	"strings"
)

// Tree is the names of all directories.
type Tree map[Node]map[string]Node

// Lookup finds a path relative to the root; "." is the root.
func (t Tree) Lookup(rel string) (Node, bool) {
	n := Node(0)
	if rel == "." {
		return n, true
	}
	for name := range strings.SplitSeq(rel, "/") {
		next, ok := t[n][name]
		if !ok {
			return 0, false
		}
		n = next
	}
	return n, true
}

// split finds the directory of a path, and the last name.
func (t Tree) split(rel string) (Node, string, bool) {
	dir, ok := t.Lookup(path.Dir(rel))
	return dir, path.Base(rel), ok
}

// Put enters a name.
func (t Tree) Put(dir Node, name string, n Node) {
	if t[dir] == nil {
		t[dir] = map[string]Node{}
	}
	t[dir][name] = n
}

// Apply does to the tree what a Link, Unlink or Rename says; others do nothing.
func (t Tree) Apply(op Op) {
	switch op.Kind {
	case Link:
		t.Put(op.Dir, op.Name, op.Node)
	case Unlink:
		delete(t[op.Dir], op.Name)
	case Rename:
		if t[op.FromDir][op.FromName] == op.Node {
			delete(t[op.FromDir], op.FromName)
		}
		t.Put(op.Dir, op.Name, op.Node)
	}
}
