package queue

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

// In these tests a job that lies in rows has to be brought again though its rows and memory once disagreed.

// Rows that were written before their domains' site was known are found when that site, which had more than its share, has room.
func TestSiteThatIsKnownLaterFindsItsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 200
		w.site = func(context.Context, string) (string, time.Time) { return "provider", time.Now().Add(24 * time.Hour) }
		stored(t, w.db, w.ids, 300, time.Now().Add(-time.Hour), func(i int) string { return fmt.Sprintf("d%d.example", i%60) })
		w.lane = func(l *Lane) {
			l.Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
				time.Sleep(2 * time.Second)
				return w.Deliver(ctx, tasks)
			})
		}
		q := w.start()
		pass(2 * time.Hour)
		if n := w.sent(); n != 300 {
			t.Errorf("%d of 300 were sent", n)
		}
		w.stop(q)
	})
}

// A deferred recipient is tried when its time comes, though another of its job has its attempt under way all the while.
func TestRecipientIsTriedWhileAnotherIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var tries atomic.Int64
		q := w.start()
		block := make(chan struct{})
		q.lanes[flow.SMTP].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
			if tasks[0].Recipients[0].To.Domain == "slow.example" {
				<-block
			} else if tries.Add(1) == 1 {
				return [][]flow.Outcome{{defer4(tasks[0], &tasks[0].Recipients[0])}}
			}
			return w.Deliver(ctx, tasks)
		})
		pass(2 * time.Minute)
		w.submit(q, remoteTo("slow.example"), remoteTo("later.example"))
		pass(10 * time.Minute)
		if w.sent() != 1 {
			t.Errorf("after 10 minutes %d attempts, %d sent", tries.Load(), w.sent())
		}
		close(block)
		pass(time.Second)
		w.stop(q)
	})
}

// A job whose body the database cannot read now is tried again.
func TestJobThatCannotBeReadNowIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stored(t, w.db, w.ids, 1, time.Now().Add(30*time.Minute), func(int) string { return "d.example" })
		q := w.start()
		w.exec("ALTER TABLE job_body RENAME TO job_body_away")
		pass(32 * time.Minute)
		w.exec("ALTER TABLE job_body_away RENAME TO job_body")
		pass(20 * time.Minute)
		if w.sent() != 1 {
			t.Errorf("sent %d; %v", w.sent(), q.Counts())
		}
		w.stop(q)
	})
}

// A clock that is set back by less than watchClock minds takes nothing from the sight of feed.
func TestClockSetBackALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var off atomic.Int64
		w.now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		stored(t, w.db, w.ids, 1, time.Now().Add(time.Hour+58*time.Second), func(int) string { return "ahead.example" })
		q := w.start()
		pass(time.Second)
		retry := DefaultRetry()
		retry.Waits = []time.Duration{70 * time.Second}
		q.Configure(retry)
		var tries atomic.Int64
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			if r.To.Domain == "d.example" && tries.Add(1) == 1 {
				return defer4(task, r)
			}
			return flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
		}
		pass(time.Hour + 30*time.Second) // feed has looked at the one that is ahead
		off.Store(-int64(45 * time.Second))
		w.submit(q, remoteTo("d.example"))
		pass(30 * time.Minute)
		if w.sent() != 2 {
			t.Errorf("sent %d after %d attempts; %v", w.sent(), tries.Load(), q.Counts())
		}
		w.stop(q)
	})
}

// Mail for our own mailboxes comes from its rows though others' mail has filled the window.
func TestMailboxesNeedNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 40
		var full atomic.Bool
		full.Store(true)
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			if full.Load() {
				return defer4(task, r)
			}
			return flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
		}
		stored(t, w.db, w.ids, 300, time.Now().Add(-time.Hour), func(i int) string { return fmt.Sprintf("d%d.example", i) })
		block := make(chan struct{})
		w.lane = func(l *Lane) {
			l.Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
				<-block
				return w.Deliver(ctx, tasks)
			})
		}
		q := w.start()
		pass(time.Minute)
		w.submit(q, mailbox(1))
		pass(20 * time.Minute)
		full.Store(false)
		pass(6 * time.Minute)
		if len(w.boxes) != 1 {
			t.Errorf("%d in mailboxes; %v", len(w.boxes), q.Counts())
		}
		close(block)
		pass(10 * time.Minute)
		w.stop(q)
		if w.sent() != 300 {
			t.Errorf("sent %d", w.sent())
		}
	})
}

// What was passed over for lack of room comes, though half of the window never moves.
func TestWindowThatHalfMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 40 // of which 20 are for ordinary mail
		stored(t, w.db, w.ids, 14, time.Now().Add(-2*time.Hour), func(i int) string { return fmt.Sprintf("stuck%d.example", i) })
		stored(t, w.db, w.ids, 1, time.Now().Add(2*time.Minute), func(i int) string { return "ahead.example" })
		block, first := make(chan struct{}), make(chan struct{})
		w.lane = func(l *Lane) {
			l.Workers = 100
			l.Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
				if domain := tasks[0].Recipients[0].To.Domain; len(domain) > 5 && domain[:5] == "stuck" {
					<-block
				} else {
					<-first
				}
				return w.Deliver(ctx, tasks)
			})
		}
		q := w.start()
		q.SetPolicy(testPolicy())
		pass(time.Minute + 45*time.Second)
		for i := range 60 { // more than there is room for
			w.submit(q, remoteTo(fmt.Sprintf("d%d.example", i)))
		}
		pass(time.Minute)
		close(first)
		pass(20 * time.Minute)
		if w.sent() != 61 {
			t.Errorf("sent %d; %v", w.sent(), q.Counts())
		}
		close(block)
		pass(10 * time.Minute)
		w.stop(q)
	})
}

// What waits for a site that rests does not expire at once because the clock was set forward.
func TestClockSetForwardWhileASiteRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var off atomic.Int64
		w.now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			o := defer4(task, r)
			o.Signal, o.Class = flow.Unreachable, flow.ClassNetwork
			return o
		}
		q := w.start()
		for range 5 {
			w.submit(q, remoteTo("dead.example"))
		}
		pass(2 * time.Hour)
		if s := q.Sites(); len(s) == 0 || s[0].Rest == nil {
			t.Fatalf("%+v", s)
		}
		off.Store(int64(30 * 24 * time.Hour))
		pass(50 * time.Minute)
		if w.told() != 0 {
			t.Errorf("%d failed at once", w.told())
		}
		off.Store(0)
		pass(time.Hour)
		if w.told() != 0 {
			t.Errorf("%d failed", w.told())
		}
		w.stop(q)
	})
}
