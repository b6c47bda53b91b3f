package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/agent/mta"
	"github.com/postrider/postrider/internal/agent/report"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/obs/metrics"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/certstore"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/trace"
	"github.com/postrider/postrider/internal/wire/link"
)

// Options of Open.
type Options struct {
	Config  *config.Config // resolved and validated
	Log     *obs.Log
	Now     func() time.Time // nil: time.Now
	Version string
	// Listeners already open, by service and address, are used instead of new ones: for socket activation and tests.
	Listen func(network, address string) (net.Listener, error)
	// Sandbox is what the process may open; nil: whatever its user may.
	Sandbox *Sandbox
	// Sizes of the state, where they shall differ from the defaults.
	Sizes Sizes
	// Folder is that of the configuration file: relative paths of lookup tables begin here. Empty: DataDir.
	Folder string
}

// Sizes make happen within seconds what otherwise takes days: tests set them. Zero: the default.
type Sizes struct {
	Pack       int64 // blob.Options.PackSize, bytes
	Fill       int64 // blob.Options.Fill, bytes
	Checkpoint int64 // db.Options.CheckpointBytes
}

// Node is one running system. Its methods are safe for concurrent use.
type Node struct {
	opt     Options
	log     *obs.Log
	metrics *metrics.Metrics
	events  obs.Events
	config  atomic.Pointer[config.Config]

	lock      *os.File
	db        *db.DB
	ids       *queueid.Source
	blobs     *blob.Store
	directory *directory.Directory
	store     *mailstore.Store
	queue     *queue.Queue
	intake    *intake.Intake
	tables    *lookup.Opener // of all settings that name lookup tables
	routing   atomic.Pointer[route.Router]
	access    atomic.Pointer[accessControl]
	sites     atomic.Pointer[sitePolicy]
	verifier  *verifier
	mta       *mta.Agent
	reporter  *report.Reporter
	registry  *registry    // of connections
	shared    *link.Shared // what all listeners have in common; nil until Start
	logins    *lastLogins
	bans      *bans // networks that are kept out

	suppression *suppression // addresses that bulk mail is not sent to

	guard     *loginGuard
	rates     *rates
	strangers *strangers
	space     *space
	incoming  *incoming // messages
	trace     *trace.Trace
	figures   *queueFigures
	upkeep    *upkeep
	ageing    *ageing // nil until Start
	certStore *certstore.Store
	certs     *certs.Manager

	reload   sync.Mutex    // one Reload or Stop at a time
	services *services     // nil until Start
	admin    *admin.Server // nil until Start
	hosted   *localMail    // mail from programs of this host; nil until Start, and without sendmail.enabled
	ready    atomic.Bool
	fatal    chan error // capacity 1
}

// Open opens the state. Nothing is served and nothing delivered until Start; the operator's functions work already.
func Open(ctx context.Context, o Options) (*Node, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	n := &Node{opt: o, log: o.Log, metrics: metrics.New(o.Version), fatal: make(chan error, 1)}
	n.events = obs.All(o.Log, n.metrics, traced{n}, acquaintances{n}, strikes{n})
	n.registry = newRegistry()
	n.config.Store(o.Config)
	n.tables = newTables(o)
	if err := n.openState(ctx, o.Config); err != nil {
		return nil, err
	}
	n.guard, n.rates = n.newLoginGuard(), n.newRates()
	if err := errors.Join(n.openBans(ctx), n.recallHomes(ctx), n.recallCounts(ctx)); err != nil {
		return nil, errors.Join(err, n.closeState(ctx))
	}
	if err := n.openStrangers(ctx, o.Config); err != nil {
		return nil, errors.Join(err, n.closeState(ctx))
	}
	n.space = newSpace(o.Config.DataDir, o.Now)
	n.incoming = newIncoming(o.Config, n.space)
	n.upkeep = n.newUpkeep()
	n.openCertificates()
	if err := n.openQueue(o.Config); err != nil {
		return nil, errors.Join(err, n.closeState(ctx))
	}
	n.logins = newLastLogins(n.directory.RecordLogins, n.log)
	n.intake = &intake.Intake{Blobs: n.blobs, Queue: n.queue}
	n.reporter.Intake = n.intake
	n.watchMetrics()
	return n, n.metrics.Err()
}

// fail is the state's word that the disk failed.
func (n *Node) fail(err error) {
	n.ready.Store(false)
	select {
	case n.fatal <- err:
	default:
	}
}

// Fatal delivers the error after which the process must end with a non-zero code. Nothing is acknowledged any more.
func (n *Node) Fatal() <-chan error { return n.fatal }

// Start replays the journal, begins deliveries and opens the listeners. After an error nothing is listening and Stop must
// still be called.
func (n *Node) Start(ctx context.Context) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	n.shared = n.newShared(n.config.Load())
	s, err := n.newServices(n.config.Load())
	if err != nil {
		return err
	}
	if err := s.listen(n.config.Load()); err != nil {
		return err
	}
	n.services = s
	if err := n.replay(ctx); err != nil {
		return err
	}
	if err := n.queue.Start(ctx); err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	if err := MakeRunDir(n.config.Load().RunDir); err != nil {
		return err
	}
	if n.admin, err = admin.Listen(n.config.Load().RunDir, n.API(), n.log.With(obs.KeyComponent, "admin")); err != nil {
		return err
	}
	if err := n.startLocal(n.config.Load()); err != nil {
		return err
	}
	n.certs.Start()
	n.checkMasters(ctx, n.config.Load())
	n.logins.start()
	n.strangers.start()
	n.bans.start(n.keepCounts)
	n.suppression.start()
	n.checkHelper(ctx)
	s.serve()
	n.upkeep.start(n.config.Load)
	n.startAgeing(n.config.Load().DataDir)
	n.ready.Store(true)
	n.log.Info("ready", "version", n.opt.Version, "data_dir", n.config.Load().DataDir)
	return nil
}

// replay gives the queue what the last run acknowledged and may not have delivered.
func (n *Node) replay(ctx context.Context) error {
	jobs := 0
	err := n.blobs.Replay(ctx, blob.Visitor{Record: func(r blob.Record) error {
		jobs++
		if jobs%10_000 == 0 {
			n.log.Info("replaying the journal", "records", jobs)
		}
		if err := n.queue.Recover(ctx, r.Ref, r.Trailer); err != nil {
			if errors.Is(err, flow.ErrCorrupt) {
				// Its checksums are right, so it was written so. It stays in the journal, unsettled, and is shown at every start.
				n.log.Error("a record of the journal cannot be understood; its message is kept in the pack",
					obs.KeyQueueID, r.ID.String(), "pack", r.Ref.Pack, "offset", r.Ref.Offset, obs.KeyError, err)
				return nil
			}
			return err
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("replay the journal: %w", err)
	}
	if jobs > 0 {
		n.log.Info("journal replayed", "records", jobs)
	}
	return nil
}

// Reload puts a new configuration in force for connections and deliveries from now on. All or nothing: after an error
// everything is as before. Keys that need a restart are such an error, and named.
func (n *Node) Reload(c *config.Config) (restart []string, err error) {
	n.reload.Lock()
	defer n.reload.Unlock()
	if n.services == nil {
		return nil, errors.New("the node has not been started")
	}
	old := n.config.Load()
	if restart = config.NeedsRestart(config.Diff(old, c)); len(restart) > 0 {
		return restart, fmt.Errorf("these keys change only at a restart: %s; nothing is changed", strings.Join(restart, ", "))
	}
	if err := n.opt.Sandbox.check(c); err != nil {
		return nil, err
	}
	if err := n.services.configure(c); err != nil {
		return nil, err
	}
	n.configureLocal(n.hosted, c)
	n.config.Store(c)
	n.shared.Resize(n.roomForClients(c))
	n.trace.Configure(traceLimits(c))
	n.upkeep.reconfigured()
	n.checkMasters(context.Background(), c)
	return restart, nil
}

// Stop drains: listeners close, sessions and deliveries under way get until ctx ends, what they did is written down.
func (n *Node) Stop(ctx context.Context) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	n.ready.Store(false)
	n.upkeep.stopService()
	var errs []error
	if n.services != nil {
		errs = append(errs, n.services.shutdown(ctx))
	}
	errs = append(errs, n.stopLocal(ctx))
	errs = append(errs, n.closeCertificates(context.WithoutCancel(ctx)))
	if n.admin != nil {
		errs = append(errs, n.admin.Close(ctx))
	}
	n.figures.stop()
	errs = append(errs, n.queue.Stop(ctx))
	n.suppression.stop()
	n.verifier.close()
	n.mta.Close()
	errs = append(errs, n.logins.stop(context.WithoutCancel(ctx)), n.bans.stop(context.WithoutCancel(ctx)),
		n.saveCounts(context.WithoutCancel(ctx)))
	errs = append(errs, n.strangers.stop(context.WithoutCancel(ctx)))
	n.stopAgeing(context.WithoutCancel(ctx))
	errs = append(errs, n.closeState(context.WithoutCancel(ctx)))
	return errors.Join(errs...)
}

// Config is the configuration in force.
func (n *Node) Config() *config.Config { return n.config.Load() }

// Addresses are the listeners by service, once started: the first address of each.
func (n *Node) Addresses() map[string]netip.AddrPort {
	if n.services == nil {
		return nil
	}
	return n.services.addresses()
}

// readiness is /readyz's answer.
func (n *Node) readiness() error {
	if !n.ready.Load() {
		return errors.New("starting, stopping or failed")
	}
	return n.blobs.Failed()
}
