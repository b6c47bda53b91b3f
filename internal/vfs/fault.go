package vfs

import (
	"sync"
	"sync/atomic"
)

// Op names one operation for a Faulty's plan.
type Op string

// The operations that a plan sees. Reads, stats and closes among them, so that every system call can be made to fail.
const (
	OpCreate    Op = "create"
	OpOpen      Op = "open"
	OpOpenWrite Op = "openwrite"
	OpRemove    Op = "remove"
	OpRename    Op = "rename"
	OpMkdir     Op = "mkdir"
	OpSyncDir   Op = "syncdir"
	OpReadDir   Op = "readdir"
	OpStat      Op = "stat"
	OpRead      Op = "read"
	OpWrite     Op = "write"
	OpTruncate  Op = "truncate"
	OpSync      Op = "sync"
	OpClose     Op = "close"
)

// Faulty wraps a disk and fails the operations that its plan picks. A failed write writes the first half of its bytes, as a
// full disk does; a failed sync syncs nothing; a failed close closes.
type Faulty struct {
	fs    FS
	count atomic.Int64
	mu    sync.Mutex
	plan  Plan
}

// Plan returns the error with which operation number i (from 0, over all operations of the disk) on name fails, or nil. It
// is called by one goroutine at a time.
type Plan func(i int64, op Op, name string) error

// NewFaulty wraps fs. A nil plan fails nothing.
func NewFaulty(fs FS, plan Plan) *Faulty { return &Faulty{fs: fs, plan: plan} }

// FailAt fails operation number i with err, once.
func FailAt(i int64, err error) Plan {
	return func(n int64, _ Op, _ string) error {
		if n == i {
			return err
		}
		return nil
	}
}

// FailFrom fails operation number i and all after it: the machine stands still.
func FailFrom(i int64, err error) Plan {
	return func(n int64, _ Op, _ string) error {
		if n >= i {
			return err
		}
		return nil
	}
}

// SetPlan replaces the plan.
func (f *Faulty) SetPlan(p Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = p
}

// Count returns how many operations there were.
func (f *Faulty) Count() int64 { return f.count.Load() }

func (f *Faulty) fault(op Op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.count.Add(1) - 1
	if f.plan == nil {
		return nil
	}
	if err := f.plan(i, op, name); err != nil {
		return pathError(string(op), name, err)
	}
	return nil
}

// Create implements FS.
func (f *Faulty) Create(name string) (File, error) { return f.open(OpCreate, name, f.fs.Create) }

// Open implements FS.
func (f *Faulty) Open(name string) (File, error) { return f.open(OpOpen, name, f.fs.Open) }

// OpenWrite implements FS.
func (f *Faulty) OpenWrite(name string) (File, error) {
	return f.open(OpOpenWrite, name, f.fs.OpenWrite)
}

func (f *Faulty) open(op Op, name string, open func(string) (File, error)) (File, error) {
	if err := f.fault(op, name); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f: f, file: file, name: name}, nil
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.fault(OpRemove, name); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

// Rename implements FS.
func (f *Faulty) Rename(from, to string) error {
	if err := f.fault(OpRename, from); err != nil {
		return err
	}
	return f.fs.Rename(from, to)
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(name string) error {
	if err := f.fault(OpMkdir, name); err != nil {
		return err
	}
	return f.fs.MkdirAll(name)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(name string) error {
	if err := f.fault(OpSyncDir, name); err != nil {
		return err
	}
	return f.fs.SyncDir(name)
}

// ReadDir implements FS.
func (f *Faulty) ReadDir(name string) ([]string, error) {
	if err := f.fault(OpReadDir, name); err != nil {
		return nil, err
	}
	return f.fs.ReadDir(name)
}

// Size implements FS.
func (f *Faulty) Size(name string) (int64, error) {
	if err := f.fault(OpStat, name); err != nil {
		return 0, err
	}
	return f.fs.Size(name)
}

type faultyFile struct {
	f    *Faulty
	file File
	name string
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.fault(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.WriteVecAt([][]byte{p}, off)
	return int(n), err
}

func (f *faultyFile) WriteVecAt(pieces [][]byte, off int64) (int64, error) {
	err := f.f.fault(OpWrite, f.name)
	if err == nil {
		return f.file.WriteVecAt(pieces, off)
	}
	var total, done int64
	for _, p := range pieces {
		total += int64(len(p))
	}
	for _, p := range pieces {
		p = p[:min(int64(len(p)), total/2-done)]
		n, werr := f.file.WriteAt(p, off+done)
		done += int64(n)
		if werr != nil || done == total/2 {
			break
		}
	}
	return done, err
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.f.fault(OpTruncate, f.name); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f *faultyFile) Size() (int64, error) {
	if err := f.f.fault(OpStat, f.name); err != nil {
		return 0, err
	}
	return f.file.Size()
}

func (f *faultyFile) Datasync() error {
	if err := f.f.fault(OpSync, f.name); err != nil {
		return err
	}
	return f.file.Datasync()
}

func (f *faultyFile) Close() error {
	err := f.f.fault(OpClose, f.name)
	if cerr := f.file.Close(); err == nil {
		err = cerr
	}
	return err
}
