package vfs

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Mem is a disk in memory. It remembers which writes and names were synced and which were not, so that Crash can say what
// a loss of power would leave. NewVolatile makes one that keeps no such record, for tests that only need a quick disk.
type Mem struct {
	mu       sync.Mutex
	root     *node
	volatile bool
}

// node is a file or a directory. Everything in it is guarded by Mem.mu.
type node struct {
	dir bool

	// a file
	now  []byte   // what a reader sees
	kept []byte   // what the last sync made durable
	log  []change // since that sync, in order

	// a directory
	names     map[string]*node
	keptNames map[string]*node
	nameLog   []rename
}

// change is one un-synced change of a file's contents: a write of data at off, or a truncation to off if data is nil.
type change struct {
	off  int64
	data []byte
}

// rename is one un-synced change of a directory: from (if not "") goes, to (if not "") becomes n.
type rename struct {
	from, to string
	n        *node
}

// NewMem makes an empty disk that can crash.
func NewMem() *Mem { return &Mem{root: newDir()} }

// NewVolatile makes an empty disk that keeps no record of what was synced. Crash of it loses everything.
func NewVolatile() *Mem { return &Mem{root: newDir(), volatile: true} }

func newDir() *node {
	return &node{dir: true, names: map[string]*node{}, keptNames: map[string]*node{}}
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func split(name string) []string {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

// find walks to name; nil if it is not there.
func (m *Mem) find(name string) *node {
	n := m.root
	for _, part := range split(name) {
		if n == nil || !n.dir {
			return nil
		}
		n = n.names[part]
	}
	return n
}

// parent returns the directory that holds name, and name's last part.
func (m *Mem) parent(op, name string) (*node, string, error) {
	dir, base := path.Split(path.Clean("/" + name))
	d := m.find(dir)
	if d == nil || base == "" {
		return nil, "", pathError(op, name, fs.ErrNotExist)
	}
	if !d.dir {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	return d, base, nil
}

// file finds a regular file.
func (m *Mem) file(op, name string) (*node, error) {
	n := m.find(name)
	if n == nil {
		return nil, pathError(op, name, fs.ErrNotExist)
	}
	if n.dir {
		return nil, pathError(op, name, fs.ErrInvalid)
	}
	return n, nil
}

// change applies r to what a reader sees and, unless volatile, notes it for Crash.
func (m *Mem) changeDir(d *node, r rename) {
	applyRename(d.names, r)
	if !m.volatile {
		d.nameLog = append(d.nameLog, r)
	}
}

func applyRename(names map[string]*node, r rename) {
	if r.from != "" {
		delete(names, r.from)
	}
	if r.to != "" {
		names[r.to] = r.n
	}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.parent("create", name)
	if err != nil {
		return nil, err
	}
	if d.names[base] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	n := &node{}
	m.changeDir(d, rename{to: base, n: n})
	return &memFile{m: m, n: n, name: name, write: true}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenWrite implements FS.
func (m *Mem) OpenWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("open", name)
	if err != nil {
		return nil, err
	}
	return &memFile{m: m, n: n, name: name, write: write}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.file("remove", name); err != nil {
		return err
	}
	d, base, err := m.parent("remove", name)
	if err == nil {
		m.changeDir(d, rename{from: base})
	}
	return err
}

// Rename implements FS, within one directory.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("rename", from)
	if err != nil {
		return err
	}
	d, a, err := m.parent("rename", from)
	if err != nil {
		return err
	}
	d2, b, err := m.parent("rename", to)
	if err != nil {
		return err
	}
	if d != d2 {
		return pathError("rename", to, fs.ErrInvalid)
	}
	m.changeDir(d, rename{from: a, to: b, n: n})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.root
	for _, part := range split(name) {
		n := d.names[part]
		if n == nil {
			n = newDir()
			m.changeDir(d, rename{to: part, n: n})
		}
		if !n.dir {
			return pathError("mkdir", name, fs.ErrExist)
		}
		d = n
	}
	return nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.find(name)
	if d == nil || !d.dir {
		return pathError("syncdir", name, fs.ErrNotExist)
	}
	for _, r := range d.nameLog {
		applyRename(d.keptNames, r)
	}
	d.nameLog = nil
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.find(name)
	if d == nil || !d.dir {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	names := make([]string, 0, len(d.names))
	for n := range d.names {
		names = append(names, n)
	}
	sort.Strings(names)
	return names, nil
}

// Size implements FS.
func (m *Mem) Size(name string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("stat", name)
	if err != nil {
		return 0, err
	}
	return int64(len(n.now)), nil
}

// memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	write  bool
	closed bool
}

func (f *memFile) check(op string, write bool) error {
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if write && !f.write {
		return pathError(op, f.name, fs.ErrPermission)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	if off >= int64(len(f.n.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.WriteVecAt([][]byte{p}, off)
	return int(n), err
}

func (f *memFile) WriteVecAt(pieces [][]byte, off int64) (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("write", true); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	data := slices.Concat(pieces...)
	if len(data) > 0 {
		f.change(change{off, data})
	}
	return int64(len(data)), nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("truncate", true); err != nil {
		return err
	}
	f.change(change{off: size})
	return nil
}

func (f *memFile) change(c change) {
	f.n.now = c.apply(f.n.now)
	if !f.m.volatile {
		f.n.log = append(f.n.log, c)
	}
}

// apply returns b with the change made.
func (c change) apply(b []byte) []byte {
	end := c.off + int64(len(c.data))
	if c.data == nil && end < int64(len(b)) {
		return b[:end]
	}
	if old := int64(len(b)); end > old {
		b = slices.Grow(b, int(end-old))[:end]
		clear(b[old:]) // a hole reads as zeros, and the spare capacity may hold old bytes
	}
	copy(b[c.off:], c.data)
	return b
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.now)), f.check("stat", false)
}

func (f *memFile) Datasync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("fdatasync", false); err != nil {
		return err
	}
	for _, c := range f.n.log {
		f.n.kept = c.apply(f.n.kept)
	}
	f.n.log = nil
	return nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.check("close", false)
	f.closed = true
	return err
}
