package blob

import (
	"context"
	"time"
)

// pace keeps a compaction to its rate, and lets mail go first: while some is being accepted the rate is a quarter.
type pace struct {
	s       *Store
	rate    int64
	sleep   func(context.Context, time.Duration) error
	commits int64 // seen at the last look
	debt    int64 // bytes copied and not waited for
}

// paceStep is how much is copied between two waits, bytes.
const paceStep = 64 << 10

func newPace(s *Store, opt CompactOptions) *pace {
	p := &pace{s: s, rate: opt.Rate, sleep: opt.Sleep, commits: s.stats.commits.Load()}
	if p.sleep == nil {
		p.sleep = sleep
	}
	return p
}

// wait is told of n bytes copied.
func (p *pace) wait(ctx context.Context, n int64) error {
	if p.rate <= 0 {
		return nil
	}
	p.debt += n
	if p.debt < paceStep {
		return nil
	}
	rate := p.rate
	if now := p.s.stats.commits.Load(); now != p.commits || len(p.s.queue) > 0 {
		p.commits, rate = now, max(rate/4, 1)
	}
	d := time.Duration(float64(p.debt) / float64(rate) * float64(time.Second))
	p.debt = 0
	return p.sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
