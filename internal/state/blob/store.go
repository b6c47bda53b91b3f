package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/durable"
	"github.com/postrider/postrider/internal/vfs"
)

// Options of Open. FS, Dir and Catalog are needed; the rest has defaults.
type Options struct {
	FS      vfs.FS
	Dir     string // holds the packs and nothing else; made if missing
	Catalog Catalog
	Node    uint32 // writes its own packs only
	Epoch   int64  // of the node, counted at every start

	Installation Installation // written into new packs; zero: none

	Durable durable.Waiter   // nil: durable.Local
	Clock   func() time.Time // nil: time.Now
	Rand    io.Reader        // for the packs' marks; nil: crypto/rand
	Log     *slog.Logger     // nil: discarded
	// Fatal is called once, by the goroutine that met the error, when the store has failed. It must return at once and
	// must not call Close; the owner lets the process end with a non-zero code.
	Fatal func(error)

	PackSize int64 // a pack that would grow beyond it is sealed; default 256 MiB
	SmallMax int   // the longest body that is collected in memory, bytes; default 256 KiB
	Ready    int   // empty packs kept ready; default 3
	Fill     int64 // zeros written ahead of the records, at most, bytes; default 32 MiB; negative: none
	Handles  int   // packs open for reading at once; default 128
	Queue    int   // Commits that may wait for the appending goroutine; default 1024
}

const (
	defaultPackSize = 256 << 20
	defaultSmallMax = 256 << 10
	defaultReady    = 3
	defaultFill     = 32 << 20
	defaultHandles  = 128
	defaultQueue    = 1024
)

func (o *Options) setDefaults() {
	if o.Durable == nil {
		o.Durable = durable.Local{}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.PackSize, defaultPackSize)
	setDefault(&o.SmallMax, defaultSmallMax)
	setDefault(&o.Ready, defaultReady)
	setDefault(&o.Handles, defaultHandles)
	if o.Fill == 0 {
		o.Fill = defaultFill
	}
	setDefault(&o.Queue, defaultQueue)
}

func setDefault[T int | int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Store is an open blob store. It is safe for concurrent use. Locks are taken in the order making, mu, handles.
type Store struct {
	opt     Options
	log     *slog.Logger
	bufs    *buffers
	handles *handles
	codec   codec
	stats   counters

	groupBytes atomic.Int64 // of a group, moving average
	fatal      atomic.Pointer[status.Error]

	ctx  context.Context // of the goroutines; ends at the end of Close
	stop context.CancelFunc

	queue    chan *Writer   // Commits of small bodies
	sealOld  chan time.Time // to the appending goroutine: SealOlder
	appended chan struct{}  // closed when the appending goroutine is gone
	kick     chan struct{}  // the keeper has work
	kept     chan struct{}  // closed when the keeper is gone
	commits  sync.WaitGroup // Commits under way

	making   sync.Mutex // one pack is made at a time
	reserved int64      // pack that has a row but could not be made yet

	mu      sync.Mutex
	closed  bool
	packs   map[int64]*pack // being written, or with unsettled records
	copying map[int64]bool  // packs that Compact writes
	ready   []*pack         // empty, durable, name and all
	filled  *pack           // the same, with zeros written ahead; or nil
	seal    []*pack         // complete, the catalog does not know yet
	replay  []Row           // found at Open, not replayed yet

	fillAt int64 // no filling before so many bytes were appended

	current *pack // of the appending goroutine
}

// Stats are figures since Open.
type Stats struct {
	Commits int64 // acknowledged records
	Groups  int64 // groups of small bodies: one write, one sync each
	Syncs   int64 // fdatasync that carried records, groups and large bodies
	Bytes   int64 // of records written
	Packs   int64 // made
}

type counters struct{ commits, groups, syncs, bytes, packs atomic.Int64 }

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	return Stats{
		Commits: s.stats.commits.Load(), Groups: s.stats.groups.Load(), Syncs: s.stats.syncs.Load(),
		Bytes: s.stats.bytes.Load(), Packs: s.stats.packs.Load(),
	}
}

// Open opens the packs in opt.Dir, readies some empty ones and starts the store's goroutines. The caller holds the lock of
// the data directory. Before it lets any acceptance in, it runs Replay.
func Open(ctx context.Context, opt Options) (*Store, error) {
	opt.setDefaults()
	s := &Store{
		opt:      opt,
		log:      opt.Log,
		bufs:     newBuffers(opt.SmallMax),
		queue:    make(chan *Writer, opt.Queue),
		sealOld:  make(chan time.Time),
		appended: make(chan struct{}),
		kick:     make(chan struct{}, 1),
		kept:     make(chan struct{}),
		packs:    map[int64]*pack{},
		copying:  map[int64]bool{},
	}
	s.handles = newHandles(s.openHandle, opt.Handles)
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.load(ctx); err != nil {
		s.stop()
		s.closeFiles()
		return nil, fmt.Errorf("blob: open %s: %w", opt.Dir, err)
	}
	go s.appendGroups()
	go s.keep()
	s.wake()
	return s, nil
}

// Failed returns the error after which the store acknowledges nothing more, or nil.
func (s *Store) Failed() error {
	if e := s.fatal.Load(); e != nil {
		return e
	}
	return nil
}

// fail makes the store refuse everything from now on and tells the owner once. It returns the error to answer with.
func (s *Store) fail(op string, err error) error {
	e := status.ErrFatal.With("blob: "+op, err)
	if s.fatal.CompareAndSwap(nil, e) {
		s.log.Error("blob store failed; nothing more is acknowledged", "op", op, "err", err)
		if s.opt.Fatal != nil {
			s.opt.Fatal(e)
		}
	}
	return e
}

// failWrite judges a failed operation other than a sync: no space or read-only leaves the store working.
func (s *Store) failWrite(op string, err error) error {
	if vfs.Classify(err) == vfs.Temporary {
		return status.ErrNoSpace.With("blob: "+op, err)
	}
	return s.fail(op, err)
}

// begin enters a Commit; every nil needs one s.commits.Done.
func (s *Store) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Failed(); err != nil {
		return err
	}
	if s.closed {
		return status.ErrShutdown
	}
	s.commits.Add(1)
	return nil
}

// Close lets the Commits under way finish, seals what is open, writes the settled positions and closes all files. Later
// calls of Create and Commit get status.ErrShutdown. Readers must have stopped. It returns the error that failed the store,
// if one did.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.commits.Wait()
	close(s.queue)
	<-s.appended
	s.stop()
	<-s.kept
	err := s.Failed()
	if err == nil {
		if s.current != nil {
			s.retire(s.current)
		}
		if s.filled != nil {
			s.retire(s.filled)
		}
		s.sealAll(ctx)
		err = s.FlushSettled(ctx)
	}
	return errors.Join(err, s.closeFiles())
}

// closeFiles closes every file but those of large bodies not committed yet: their Abort does.
func (s *Store) closeFiles() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.handles.close()}
	for _, p := range s.ready {
		errs = append(errs, p.close())
	}
	if s.filled != nil {
		errs = append(errs, s.filled.close())
	}
	for _, p := range s.packs {
		if !p.streaming {
			errs = append(errs, p.close())
		}
	}
	s.ready, s.filled = nil, nil
	return errors.Join(errs...)
}

// load looks at every pack that the last run left unfinished.
func (s *Store) load(ctx context.Context) error {
	if err := s.makeDir(); err != nil {
		return err
	}
	rows, err := s.opt.Catalog.Unfinished(ctx, s.opt.Node)
	if err != nil {
		return err
	}
	for _, r := range rows {
		switch r.State {
		case PackOpen:
			err = s.loadOpen(ctx, r)
		case PackDeleted:
			err = s.removeFile(ctx, r.Pack)
		default:
			s.replay = append(s.replay, r)
		}
		if err != nil {
			return err
		}
	}
	// A killed process may leave names that only the page cache knows; the packs kept ready are used without a further
	// look, so their names must be on the disk now.
	return s.opt.FS.SyncDir(s.opt.Dir)
}

// makeDir makes the directory, and its name durable. The parent is synced even where the directory exists: the process
// that made it may have been killed before its own sync.
func (s *Store) makeDir() error {
	parents := []string{path.Dir(s.opt.Dir)}
	for dir := parents[0]; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if _, err := s.opt.FS.ReadDir(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, path.Dir(dir))
	}
	if err := s.opt.FS.MkdirAll(s.opt.Dir); err != nil {
		return err
	}
	for _, dir := range parents {
		if err := s.opt.FS.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// loadOpen sorts a pack that was not sealed: never made, empty (then it is ready again), or to be replayed.
func (s *Store) loadOpen(ctx context.Context, r Row) error {
	if r.Kind == KindCopies {
		// A compaction that did not come to its end: nothing refers to the copies, and their sources are all there.
		return s.removeFile(ctx, r.Pack)
	}
	size, err := s.opt.FS.Size(s.path(r.Pack))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// The power went before the file's name was durable, so nothing in it was acknowledged.
		return s.opt.Catalog.Gone(ctx, r.Pack)
	case err != nil:
		return err
	case size > packHeaderSize:
		s.replay = append(s.replay, r)
		return nil
	}
	p, err := s.makeFile(r.Pack, KindJournal)
	if err == nil {
		s.ready = append(s.ready, p)
	}
	return err
}
