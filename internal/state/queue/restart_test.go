package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// A server that is stopped while its small window is full, with attempts under way, rows that wait and new mail, delivers all of it
// after the next starts, and nothing twice.
func TestRestartWithAFullWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 20
		stored(t, w.db, w.ids, 300, time.Now().Add(-time.Hour), func(i int) string { return fmt.Sprintf("d%d.example", i%30) })
		const starts = 4
		for k := range starts {
			w.lane = func(l *Lane) {
				l.Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
					select {
					case <-time.After(300 * time.Millisecond):
					case <-ctx.Done():
						return nil // cut off by the stop
					}
					return w.Deliver(ctx, tasks)
				})
			}
			q := w.start()
			for i := range 25 {
				w.submit(q, remoteTo(fmt.Sprintf("new%d.example", i)), mailbox(int64(i)))
			}
			pass(time.Duration(k) * 1100 * time.Millisecond)
			q.mu.Lock()
			if n := q.resident[sched.Normal]; k > 0 && n < q.share(sched.Normal)/2 {
				t.Errorf("%d in the window", n)
			}
			q.mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if err := q.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		q := w.start()
		pass(3 * time.Hour)
		w.stop(q)
		if len(w.remote) != 300+starts*25 || len(w.boxes) != starts*25 || w.rows("job") != 0 || w.unsettled() != 0 || len(w.notices) != 0 {
			t.Errorf("sent %d, in mailboxes %d, left %d rows and %d records, told %d", len(w.remote), len(w.boxes), w.rows("job"), w.unsettled(), len(w.notices))
		}
		for k, n := range w.remote {
			if n != 1 {
				t.Errorf("%s came %d times", k, n)
			}
		}
	})
}
