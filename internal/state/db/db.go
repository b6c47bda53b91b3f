package db

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/durable"
	"zombiezen.com/go/sqlite"
)

// Sync says what a commit promises.
type Sync int

const (
	SyncFull   Sync = iota // committed means on stable storage
	SyncNormal             // a power cut may lose the last commits; the file stays sound. For what can be rebuilt
)

const (
	defaultReaders         = 4
	defaultMaxBatch        = 256                   // functions in one transaction
	defaultMaxBatchTime    = 20 * time.Millisecond // of running functions before the commit
	defaultQueue           = 1024                  // functions waiting; beyond it Write itself waits
	defaultCheckpointBytes = 32 << 20
	defaultCheckpointDelay = 10 * time.Second // at most so long after a commit the log is moved into the database
	busyTimeout            = 30 * time.Second
)

// Options of Open. The zero value is usable.
type Options struct {
	Schema fs.FS            // numbered migrations NNNN_name.sql; nil: none
	Sync   Sync             // SyncFull unless the database can be rebuilt
	Now    func() time.Time // clock; nil: time.Now
	Log    *slog.Logger     // nil: discarded
	// Fatal is called once, by the goroutine that met the error, when the database can no longer be trusted. It must
	// return at once and must not call Close; the owner lets the process end with a non-zero code.
	Fatal func(error)

	Readers         int           // read connections, opened when needed
	MaxBatch        int           // functions in one transaction
	Queue           int           // functions that may wait for the writer
	CheckpointBytes int64         // size of the write-ahead log that starts a checkpoint
	CheckpointDelay time.Duration // the longest time until committed pages are moved into the database

	// Durable is asked after every commit, before it is acknowledged; nil: durable.Local.
	Durable durable.Waiter

	// For tests and benchmarks.
	maxPages int64 // PRAGMA max_page_count
	pageSize int64
	cacheKiB int
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.Readers, defaultReaders)
	setDefault(&o.MaxBatch, defaultMaxBatch)
	setDefault(&o.Queue, defaultQueue)
	setDefault(&o.CheckpointBytes, defaultCheckpointBytes)
	setDefault(&o.CheckpointDelay, defaultCheckpointDelay)
	setDefault(&o.pageSize, pageSize)
	setDefault(&o.cacheKiB, writerCacheKiB)
	if o.Durable == nil {
		o.Durable = durable.Local{}
	}
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	path   string
	dir    string // of the file, "" in memory
	memory bool
	opt    Options
	log    *slog.Logger
	fatal  atomic.Pointer[status.Error]
	stats  counters
	pg     *postgres // nil: the engine is SQLite

	// Readers: a slot is a connection or nil, which is opened at first use.
	readers chan *reader

	// closing guards the queue's end: senders hold it shared.
	closing sync.RWMutex
	closed  bool
	queue   chan *request
	stopped chan struct{} // the writer has answered everything

	// commitMu is held by the writer for a batch and by the checkpointer for the tail of a checkpoint. It is the only
	// lock held while the engine works.
	commitMu sync.Mutex
	link     link         // the writer's connection
	writer   *sqlite.Conn // the same on SQLite, else nil
	wtx      Tx
	batch    []*request
	kick     chan struct{} // there is something to checkpoint
	urgent   chan struct{} // the log is over its size
	ckptDone chan struct{}
}

type reader struct {
	link link
	tx   Tx
}

// Open opens the database file at path, creates it if it is not there, brings its schema up to date and starts the
// writer and the checkpointer. The caller holds the lock of the data directory: one process at a time.
func Open(ctx context.Context, path string, opt Options) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("db: open %s: %w", path, err)
	}
	return open(ctx, &DB{path: abs, dir: filepath.Dir(abs), opt: opt})
}

// OpenMemory opens an empty database that lives in memory until Close. Its semantics are those of a file, except that a
// reader and the commit of a writer wait for each other.
func OpenMemory(ctx context.Context, opt Options) (*DB, error) {
	// Databases of this file system are shared by name within the process.
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("db: open in memory: %w", err)
	}
	name := "file:/" + id.String() + "?vfs=memdb"
	return open(ctx, &DB{path: name, memory: true, opt: opt})
}

func open(ctx context.Context, d *DB) (*DB, error) {
	d.opt.setDefaults()
	d.log = d.opt.Log
	var err error
	if d.writer, err = d.openConn(roleWriter); err != nil {
		return nil, err
	}
	if err := d.migrate(ctx); err != nil {
		return nil, closing(d.writer, err)
	}
	d.link = sqliteLink{d.writer}
	var checkpointer *sqlite.Conn
	if !d.memory {
		if checkpointer, err = d.openConn(roleCheckpointer); err != nil {
			return nil, closing(d.writer, err)
		}
	}
	d.start()
	if d.memory {
		close(d.ckptDone)
	} else {
		go d.checkpointer(checkpointer)
	}
	return d, nil
}

// start makes what every engine needs and starts the writer on d.link.
func (d *DB) start() {
	d.wtx = Tx{db: d}
	d.link.serve(&d.wtx)
	d.readers = make(chan *reader, d.opt.Readers)
	for range d.opt.Readers {
		d.readers <- nil
	}
	d.queue = make(chan *request, d.opt.Queue)
	d.stopped = make(chan struct{})
	d.kick = make(chan struct{}, 1)
	d.urgent = make(chan struct{}, 1)
	d.ckptDone = make(chan struct{})
	go d.write()
}

// Read runs fn in a read transaction on the caller's goroutine: fn sees one snapshot of the last commit. When ctx ends,
// the next statement or row returns its error.
func (d *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	if err := d.failed(); err != nil {
		return err
	}
	var r *reader
	select {
	case r = <-d.readers:
	default:
		select {
		case r = <-d.readers:
		case <-d.stopped:
			return status.ErrShutdown
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { d.readers <- r }()
	if r == nil {
		select {
		case <-d.stopped:
			return status.ErrShutdown
		default:
		}
	}
	r, err := d.beginRead(ctx, r)
	if err != nil {
		return err
	}
	d.stats.reads.Add(1)
	return d.read(ctx, r, fn)
}

// beginRead begins a read transaction on r, or on a new connection if there is none or it was lost while nobody used it.
func (d *DB) beginRead(ctx context.Context, r *reader) (*reader, error) {
	if r != nil {
		err := r.link.begin(roleReader)
		if err == nil {
			return r, nil
		}
		if !r.link.lost() {
			return r, d.wrap("begin", err)
		}
	}
	link, err := d.openLink(ctx)
	if err != nil {
		return nil, d.wrap("open reader", err)
	}
	r = &reader{link: link, tx: Tx{db: d}}
	link.serve(&r.tx)
	return r, d.wrap("begin", link.begin(roleReader))
}

// openLink opens a connection for reading.
func (d *DB) openLink(ctx context.Context) (link, error) {
	if d.pg != nil {
		return d.pg.connect(ctx, roleReader)
	}
	conn, err := d.openConn(roleReader)
	if err != nil {
		return nil, err
	}
	return sqliteLink{conn}, nil
}

func (d *DB) read(ctx context.Context, r *reader, fn func(*Tx) error) (err error) {
	r.tx.start(ctx)
	defer func() {
		// Also when fn panics: the panic goes on, the connection is clean again.
		r.tx.finish()
		if e := r.link.run(sqlRollback); e != nil && err == nil {
			err = d.wrap("end of read", e)
		}
	}()
	if err := fn(&r.tx); err != nil {
		return err
	}
	return r.tx.err
}

// Close runs what is queued, answers it, checkpoints and closes all connections. Writes and reads after it get
// status.ErrShutdown. It waits for reads that are under way.
func (d *DB) Close() error {
	d.closing.Lock()
	if d.closed {
		d.closing.Unlock()
		return nil
	}
	d.closed = true
	close(d.queue)
	d.closing.Unlock()
	<-d.stopped
	<-d.ckptDone
	var first error
	keep := func(err error) {
		if err != nil && first == nil {
			first = err
		}
	}
	for range d.opt.Readers {
		if r := <-d.readers; r != nil {
			keep(r.link.Close())
		}
	}
	if !d.memory && d.pg == nil && d.failed() == nil {
		keep(d.truncate())
	}
	keep(d.link.Close())
	if first == nil {
		return d.failed()
	}
	return first
}

// call runs fn and turns a panic into an error.
func (d *DB) call(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			d.log.Error("panic in a write", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("db: panic in a write: %v", r)
		}
	}()
	return fn(tx)
}

const (
	sqlBegin          = "BEGIN"
	sqlBeginImmediate = "BEGIN IMMEDIATE"
	sqlCommit         = "COMMIT"
	sqlRollback       = "ROLLBACK"
	sqlSavepoint      = "SAVEPOINT f"
	sqlRelease        = "RELEASE f"
	sqlRollbackTo     = "ROLLBACK TO f"
)

// run executes a statement without parameters and rows.
func run(conn *sqlite.Conn, sql string) error {
	stmt, err := conn.Prepare(sql)
	if err != nil {
		return err
	}
	_, err = stmt.Step()
	return err
}

// Stats are figures since Open.
type Stats struct {
	Reads       int64 // read transactions
	Writes      int64 // functions given to Write or Submit that were run
	Commits     int64 // transactions that held them
	Checkpoints int64
	LogPages    int64 // in the write-ahead log now
	Written     int64 // pages written to the write-ahead log
}

type counters struct {
	reads, writes, commits, checkpoints, logPages, written atomic.Int64
}

// Stats returns the figures of now.
func (d *DB) Stats() Stats {
	return Stats{
		Reads: d.stats.reads.Load(), Writes: d.stats.writes.Load(), Commits: d.stats.commits.Load(),
		Checkpoints: d.stats.checkpoints.Load(), LogPages: d.stats.logPages.Load(),
		Written: d.stats.written.Load(),
	}
}
