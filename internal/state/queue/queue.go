package queue

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// Task is one attempt: recipients of one job that share transport and route.
type Task struct {
	Job        *flow.Job
	Recipients []flow.Recipient
	Attempts   int       // failed ones before this
	Due        time.Time // when the scheduler might have started it

	unit sched.Unit
	item *item
	rest *sched.Rest // not to be tried: its site rests, and it has waited long enough
}

// Agent attempts deliveries of one transport.
type Agent interface {
	// Deliver attempts each task and returns when all are tried: out[i] are the outcomes of tasks[i]'s recipients. A
	// recipient without an outcome is deferred. When ctx ends it stops as soon as no outcome would be lost.
	Deliver(ctx context.Context, tasks []*Task) (out [][]flow.Outcome)
}

// Notice is a delivery status notification that is due. Outcomes that are Deferred say that the mail is late (RFC 3464 §2.3.3,
// "delayed"), and is still tried.
type Notice struct {
	Job        *flow.Job
	Recipients []flow.Recipient
	Outcomes   []flow.Outcome // parallel to Recipients
	// Warning is what Deferred recipients' senders are warned of, 0 for what has ended: the same recipients may be warned of twice.
	Warning uint8
}

// Reporter sends notices.
type Reporter interface {
	// Report returns nil once the notification is durable in the queue, or none can be sent (null reverse-path). It may be
	// called again for the same notice after a crash; the id of the notification is derived, so that there is one.
	Report(ctx context.Context, n *Notice) error
}

// Journal is the accept journal in the packs.
type Journal interface {
	// Settle says that a record needs no replay any more.
	Settle(ref recipe.BlobRef)
	// FlushSettled makes the settled positions durable.
	FlushSettled(ctx context.Context) error
	// Saved tells whether a start would not replay the record of ref.
	Saved(ref recipe.BlobRef) bool
}

// Ledger is the mailstore's record of deliveries.
type Ledger interface {
	Delivered(ctx context.Context, id queueid.ID, recipient int) (bool, error)
	// Forget drops the rows of ids before an id, but for those that keep is true for. keep is asked in the transaction that
	// deletes, so that it knows of every job whose rows it is asked about; it is quick and does no I/O.
	Forget(ctx context.Context, before queueid.ID, keep func(queueid.ID) bool) error
}

// Lane is how one transport is served.
type Lane struct {
	Agent   Agent
	Workers int // calls of Deliver at once
	Batch   int // recipients given to one call, but for the last task's
	// Pace is the least time between two calls unless a whole batch waits: tasks gather meanwhile, and share a commit.
	Pace time.Duration
}

// Options of New. DB, Journal, Ledger, Lanes and Reporter are required.
type Options struct {
	DB       *db.DB
	Journal  Journal
	Ledger   Ledger
	Lanes    map[flow.Transport]Lane
	Reporter Reporter
	Retry    Retry
	Policy   sched.Policy
	Now      func() time.Time
	Jitter   func() float64 // in [0, 1)
	Log      *slog.Logger
	// Removed hears of every job that leaves the queue, after the events of its recipients; nil: nobody. It must be brief.
	Removed func(queueid.ID)
	// Route gives the key of what shares connections and limits with a recipient; nil: RouteOf.
	Route func(*flow.Recipient) string
	// Event hears of every outcome, for logs and metrics. It must be brief.
	Event func(j *flow.Job, r *flow.Recipient, o *flow.Outcome)
	// Resolve asks anew for the way of a recipient, for Requeue; nil: the way stays.
	Resolve func(ctx context.Context, job *flow.Job, r *flow.Recipient) ([]flow.Recipient, error)
	// Site tells which site a domain's mail exchangers belong to, and until when that holds; "": the DNS has no answer now. nil:
	// each domain is a site.
	Site func(ctx context.Context, domain string) (site string, until time.Time)
	// Window bounds the recipients in memory whose jobs have rows. Default 100,000.
	Window int
	// MaxIncoming bounds the jobs in memory without rows, and ten times as many their recipients (some 430 bytes each); Admit
	// waits beyond it. Default 20,000.
	MaxIncoming int
	// Patience is how long a job may live without rows. Default 3 s.
	Patience time.Duration
	// MailboxPatience is the same for a job that only our own mailstore keeps waiting: rows would need the database that it
	// waits for, and more of it than the delivery. Default 60 s.
	MailboxPatience time.Duration
}

// Queue is the queue. It is safe for concurrent use.
type Queue struct {
	opt Options

	mu       sync.Mutex // guards what follows; no I/O under it
	sched    *sched.Scheduler
	lanes    map[flow.Transport]*lane
	jobs     map[queueid.ID]*item
	incoming int                           // items without rows
	waiting  int                           // the recipients that they came with
	admit    chan struct{}                 // closed and replaced when there is room; nil when nobody waits
	journal  []journalEntry                // records that a start would replay, in the order of Submit
	swept    int                           // entries of journal before it are done with or have rows
	turns    uint64                        // units made so far
	replayed map[queueid.ID]recipe.BlobRef // records of jobs in rows only that a start would replay
	retry    Retry

	resident    [len(classes)]int       // recipients in memory of items with rows, by class
	payers      map[string]int          // the same, by payer
	lines       map[string]int          // recipients that the scheduler has, by site
	away        map[State]int           // jobs in rows only
	parked      map[*item]bool          // of which something waits that the rows do not say yet
	departed    map[queueid.ID]bool     // not nil: rows are being read; jobs that left memory meanwhile
	crowded     map[string]bool         // sites of which feed has passed something over
	rewind      [len(classes)]bool      // feed has to begin anew when there is room
	rewound     [len(classes)]time.Time // when it did last
	wanting     [len(classes)]bool      // feed has stopped for lack of room
	soonest     [len(classes)]int64     // microseconds: before, feed finds nothing behind where it looked
	passed      [len(classes)]place     // up to where feed has looked
	flushed     [len(classes)]time.Time // not zero: what was tried before is due
	flushPassed [len(classes)]place     // up to where feed has looked for that
	sites       map[string]string       // by domain, as far as Site told
	asking      int                     // calls of Site under way
	mercy       time.Time               // the clock jumped forward: nothing expires before
	hungry      chan struct{}           // capacity 1: feed has something to do
	clock       clock                   // as it was last looked at
	cleaned     time.Time               // when the ledgers were, by the sweeper alone
	loading     sync.Mutex              // one fetch at a time; taken before mu

	gone     []queueid.ID // jobs that left, of whom Removed has not heard yet
	untold   []untried    // what sweep is to say of recipients whose site rests
	stopping bool
	timer    *time.Timer
	loaded   bool          // the rows are in memory, and changes of them are written
	started  bool          // deliveries are made
	idle     chan struct{} // closed when a worker ends; nil when nobody waits

	operator sync.Mutex // one Change at a time; taken before mu

	tally  rowStats
	ops    opList
	live   liveSet
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // workers, persister, sweeper
}

type journalEntry struct {
	id  queueid.ID
	ref recipe.BlobRef
}

// item is a job in the queue.
type item struct {
	id        queueid.ID
	job       *flow.Job      // nil: only the rows have it, and nobody needs it now
	ref       recipe.BlobRef // its record; zero when a start before the last one has settled it
	rows      bool           // it has rows, or they are being written
	stored    bool           // it has rows
	held      bool
	corrupt   bool // held because its message cannot be read
	payer     string
	urgency   sched.Class
	release   time.Time // nothing is tried before
	expires   time.Time
	pending   int // changes of its rows that are not durable
	pinned    int // by how many it is kept in memory
	counted   int // of its recipients in Queue.resident
	received  time.Time
	size      int64
	submitted time.Time
	came      int          // recipients at first
	flying    int          // recipients in attempts under way
	rcpts     []*recipient // not done, by number; empty: the last change of it is being written
}

// recipient is a recipient that is not done with.
type recipient struct {
	no        int
	transport flow.Transport
	route     string
	site      string // as far as it is known, else the route
	rowSite   string // what its row says, by which feed looks for it
	attempts  int
	warned    uint8 // warnedDelay, warnedBy
	next      time.Time
	turn      uint64       // of the unit that stands for it in the scheduler, 0: none; an older unit is void
	flying    bool         // in an attempt under way
	done      bool         // about to be dropped from its item
	last      flow.Outcome // of the last attempt; At zero: none yet
}

func (it *item) find(no int) *recipient {
	i, found := slices.BinarySearchFunc(it.rcpts, no, func(r *recipient, no int) int { return cmp.Compare(r.no, no) })
	if !found {
		return nil
	}
	return it.rcpts[i]
}

// Defaults.
const (
	defaultMaxIncoming = 20_000
	defaultPatience    = 3 * time.Second
	mailboxPatience    = time.Minute
	perIncoming        = 10               // recipients for each job of MaxIncoming
	admitPatience      = 20 * time.Second // Admit waits at most so long
)

// New makes a queue that runs nothing until Start.
func New(o Options) *Queue {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Route == nil {
		o.Route = RouteOf
	}
	if o.Event == nil {
		o.Event = func(*flow.Job, *flow.Recipient, *flow.Outcome) {}
	}
	if len(o.Retry.Waits) == 0 {
		o.Retry = DefaultRetry()
	}
	if o.MaxIncoming == 0 {
		o.MaxIncoming = defaultMaxIncoming
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.MailboxPatience == 0 {
		o.MailboxPatience = mailboxPatience
	}
	if o.Window == 0 {
		o.Window = defaultWindow
	}
	q := &Queue{opt: o, sched: sched.New(o.Policy), lanes: map[flow.Transport]*lane{}, jobs: map[queueid.ID]*item{},
		replayed: map[queueid.ID]recipe.BlobRef{}, retry: o.Retry, lines: map[string]int{}, payers: map[string]int{}, away: map[State]int{}, parked: map[*item]bool{},
		crowded: map[string]bool{}, sites: map[string]string{}, hungry: make(chan struct{}, 1), clock: reading(o.Now())}
	for t, l := range o.Lanes {
		q.lanes[t] = &lane{Lane: l, full: make(chan struct{}, 1)}
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.ops.wake, q.ops.hurry = make(chan struct{}, 1), make(chan struct{}, 1)
	return q
}

// ErrBusy is Admit's answer when deliveries do not keep up.
var ErrBusy = status.Temp(451, 3, 2, "Too much mail is waiting for delivery; try again later")

// Admit returns when the queue has room for one more job, or with ErrBusy. Acceptance calls it before it takes a message.
func (q *Queue) Admit(ctx context.Context) error {
	var patience <-chan time.Time
	for {
		q.mu.Lock()
		if q.room() {
			q.mu.Unlock()
			return nil
		}
		if q.admit == nil {
			q.admit = make(chan struct{})
		}
		room := q.admit
		q.mu.Unlock()
		if patience == nil {
			patience = time.After(admitPatience)
		}
		select {
		case <-room:
		case <-patience:
			return ErrBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ErrKnown is Submit's refusal of an id that the queue already has.
var ErrKnown = errors.New("the queue has a job of that id")

// Submit takes a job whose record at ref is durable. Deliveries begin at once.
func (q *Queue) Submit(job *flow.Job, ref recipe.BlobRef) error {
	now := q.opt.Now()
	it := q.newItem(job, ref, now)
	for i := range job.Recipients {
		it.rcpts = append(it.rcpts, q.newRecipient(&job.Recipients[i], it.begin(now)))
	}
	return q.add(it)
}

func (q *Queue) newRecipient(r *flow.Recipient, next time.Time) *recipient {
	return &recipient{no: r.No, transport: r.Transport, route: q.opt.Route(r), next: next}
}

// begin is when a recipient that was never tried may be.
func (it *item) begin(now time.Time) time.Time {
	if it.release.After(now) {
		return it.release
	}
	return now
}

// RouteOf is the route key of a recipient that goes where its next hop or its domain says.
func RouteOf(r *flow.Recipient) string {
	switch {
	case r.Transport == flow.Pipe || r.Transport == flow.File || r.Transport == flow.Program:
		return r.NextHop
	case r.Transport != flow.SMTP && r.Transport != flow.LMTP:
		return ""
	case r.NextHop != "":
		return r.NextHop
	}
	return r.To.Domain
}

func (q *Queue) add(it *item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.jobs[it.id] != nil {
		return ErrKnown
	}
	if !it.rows {
		q.replayable(it.id, it.ref)
	}
	if len(it.rcpts) == 0 {
		q.opt.Journal.Settle(it.ref)
		return nil
	}
	for _, r := range it.rcpts {
		r.site = q.siteOf(r.transport, r.route)
	}
	q.jobs[it.id] = it
	if !it.rows {
		it.came = len(it.rcpts)
		q.incoming++
		q.waiting += it.came
		if it.held { // from the start: its rows will say whether it still is
			q.writeRows(it, nil)
		}
	}
	q.settle(it)
	q.pump()
	return nil
}

// replayable notes a record that a start would replay: what the ledgers say of its job is needed as long. q.mu is held.
func (q *Queue) replayable(id queueid.ID, ref recipe.BlobRef) {
	q.journal = append(q.journal, journalEntry{id, ref})
	q.live.add(id)
}

// forget lets an item go that has no recipients left.
func (q *Queue) forget(it *item) {
	if q.jobs[it.id] != it {
		return
	}
	for _, r := range it.rcpts {
		q.setTurn(r, 0)
	}
	delete(q.jobs, it.id)
	delete(q.parked, it)
	q.measure(it)
	q.depart(it.id)
	if q.opt.Removed != nil {
		q.gone = append(q.gone, it.id)
	}
	if !it.rows {
		q.left(it)
	}
}

// unlock ends the use of q.mu and says, outside of it, which jobs left meanwhile.
func (q *Queue) unlock() {
	gone := q.gone
	q.gone = nil
	q.mu.Unlock()
	for _, id := range gone {
		q.opt.Removed(id)
	}
}

// room tells whether one more job may come. q.mu is held.
func (q *Queue) room() bool {
	return q.incoming < q.opt.MaxIncoming && q.waiting < perIncoming*q.opt.MaxIncoming
}

// left counts one item less without rows.
func (q *Queue) left(it *item) {
	q.incoming--
	q.waiting -= it.came
	if q.admit != nil && q.room() {
		close(q.admit)
		q.admit = nil
	}
}

// Known tells whether a job of that id is in the queue or has been: in memory, in rows, or in a ledger. It is how a
// derived id is made a no-op.
func (q *Queue) Known(ctx context.Context, id queueid.ID) (bool, error) {
	q.mu.Lock()
	it := q.jobs[id]
	q.mu.Unlock()
	if it != nil {
		return true, nil
	}
	found, err := q.hasRows(ctx, id)
	if err != nil || found {
		return found, err
	}
	return q.opt.Ledger.Delivered(ctx, id, 0)
}

// SetPolicy changes what sites are given.
func (q *Queue) SetPolicy(p sched.Policy) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sched.SetPolicy(p)
	q.pump()
}

// Sites lists the sites that have units in flight or waiting, or rest.
func (q *Queue) Sites() []sched.SiteInfo {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sched.Sites(q.opt.Now())
}

// Resume ends the rest of a site; false when none of that name rests.
func (q *Queue) Resume(site string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	ok := q.sched.Resume(site)
	q.pump()
	return ok
}

// Configure changes the schedule of attempts for attempts that end from now on.
func (q *Queue) Configure(r Retry) {
	if len(r.Waits) == 0 {
		r.Waits = DefaultRetry().Waits
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.retry = r
}
