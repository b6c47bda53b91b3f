package queue

import (
	"context"
	"github.com/postrider/postrider/test/needs"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Senders hear of a delay once, over restarts, and only those that want to.
func TestWarningOfADelay(t *testing.T) {
	needs.Quick(t, "days of virtual time")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reply = defer4
		retry := DefaultRetry()
		retry.Warn = 4 * time.Hour
		q := w.start()
		q.Configure(retry)
		quiet := remoteTo("b.example")
		quiet.Notify = envelope.NotifyFailure
		w.submit(q, remoteTo("a.example"), quiet)
		w.bulk = true
		w.submit(q, remoteTo("c.example"))
		pass(3 * time.Hour)
		if w.told() != 0 {
			t.Errorf("told early: %+v", w.notices[0])
		}
		pass(3 * time.Hour)
		w.stop(q)
		q = w.start()
		q.Configure(retry)
		pass(24 * time.Hour)
		if w.told() != 1 || len(w.notices[0].Recipients) != 1 || w.notices[0].Recipients[0].To.Domain != "a.example" || w.notices[0].Outcomes[0].Result != flow.Deferred {
			t.Errorf("told %d times: %+v", w.told(), w.notices)
		}
		pass(5 * 24 * time.Hour)
		w.stop(q)
		if w.told() != 4 || w.rows("job") != 0 {
			t.Errorf("told %d times in all", w.told())
		}
	})
}

// Mail to be released later waits in its rows, over a restart and a flush, and has its whole time from then on.
func TestReleasedLater(t *testing.T) {
	needs.Quick(t, "days of virtual time")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		began := time.Now()
		w.job = func(j *flow.Job) { j.NotBefore = began.Add(48 * time.Hour) }
		w.submit(q, remoteTo("a.example"), mailbox(1))
		pass(time.Hour)
		if q.Flush(); len(q.jobs) != 0 || w.rows("job") != 1 {
			t.Errorf("in memory %d, rows %d", len(q.jobs), w.rows("job"))
		}
		pass(time.Hour)
		w.stop(q)
		q = w.start()
		pass(45 * time.Hour)
		list, err := q.List(t.Context())
		if w.sent() != 0 || err != nil || len(list) != 1 || list[0].NotBefore == nil || !list[0].NotBefore.Equal(began.Add(48*time.Hour)) {
			t.Fatalf("sent %d, %+v %v", w.sent(), list, err)
		}
		w.change(func() { w.reply = defer4 })
		pass(4*24*time.Hour + 12*time.Hour)
		if w.told() != 0 {
			t.Error("its time was counted from its acceptance")
		}
		w.change(func() { w.reply = nil })
		pass(3 * time.Hour)
		w.stop(q)
		if w.sent() != 1 || len(w.boxes) != 1 {
			t.Errorf("sent %v, boxes %v", w.remote, w.boxes)
		}
	})
}

// DELIVERBY returns the mail when its time is over, or says that it is late.
func TestDeliverBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reply = defer4
		q := w.start()
		w.job = func(j *flow.Job) { j.DeliverBy, j.DeliverByReturn = time.Now().Add(time.Hour), true }
		w.submit(q, remoteTo("a.example"))
		w.job = func(j *flow.Job) { j.DeliverBy = time.Now().Add(time.Hour) }
		w.submit(q, remoteTo("b.example"))
		pass(59 * time.Minute)
		if w.told() != 0 {
			t.Fatalf("%+v", w.notices[0])
		}
		pass(2 * time.Hour)
		w.stop(q)
		got := map[string]flow.Result{}
		for _, n := range w.notices {
			got[n.Recipients[0].To.Domain] = n.Outcomes[0].Result
		}
		if len(w.notices) != 2 || got["a.example"] != flow.Failed || got["b.example"] != flow.Deferred || w.rows("job") != 1 {
			t.Errorf("%v, %d jobs", got, w.rows("job"))
		}
	})
}

// Who was warned that mail is late is told also that DELIVERBY's time is over, by a notice that can be told from the first.
func TestDeliverByAfterTheWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reply = defer4
		retry := DefaultRetry()
		retry.Warn = time.Hour
		q := w.start()
		q.Configure(retry)
		w.job = func(j *flow.Job) { j.DeliverBy = time.Now().Add(6 * time.Hour) }
		w.submit(q, remoteTo("a.example"))
		pass(12 * time.Hour)
		w.stop(q)
		if len(w.notices) != 2 || w.notices[0].Warning == w.notices[1].Warning || w.notices[0].Warning*w.notices[1].Warning == 0 {
			t.Errorf("%+v", w.notices)
		}
	})
}

// The class of an outcome chooses the schedule, and is kept.
func TestBackOffByClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var count sync.Map
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			n, _ := count.LoadOrStore(r.To.Domain, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			o := defer4(task, r)
			if r.To.Domain == "blocked.example" {
				o.Class = flow.ClassBlocked
			}
			return o
		}
		q := w.start()
		retry := DefaultRetry()
		retry.ByClass = map[flow.Class][]time.Duration{flow.ClassBlocked: {6 * time.Hour}}
		q.Configure(retry)
		w.submit(q, remoteTo("blocked.example"))
		w.submit(q, remoteTo("other.example"))
		pass(5 * time.Hour)
		w.stop(q)
		q = w.start()
		q.Configure(retry)
		pass(2 * time.Hour)
		blocked, _ := count.Load("blocked.example")
		other, _ := count.Load("other.example")
		if b, o := blocked.(*atomic.Int64).Load(), other.(*atomic.Int64).Load(); b != 2 || o < 6 {
			t.Errorf("%d and %d attempts", b, o)
		}
		n := 0
		if err := q.Select(t.Context(), Filter{Class: []flow.Class{flow.ClassBlocked}}, func(Info) error { n++; return nil }); err != nil || n != 1 {
			t.Errorf("%d jobs of the class, %v", n, err)
		}
		w.stop(q)
	})
}

// A clock that is set back makes nobody wait; one that is set forward fails nobody at once.
func TestClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var off atomic.Int64
		w.now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		var tries atomic.Int64
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome { tries.Add(1); return defer4(task, r) }
		q := w.start()
		w.submit(q, remoteTo("a.example"))
		pass(10 * time.Hour)
		off.Store(int64(-100 * 24 * time.Hour))
		before := tries.Load()
		pass(2 * time.Minute)
		if tries.Load() == before {
			t.Error("set back: it waits for the old clock")
		}
		off.Store(int64(30 * 24 * time.Hour))
		pass(50 * time.Minute)
		if w.told() != 0 {
			t.Error("set forward: it failed at once")
		}
		off.Store(0)
		before = tries.Load()
		pass(2 * time.Hour)
		if w.told() != 0 || tries.Load() == before {
			t.Errorf("told %d, %d attempts", w.told(), tries.Load()-before)
		}
		w.stop(q)
	})
}

// Domains of one provider share a site; what expires while it rests fails without an attempt, with what the site said last.
func TestSitesAreAskedForAndRest(t *testing.T) {
	needs.Quick(t, "days of virtual time")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var asked, tries atomic.Int64
		w.site = func(_ context.Context, domain string) (string, time.Time) {
			asked.Add(1)
			return "provider", time.Now().Add(24 * time.Hour)
		}
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			tries.Add(1)
			o := defer4(task, r)
			o.Signal, o.Class, o.Status = flow.Unreachable, flow.ClassNetwork, status.Enhanced{Class: 4, Subject: 4, Detail: 1}
			return o
		}
		q := w.start()
		for _, d := range []string{"a.example", "b.example", "c.example", "d.example"} {
			w.submit(q, remoteTo(d))
		}
		pass(2 * time.Hour)
		sites := q.Sites()
		if asked.Load() != 4 || len(sites) == 0 || sites[0].Name != "provider" || sites[0].Rest == nil {
			t.Fatalf("asked %d times, %+v", asked.Load(), sites)
		}
		stats, err := q.Stats(t.Context())
		if err != nil || stats.Sites["provider"].Jobs != 4 {
			t.Errorf("%+v %v", stats, err)
		}
		before := tries.Load()
		pass(5 * 24 * time.Hour)
		w.stop(q)
		if w.told() != 4 || w.rows("job") != 0 || tries.Load()-before > 200 {
			t.Errorf("told %d, left %d, %d attempts", w.told(), w.rows("job"), tries.Load()-before)
		}
		for _, n := range w.notices {
			if o := n.Outcomes[0]; o.Status.String() != "5.4.7" || o.Class != flow.ClassNetwork {
				t.Errorf("%+v", o)
			}
		}
	})
}
