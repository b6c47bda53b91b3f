// Package trace keeps what became of connections and messages, in the order in which it happened, so that `postrider trace`
// can tell it: connection, TLS, login, what the rules found, routing, queueing, each attempt, each recipient's outcome.
//
// A Trace takes outcomes (package obs) from the running server. Each becomes one line of JSON with the keys of the log. Lines
// are collected in blocks and written, compressed, to segment files, a new one every hour; each block carries a filter of the
// ids, addresses and Message-IDs in it, so that a search decompresses only what may answer it. A segment is a valid Zstandard
// file (RFC 8878): the filters are skippable frames, and `zstd -dc` prints the lines.
//
// Nothing is synced: a crash loses the last second, a power cut what the kernel had not written, and a torn block at a
// segment's end is passed over. Nothing of the mail system rests on it. Emit never waits for the disk: where that is slower
// than the mail, lines are lost, counted, and the loss is in the trace. Segments are removed by age and by the size of all.
//
// Files:
//
//	trace.go    Trace: the writer
//	line.go     an outcome as a line; its keys
//	bloom.go    the filter of a block
//	block.go    a block: filter and lines, as bytes
//	segment.go  segment files: names, writing, removal
//	scan.go     reading segments; what is torn or damaged
//	record.go   a line as it is read
//	search.go   what a question is about, and where to look
//	telling.go  records put together to stories
//	follow.go   what happens from now on
package trace

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/vfs"
)

// Options of a Trace.
type Options struct {
	FS     vfs.FS
	Dir    string // made when the first block is written
	Run    uint64 // of this process: ids of connections are unique within it only
	Now    func() time.Time
	Log    *slog.Logger
	Limits Limits
}

// Limits bound what is kept.
type Limits struct {
	Keep    time.Duration // segments whose last line is older are removed
	MaxSize int64         // bytes of all segments
}

const (
	blockSize = 256 << 10       // bytes of lines that make a block
	pace      = time.Second     // how long a line waits for others
	behind    = 8               // blocks that may wait for the disk
	largest   = 2 * blockSize   // of a block that waits; beyond that lines are lost
	rollAfter = time.Hour       // of a segment
	minRoll   = 1 << 20         // bytes: no segment is ended for its size before
	parts     = 16              // of MaxSize is the size of a segment
	grumble   = 5 * time.Minute // between two words in the log of the same trouble
)

// Trace takes outcomes and writes them down. It is an obs.Events.
type Trace struct {
	opt Options

	mu      sync.Mutex // guards what follows; never held while something is written
	block   *draft
	spare   *draft // one that was written
	closed  bool
	lost    atomic.Uint64
	limits  atomic.Pointer[Limits]
	full    chan *draft
	flush   chan chan struct{}
	stopped chan struct{}

	lines sync.Pool // of *line, to be used again
	out   writer    // of the goroutine
}

var _ obs.Events = (*Trace)(nil)

// New begins a trace. Close ends it.
func New(o Options) *Trace {
	t := &Trace{opt: o, block: &draft{}, full: make(chan *draft, behind), flush: make(chan chan struct{}), stopped: make(chan struct{})}
	t.Configure(o.Limits)
	t.out.Options = o
	go t.run()
	return t
}

// Configure changes the limits.
func (t *Trace) Configure(l Limits) { t.limits.Store(&l) }

// Emit notes an outcome. It returns at once.
func (t *Trace) Emit(e obs.Event) {
	l := t.newLine()
	defer t.lines.Put(l)
	if !l.describe(t.opt.Now(), e) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return
	case len(t.block.text)+len(l.text) > largest:
		t.lost.Add(1)
		return
	}
	t.block.add(l)
	if len(t.block.text) >= blockSize {
		t.hand()
	}
}

func (t *Trace) newLine() *line {
	if l, ok := t.lines.Get().(*line); ok {
		return l
	}
	return &line{}
}

// hand gives the block to the goroutine, unless too many wait there: then it goes on growing, up to largest.
func (t *Trace) hand() {
	select {
	case t.full <- t.block:
		t.block = t.another()
	default:
	}
}

// another is an empty block.
func (t *Trace) another() *draft {
	d := t.spare
	if t.spare = nil; d == nil {
		d = &draft{}
	}
	return d
}

// Flush writes down what is not, and returns when it is in the file.
func (t *Trace) Flush() {
	done := make(chan struct{})
	select {
	case t.flush <- done:
		<-done
	case <-t.stopped:
	}
}

// Close writes down what is not, and ends the trace.
func (t *Trace) Close() {
	t.mu.Lock()
	closed := t.closed
	t.closed = true
	t.mu.Unlock()
	if !closed {
		close(t.full)
	}
	<-t.stopped
}

// run writes blocks.
func (t *Trace) run() {
	defer close(t.stopped)
	defer t.out.end()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case b, more := <-t.full:
			if !more {
				t.take()
				return
			}
			t.write(b)
		case done := <-t.flush:
			t.take()
			close(done)
		case <-tick.C:
			t.take()
			t.out.retain(t.opt.Now(), *t.limits.Load())
		}
	}
}

// take writes whatever there is.
func (t *Trace) take() {
	for {
		select {
		case b, more := <-t.full:
			if more {
				t.write(b)
				continue
			}
		default:
		}
		break
	}
	t.mu.Lock()
	b := t.block
	t.block = t.another()
	t.mu.Unlock()
	t.write(b)
}

// write writes a block, with a line of its own for what was lost before.
func (t *Trace) write(b *draft) {
	if n := t.lost.Swap(0); n > 0 {
		l := t.newLine()
		l.loss(t.opt.Now(), n)
		b.add(l)
		t.lines.Put(l)
	}
	if len(b.text) > 0 {
		t.lost.Add(t.out.write(b, *t.limits.Load()))
	}
	b.reset()
	t.mu.Lock()
	t.spare = b
	t.mu.Unlock()
}
