package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
)

// Snapshot is how far a run is.
type Snapshot struct {
	Elapsed  time.Duration
	Messages int64
	Of       int64 // how many there will be, if that is known
	Failed   int64
	Memory   int64         // of the server, if it is watched
	Behind   int64         // promised and not yet there, of a relay
	P50, P99 time.Duration // of Result.Data
}

type run struct {
	cfg     Config
	rec     *recorder
	id      uint32 // in the Message-ID, so that two runs have none in common
	tickets atomic.Int64
	start   time.Time
	end     time.Time // zero: none
}

// Run sends until the time or the number of messages is reached, or ctx ends. A message that has begun is finished
// first, unless ctx ends. progress, if not nil, is called about twice a second.
func Run(ctx context.Context, cfg Config, progress func(Snapshot)) (Result, error) {
	if err := cfg.check(); err != nil {
		return Result{}, err
	}
	g := &run{cfg: cfg.withDefaults(), rec: newRecorder(len(cfg.Recipients)), id: cfg.ID}
	if g.id == 0 {
		g.id = rand.Uint32()
	}
	var templates []*template
	for i, size := range cfg.Sizes {
		rnd := rand.New(rand.NewPCG(uint64(g.id), uint64(i)))
		templates = append(templates, newTemplate(size, cfg.From, cfg.Recipients[0], time.Now(), rnd))
	}
	sessions := make([]*session, cfg.Sessions)
	for i := range sessions {
		sessions[i] = &session{run: g, number: i}
		for _, t := range templates {
			sessions[i].msgs = append(sessions[i].msgs, t.message())
		}
	}
	server, err := gauge.Watch(cfg.ServerPIDs)
	if err != nil {
		return Result{}, err
	}
	g.start = time.Now()
	if cfg.Duration > 0 {
		g.end = g.start.Add(cfg.Duration)
	}
	stop := Every(func(elapsed time.Duration) Snapshot {
		return Snapshot{Elapsed: elapsed, Messages: g.rec.messages.Load(), Failed: g.rec.failed.Load(),
			P50: g.rec.data.Quantile(0.5), P99: g.rec.data.Quantile(0.99)}
	}, progress)
	var running sync.WaitGroup
	for _, s := range sessions {
		running.Go(func() { s.loop(ctx) })
	}
	running.Wait()
	stop()
	res := g.rec.result(&g.cfg, g.start, time.Duration(g.rec.took.Load()))
	res.Server, err = server.Stop()
	return res, err
}

// ticket gives the number of the next message, unless enough have been sent.
func (g *run) ticket() (int64, bool) {
	n := g.tickets.Add(1) - 1
	if g.cfg.Messages > 0 {
		return n, n < g.cfg.Messages
	}
	return n, time.Now().Before(g.end)
}

// Every calls show about twice a second with what snap tells, until stop is called, which waits for it. A nil show
// is never called.
func Every(snap func(elapsed time.Duration) Snapshot, show func(Snapshot)) (stop func()) {
	if show == nil {
		return func() {}
	}
	start, done := time.Now(), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(500 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-t.C:
				show(snap(now.Sub(start)))
			}
		}
	})
	return func() { close(done); wg.Wait() }
}
