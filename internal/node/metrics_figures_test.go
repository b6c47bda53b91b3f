package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

func figuresOf(t *testing.T, count func(context.Context) (queue.Stats, error)) *queueFigures {
	f := newQueueFigures(time.Now, count, func() []sched.SiteInfo { return nil })
	t.Cleanup(f.stop)
	return f
}

// read is what one reading of /metrics does: many gauges at once. It returns how long that took.
func read(f *queueFigures) (took time.Duration, recipients int64, known bool) {
	began := time.Now()
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { _, _, _ = f.get() })
	}
	group.Wait()
	s, _, known := f.get()
	return time.Since(began), int64(s.Total.Recipients), known
}

// A queue whose count takes longer than readers wait is shown all the same: the count goes on behind them.
func TestLargeQueueIsCountedBehindItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := 0
		f := figuresOf(t, func(ctx context.Context) (s queue.Stats, err error) {
			counts++
			s.Total.Recipients = 1_000_000
			select {
			case <-time.After(13 * time.Second):
			case <-ctx.Done():
				err = ctx.Err()
			}
			return s, err
		})
		if took, _, known := read(f); took > figuresWait || known {
			t.Errorf("the first reading took %v, known: %v", took, known)
		}
		time.Sleep(15 * time.Second)
		if took, n, known := read(f); took > figuresWait || n != 1_000_000 || !known {
			t.Errorf("the second reading took %v: %d, %v", took, n, known)
		}
		if counts != 2 {
			t.Errorf("%d counts", counts)
		}
	})
}

// While the database gives no answer, all gauges together wait once, and the last count is shown.
func TestHangingDatabaseDelaysAReadingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := false
		f := figuresOf(t, func(ctx context.Context) (s queue.Stats, err error) {
			if s.Total.Recipients = 7; hang {
				<-ctx.Done()
				err = errors.New("gone")
			}
			return s, err
		})
		if took, n, known := read(f); took != 0 || n != 7 || !known {
			t.Errorf("%v %d %v", took, n, known)
		}
		hang = true
		time.Sleep(time.Minute)
		for range 3 {
			if took, n, known := read(f); took > figuresWait || n != 7 || !known {
				t.Errorf("%v %d %v", took, n, known)
			}
		}
	})
}
