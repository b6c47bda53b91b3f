// Package vfs is every file operation that Postrider's own durable formats need, behind one small interface, so that a test
// can take the power away, fill the disk or break it at any operation.
//
// Map: vfs.go the interface · class.go which error is temporary and which fatal · os.go, os_linux.go, os_other.go the real
// disk · mem.go, mem_crash.go a disk in memory that can crash · fault.go a wrapper that fails chosen operations.
//
// The package never retries a failed write or sync (a second fsync after a failed one may lie) and never hides an errno:
// errors are *fs.PathError, so errors.Is finds the cause. SQLite's own files do not pass through here.
package vfs

// FS is a tree of files. Names are slash-separated paths. Implementations are safe for concurrent use.
//
// Durability is that of POSIX: a file's bytes are kept once Datasync of the file returned; its name is kept once SyncDir of
// the directory that holds the name returned. Neither implies the other.
type FS interface {
	// Create makes a new file for reading and writing, mode 0600; it is an error (fs.ErrExist) if the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading only.
	Open(name string) (File, error)
	// OpenWrite opens an existing file for reading and writing.
	OpenWrite(name string) (File, error)
	// Remove removes a file.
	Remove(name string) error
	// Rename gives a file a new name, replacing what had it.
	Rename(from, to string) error
	// MkdirAll makes a directory and its parents, mode 0700. Existing ones are no error.
	MkdirAll(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// ReadDir lists the names in a directory in order.
	ReadDir(name string) ([]string, error)
	// Size returns the length of a file in bytes.
	Size(name string) (int64, error)
}

// File is an open file. ReadAt, WriteAt and WriteVecAt may be called concurrently.
type File interface {
	// ReadAt is io.ReaderAt.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt is io.WriterAt.
	WriteAt(p []byte, off int64) (int, error)
	// WriteVecAt writes the pieces one after another from off, as one system call where the platform allows. It returns the
	// bytes written; fewer than all means an error.
	WriteVecAt(pieces [][]byte, off int64) (int64, error)
	// Truncate sets the length.
	Truncate(size int64) error
	// Size returns the length in bytes.
	Size() (int64, error)
	// Datasync makes the contents, and the length, durable (fdatasync(2)).
	Datasync() error
	// Close closes the file; it makes nothing durable.
	Close() error
}
