package directory

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/db"
)

// DefaultTenant owns everything until there are others.
const DefaultTenant = 1

// DefaultDelimiter begins an address extension: alice+lists@ is alice@.
const DefaultDelimiter = "+"

// Domain is a domain of ours.
type Domain struct {
	Name      string // A-labels, lower case
	Tenant    int64
	CatchAll  address.Address // takes what nobody else takes; zero for none
	Delimiter string          // each of these characters begins an address extension; "" for none
	Created   time.Time
}

// Account is a mailbox's owner.
type Account struct {
	ID      int64 // never used again
	Tenant  int64
	Address address.Address
	NoLogin bool // receives mail, nobody logs in
	Created time.Time
}

// Alias leads from an address to others.
type Alias struct {
	Address address.Address
	Tenant  int64
	Targets []address.Address // here or elsewhere, in order, without repetition
	Created time.Time
}

// Options of a Directory. The zero value is usable.
type Options struct {
	// HostDomain is the domain of this host: a login without a domain is in it, and its postmaster@ takes what is for
	// postmaster@ and abuse@ of domains that have none of their own.
	HostDomain string
	Now        func() time.Time // nil: time.Now
	Random     io.Reader        // nil: crypto/rand
	Log        *slog.Logger     // nil: discarded
	Hash       HashParams       // zero: DefaultHash
	System     SystemUsers      // nil: accounts of system users cannot log in
	// Lane is how many passwords are hashed at once (each needs Hash.MemoryKiB); 0: 2. LaneQueue is how many may wait; 0: 1024.
	Lane, LaneQueue int
}

// Directory is the domains, accounts and aliases of this installation. It is safe for concurrent use.
type Directory struct {
	store   store
	opt     Options
	log     *slog.Logger
	cache   cache
	auth    authCache
	lane    *lane
	outside *lane // for passwords that something else checks
}

// New makes a Directory on a database that has the schema of store.db.
func New(ctx context.Context, d *db.DB, opt Options) (*Directory, error) {
	opt.setDefaults()
	s := &sqlStore{db: d, now: opt.Now}
	if err := s.initialise(ctx, opt.Random); err != nil {
		return nil, err
	}
	return newDirectory(s, opt)
}

// NewMemory makes an empty Directory in memory, for tests.
func NewMemory(opt Options) (*Directory, error) {
	opt.setDefaults()
	s, err := newMemory(opt.Random)
	if err != nil {
		return nil, err
	}
	return newDirectory(s, opt)
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hash == (HashParams{}) {
		o.Hash = DefaultHash()
	}
	if o.Lane <= 0 {
		o.Lane = 2
	}
	if o.LaneQueue <= 0 {
		o.LaneQueue = defaultQueue
	}
}

func newDirectory(s store, opt Options) (*Directory, error) {
	d := &Directory{store: s, opt: opt, log: opt.Log, lane: newLane(opt.Lane, opt.LaneQueue),
		outside: newLane(systemLane, systemQueue)}
	return d, d.auth.start(opt.Random)
}

// update changes the directory and drops what was remembered of it, also when the change failed: it may be unclear
// whether a failed commit took place.
func (d *Directory) update(ctx context.Context, fn func(tables) error) error {
	defer d.cache.invalidate()
	return d.store.update(ctx, fn)
}
