package work

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
)

// connecting is how many sessions are prepared at a time.
const connecting = 32

// done is what one operation was about.
type done struct{ messages, octets int64 }

// worker is one session of a workload.
type worker interface {
	prepare(ctx context.Context) error // what is not measured
	operate(ctx context.Context) (done, error)
	finish() error // logs out; what must be cleaned up
	abandon()      // closes without a word, after an error
}

// run is all sessions together.
type run struct {
	o       Options
	fail    context.CancelCauseFunc
	end     time.Time
	tickets atomic.Int64

	latency          load.Histogram
	messages, octets atomic.Int64
}

// Run does a workload until the time is over or the number of operations is reached. An operation that has begun is
// finished first. progress, if not nil, is called about twice a second.
func Run(ctx context.Context, o Options, progress func(load.Snapshot)) (Result, error) {
	if err := o.Check(); err != nil {
		return Result{}, err
	}
	ctx, fail := context.WithCancelCause(ctx) // ends all connections
	defer fail(nil)
	r := &run{o: o.withDefaults(), fail: fail}
	workers := make([]worker, r.o.Sessions)
	for i := range workers {
		workers[i] = r.worker(i)
	}
	defer func() {
		for _, w := range workers {
			w.abandon()
		}
	}()
	if err := each(ctx, r.fail, connecting, len(workers), func(ctx context.Context, i int) error { return workers[i].prepare(ctx) }); err != nil {
		return Result{}, err
	}
	grown, err := r.watchGrowth(ctx)
	if err != nil {
		return Result{}, err
	}
	res, err := r.measure(ctx, workers, progress)
	if err != nil {
		return Result{}, err
	}
	if err := grown.check(ctx, res.Messages); err != nil {
		return Result{}, err
	}
	return res, each(ctx, r.fail, connecting, len(workers), func(_ context.Context, i int) error { return workers[i].finish() })
}

// measure is the part that the figures are of.
func (r *run) measure(ctx context.Context, workers []worker, progress func(load.Snapshot)) (Result, error) {
	server, err := gauge.Watch(r.o.ServerPIDs)
	if err != nil {
		return Result{}, err
	}
	start := time.Now()
	if r.o.Duration > 0 {
		r.end = start.Add(r.o.Duration)
	}
	stop := load.Every(func(elapsed time.Duration) load.Snapshot {
		return load.Snapshot{Elapsed: elapsed, Messages: r.latency.Count(), P50: r.latency.Quantile(0.5), P99: r.latency.Quantile(0.99)}
	}, progress)
	err = each(ctx, r.fail, len(workers), len(workers), func(ctx context.Context, i int) error { return r.loop(ctx, workers[i]) })
	took := time.Since(start)
	stop()
	usage, serverErr := server.Stop()
	if err := errors.Join(err, serverErr); err != nil {
		return Result{}, err
	}
	res := Result{
		Protocol: r.o.Protocol, Workload: r.o.Workload, Sessions: r.o.Sessions, Seconds: took.Seconds(),
		Operations: r.latency.Count(), Messages: r.messages.Load(), Octets: r.octets.Load(), Latency: r.latency.Latency(), Server: usage,
	}
	res.Rate = float64(res.Operations) / took.Seconds()
	res.PerSecond = float64(res.Messages) / took.Seconds()
	return res, nil
}

func (r *run) loop(ctx context.Context, w worker) error {
	for r.ticket() {
		begin := time.Now()
		d, err := w.operate(ctx)
		if err != nil {
			return err
		}
		r.latency.Add(time.Since(begin))
		r.messages.Add(d.messages)
		r.octets.Add(d.octets)
	}
	return nil
}

func (r *run) ticket() bool {
	if r.o.Operations > 0 {
		return r.tickets.Add(1) <= r.o.Operations
	}
	return time.Now().Before(r.end)
}

// each calls do for 0 to n-1, at most width at a time. The first error ends ctx, through fail, and is returned; those
// that it causes are not told.
func each(ctx context.Context, fail context.CancelCauseFunc, width, n int, do func(ctx context.Context, i int) error) error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
	)
	for range min(width, n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					fail(fmt.Errorf("session %d: %w", i+1, err)) // only the first counts
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
