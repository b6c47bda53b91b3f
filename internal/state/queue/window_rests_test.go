package queue

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

// Sites that rest keep little of the window, so that other mail that lies in rows goes past them; when they are back, all of theirs
// goes too.
func TestRestingSitesLeaveTheWindowToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 400 // normal mail has 200, ten sites 20 each
		stored(t, w.db, w.ids, 600, time.Now().Add(-time.Hour), func(i int) string {
			if i < 500 {
				return fmt.Sprintf("dead%d.example", i%10)
			}
			return fmt.Sprintf("quick%d.example", i%20)
		})
		dead := true
		w.reply = func(t *Task, r *flow.Recipient) flow.Outcome {
			if dead && strings.HasPrefix(r.To.Domain, "dead") {
				return unreached(t, r)
			}
			return flow.Outcome{Recipient: r.No, Result: flow.Relayed, At: time.Now()}
		}
		q := w.start()
		pass(2 * time.Minute)
		if n := w.sent(); n != 100 {
			t.Errorf("%d of 100 went out past the sites that rest", n)
		}
		q.mu.Lock()
		if n := len(q.jobs); n > w.window/4 {
			t.Errorf("%d jobs in memory", n)
		}
		q.mu.Unlock()
		w.change(func() { dead = false })
		pass(3 * time.Hour)
		if n := w.sent(); n != 600 {
			t.Errorf("%d sent in all", n)
		}
		w.stop(q)
		for k, n := range w.remote {
			if n != 1 {
				t.Errorf("%s came %d times", k, n)
			}
		}
	})
}
