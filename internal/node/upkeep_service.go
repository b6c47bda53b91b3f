package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/obs/metrics"
)

// service has rounds of upkeep made in the background.
type service struct {
	config func() *config.Config
	kick   chan struct{} // capacity 1: the configuration is another one
	cancel context.CancelFunc
	done   chan struct{}
}

// firstRound is how long after the start the first round comes, at most: the start has its own work for the disk.
const firstRound = time.Minute

// start begins to make rounds.
func (u *upkeep) start(c func() *config.Config) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{config: c, kick: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	u.service = s
	go func() {
		defer close(s.done)
		first := true
		for {
			d := u.untilNext(time.Duration(s.config().Store.UpkeepInterval))
			if first {
				d = min(d, firstRound)
			}
			if again, ok := s.sleep(ctx, d); !ok {
				return
			} else if again {
				continue
			}
			if first = false; !s.config().Store.Upkeep {
				continue
			}
			if !u.background(ctx, s.config()) {
				return
			}
		}
	}()
}

// untilNext is the interval, a tenth more or less: several servers on one disk do not work at once.
func (u *upkeep) untilNext(interval time.Duration) time.Duration {
	return time.Duration((0.9 + 0.2*u.jitter()) * float64(interval))
}

// sleep returns after d, or earlier: again when the configuration has changed, not ok when the service ends.
func (s *service) sleep(ctx context.Context, d time.Duration) (again, ok bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false, false
	case <-s.kick:
		return true, true
	case <-t.C:
		return false, true
	}
}

// reconfigured tells the service of another configuration: the next round comes by its interval.
func (u *upkeep) reconfigured() {
	if u.service == nil {
		return
	}
	select {
	case u.service.kick <- struct{}{}:
	default:
	}
}

// stopService ends the round under way, if any, and waits for its end.
func (u *upkeep) stopService() {
	if u.service != nil {
		u.service.cancel()
		<-u.service.done
	}
}

// background makes a round. What goes wrong is tried again by the next one, but for a disk that failed: then the process
// is about to end.
func (u *upkeep) background(ctx context.Context, c *config.Config) (goOn bool) {
	sum, err := u.do(ctx, c, admin.UpkeepQuery{Sweep: true, Compact: true}, func(admin.CheckProgress) error { return nil })
	switch {
	case ctx.Err() != nil, errors.Is(err, status.ErrFatal), errors.Is(err, status.ErrShutdown):
		return false
	case errors.Is(err, status.ErrNoSpace):
		u.log.Warn("no room on the disk to compact packs; the next round tries again", obs.KeyError, err)
	case err != nil:
		u.log.Error("packs could not be looked after; the next round tries again", obs.KeyError, err)
	}
	if sum.Let+sum.Tombstones+sum.Accounts+sum.Compacted+sum.Condemned+sum.Deleted > 0 {
		u.log.Info("packs looked after", "emails_let_go", sum.Let, "tombstones_let_go", sum.Tombstones, "accounts_let_go", sum.Accounts,
			"compacted", sum.Compacted, "copied_bytes", sum.Bytes, "condemned", sum.Condemned, "deleted", sum.Deleted,
			"deleted_bytes", sum.DeletedBytes, "seconds", sum.Seconds)
	}
	return true
}

const (
	restAtMost = 500 * time.Millisecond
	restFor    = 5 * time.Millisecond // of work at least
	busyRests  = 4                    // times the work, while mail is coming in
)

// pause lets mail go first: in the background a round rests as long as it worked, and longer while mail comes in.
func (r *round) pause(ctx context.Context) error {
	if r.query.Now || r.service == nil {
		return ctx.Err()
	}
	worked := r.now().Sub(r.resumed)
	if worked < restFor {
		return ctx.Err()
	}
	if n := r.blobs.Stats().Commits; n != r.commits {
		r.commits = n
		worked *= busyRests
	}
	t := time.NewTimer(min(worked, restAtMost))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	r.resumed = r.now()
	return ctx.Err()
}

// clockCheck knows how far the clock on the wall is from the time that has passed.
type clockCheck struct {
	offset time.Duration
	known  bool
	behind bool          // it went back, and did not come forward since
	hold   time.Duration // by the time that has passed: no message is let go before
}

// clockSlack is what a clock may be corrected by without being taken for wrong.
const clockSlack = time.Minute

// checkClock notices a clock that was set back and then forward: times noted meanwhile are too old, and must not be believed.
// Packs condemned begin their day anew, and no message is let go for as long as one is kept.
func (r *round) checkClock() (wrong bool) {
	passed := r.passed()
	offset := r.now().Round(0).Sub(time.Unix(0, 0)) - passed
	c := &r.clock
	switch moved := offset - c.offset; {
	case !c.known:
		c.known = true
	case moved < -clockSlack:
		r.log.Warn("the clock went back; nothing is deleted early for that", "by", -moved)
		c.behind = true
	case moved > clockSlack && c.behind:
		r.log.Warn("the clock came forward again; what was removed meanwhile begins its time anew", "by", moved)
		c.behind, wrong = false, true
		c.hold = passed + time.Duration(r.set.KeepExpunged)
	}
	c.offset = offset
	return wrong
}

// upkeepMetrics add up what rounds do.
type upkeepMetrics struct{ let, copied, compacted, condemned, deleted, freed metrics.Counter }

func newUpkeepMetrics(m *metrics.Metrics) upkeepMetrics {
	return upkeepMetrics{
		let:       m.Counter("store_emails_let_go_total", "Expunged messages whose time was over."),
		copied:    m.Counter("store_compaction_copied_bytes_total", "Bytes of messages that compaction copied."),
		compacted: m.Counter("store_packs_compacted_total", "Packs whose messages compaction copied."),
		condemned: m.Counter("store_packs_condemned_total", "Packs found to be needed by nobody."),
		deleted:   m.Counter("store_packs_deleted_total", "Packs whose files were deleted."),
		freed:     m.Counter("store_deleted_bytes_total", "Bytes of the packs deleted."),
	}
}

func (m *upkeepMetrics) add(s *admin.UpkeepSummary) {
	m.let.Add(float64(s.Let))
	m.copied.Add(float64(s.Bytes))
	m.compacted.Add(float64(s.Compacted))
	m.condemned.Add(float64(s.Condemned))
	m.deleted.Add(float64(s.Deleted))
	m.freed.Add(float64(s.DeletedBytes))
}

// sinceStart tells the time that has passed, which no change of the clock moves.
func sinceStart() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

func randomJitter() float64 { return rand.Float64() }
