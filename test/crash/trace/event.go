// Package trace reads what strace wrote about a program and turns it into
// events: which call, on which file or socket, with which bytes, begun before
// what and returned after what.
//
// It stands under the order proof (test/crash/order) and the power-cut replay
// (test/crash/replay). Options gives the strace options it understands.
//
// Order is the line order of the one output file, not the clock. strace writes
// the beginning of a call while the caller is stopped before the kernel acts,
// and its end while the caller is stopped after it has acted. So if the line
// with the end of A stands before the line with the beginning of B, then A was
// over before B could start. Nothing weaker than this is ever concluded.
//
// It never guesses. Data that strace cut short, a line it cannot read, or a
// resumed call that was never begun is an error, because a proof over half a
// trace would be worth nothing.
//
// Files: event.go (the values), parse.go (lines, unfinished and resumed calls),
// args.go (arguments, strings, descriptors), calls.go (what each call means).
package trace

import "math"

// Kind says what an event does to the disk or the network.
type Kind int

// The kinds of events. Opaque is a change that a trace cannot show (splice,
// copy_file_range, a shared writable mapping, io_uring): whoever relies on the
// trace must refuse it.
const (
	Other Kind = iota
	Open
	Write
	Sync
	Truncate
	Allocate
	Rename
	Link
	Unlink
	Mkdir
	Seek
	Dup
	Opaque
)

// Never is the End of a call that had not returned when the trace ended.
const Never = math.MaxInt64

// Event is one system call.
type Event struct {
	// Begin and End are the numbers, from 1, of the lines in which the call
	// began and returned; the same number if nothing came between.
	Begin, End int64
	PID        int
	Call       string // as strace names it
	Kind       Kind
	FD         int    // descriptor worked on, or that open and dup returned; -1: none
	Path       string // absolute path of a file, or strace's words for a socket: "TCP:[a:p->b:q]"
	Deleted    bool   // the file had no name left when the call began
	To         string // rename, link: the new path
	Flags      string // open, fallocate, rename: symbolic flags
	Offset     int64  // write: where; -1 = at the descriptor's position
	Data       []byte // write: the bytes; after return only those that were written
	Size       int64  // truncate: the new size; fallocate: offset + length
	Result     int64  // -1 on error, and when the call never returned
	Err        string // "EIO", …; empty on success
}

// OK reports whether the call returned without error.
func (e *Event) OK() bool { return e.End != Never && e.Err == "" }

// Options are the strace options whose output Parse understands; the caller
// adds -o FILE and the program.
//
//   - -f, one output file: all threads, in one order;
//   - --seccomp-bpf: only the calls named here stop the program;
//   - -yy: descriptors come with path or socket addresses;
//   - -x -s: the bytes, complete, readable where they are text.
func Options() []string {
	return []string{"-f", "--seccomp-bpf", "-yy", "-x", "-s", "16777216", "-ttt", "-T",
		"-e", "signal=none", "-e", "trace=" + calls}
}

// Not among them: close (a descriptor means what the next open of its number
// says), sync_file_range and msync (neither promises anything here: the first
// syncs no metadata, the second is about mappings, which are Opaque), reads.
const calls = "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg," +
	"truncate,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir," +
	"mkdir,mkdirat,fsync,fdatasync,lseek,dup,dup2,dup3,mmap,io_uring_setup,copy_file_range,sendfile,splice"
