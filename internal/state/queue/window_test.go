package queue

import (
	"context"
	"fmt"
	"github.com/postrider/postrider/test/needs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
)

// stored writes rows as an earlier run of the server left them: n jobs, of which each was deferred once and has one recipient.
func stored(t testing.TB, d *db.DB, ids *queueid.Source, n int, next time.Time, domain func(i int) string) (list []queueid.ID) {
	t.Helper()
	const slice = 1000
	for from := 0; from < n; from += slice {
		var jobs []*flow.Job
		for i := from; i < min(from+slice, n); i++ {
			rcpt := remoteTo(domain(i))
			rcpt.To.Local = fmt.Sprintf("u%d", i)
			j := &flow.Job{ID: ids.Next(), Received: next.Add(-3 * time.Hour), From: address.Address{Local: "s", Domain: "x.example"},
				Message: recipe.Whole(flow.Self), Index: make([]byte, 200), Recipients: []flow.Recipient{rcpt}}
			j.Bind(recipe.BlobRef{Pack: 1, Offset: int64(i), Length: 3000})
			jobs = append(jobs, j)
			list = append(list, j.ID)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			for k, j := range jobs {
				it := &item{id: j.ID, received: j.Received, size: 3000, expires: j.Received.Add(5 * 24 * time.Hour), payer: payerOf(j), urgency: urgencyOf(j)}
				if err := putJob(tx, j, it, Queued); err != nil {
					return err
				}
				r := &recipient{transport: flow.SMTP, route: j.Recipients[0].To.Domain, site: j.Recipients[0].To.Domain, attempts: 1,
					next: next.Add(time.Duration(from+k) * time.Millisecond), last: defer4(nil, &j.Recipients[0])}
				r.last.At = j.Received
				if err := putRecipient(tx, it, j, r); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// inMemory returns the most recipients that a window has had, as it is asked about in attempts.
type inMemory struct {
	mu   sync.Mutex
	most int
}

func (m *inMemory) see(q *Queue) {
	q.mu.Lock()
	n := 0
	for _, it := range q.jobs {
		n += len(it.rcpts)
	}
	q.mu.Unlock()
	m.mu.Lock()
	m.most = max(m.most, n)
	m.mu.Unlock()
}

// Of many deferred jobs only some are in memory, all are tried when they are due, and none twice.
func TestWindowIsBounded(t *testing.T) {
	needs.Quick(t, "days of virtual time")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 200
		stored(t, w.db, w.ids, 3000, time.Now().Add(time.Hour), func(i int) string { return fmt.Sprintf("d%d.example", i%100) })
		q := w.start()
		var m inMemory
		q.lanes[flow.SMTP].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
			m.see(q)
			return w.Deliver(ctx, tasks)
		})
		pass(50 * time.Minute)
		if len(w.remote) != 0 || len(q.jobs) != 0 || q.Counts()["deferred"] != 3000 {
			t.Fatalf("before anything is due: %d sent, %d in memory, %v", len(w.remote), len(q.jobs), q.Counts())
		}
		pass(20 * time.Minute)
		w.stop(q)
		if len(w.remote) != 3000 || w.rows("job") != 0 || w.rows("job_body") != 0 || m.most > 2*w.window {
			t.Fatalf("sent %d, left %d, at most %d in memory", len(w.remote), w.rows("job"), m.most)
		}
		for k, n := range w.remote {
			if n != 1 {
				t.Errorf("%s came %d times", k, n)
			}
		}
	})
}

// A site that does not move keeps others' mail from nothing, though most of the queue is its own.
func TestSlowSiteLeavesTheWindowToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 400
		stored(t, w.db, w.ids, 2000, time.Now().Add(-time.Hour), func(i int) string {
			if i%10 == 9 {
				return "quick.example"
			}
			return "slow.example"
		})
		block := make(chan struct{})
		w.lane = func(l *Lane) {
			l.Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
				if tasks[0].Recipients[0].To.Domain == "slow.example" {
					select {
					case <-block:
					case <-ctx.Done():
						return nil
					}
				}
				return w.Deliver(ctx, tasks)
			})
		}
		q := w.start()
		pass(2 * time.Minute)
		if n := w.sent(); n != 200 {
			t.Errorf("%d of 200 went out past the slow site", n)
		}
		w.submit(q, remoteTo("new.example"))
		pass(time.Second)
		if n := w.sent(); n != 201 {
			t.Errorf("new mail does not go: %d", n)
		}
		q.mu.Lock()
		if n := len(q.jobs); n > w.window {
			t.Errorf("%d jobs in memory", n)
		}
		q.mu.Unlock()
		close(block)
		pass(10 * time.Minute)
		if n := w.sent(); n != 2001 {
			t.Errorf("%d sent in all", n)
		}
		w.stop(q)
	})
}

// What a flush means is brought in order, without a horizon, and once.
func TestFlushReachesTheRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 100
		var tries sync.Map
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			n, _ := tries.LoadOrStore(task.Job.ID, 0)
			tries.Store(task.Job.ID, n.(int)+1)
			return defer4(task, r)
		}
		ids := stored(t, w.db, w.ids, 500, time.Now().Add(2*time.Hour), func(i int) string { return fmt.Sprintf("d%d.example", i%50) })
		q := w.start()
		pass(time.Second)
		q.Flush()
		pass(4 * time.Minute)
		w.stop(q)
		counts := map[any]int{}
		for _, id := range ids {
			n, _ := tries.Load(id)
			counts[n]++
		}
		if counts[1] != len(ids) {
			t.Errorf("jobs by the number of attempts: %v", counts)
		}
	})
}

// Operators' changes reach what lies in rows only, and their numbers are right.
func TestChangeReachesTheRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 50
		ids := stored(t, w.db, w.ids, 1200, time.Now().Add(time.Hour), func(i int) string { return fmt.Sprintf("d%d.example", i%3) })
		q := w.start()
		ask := func(f Filter, c Change, want int) {
			t.Helper()
			if n, err := q.Change(t.Context(), f, c); n != want || err != nil {
				t.Errorf("%+v: %d, want %d, %v", c, n, want, err)
			}
			if q.mu.Lock(); len(q.jobs) > 200 {
				t.Errorf("%d jobs in memory", len(q.jobs))
			}
			q.mu.Unlock()
		}
		ask(Filter{Recipient: "@d0.example"}, Change{Action: ActHold}, 400)
		ask(Filter{Site: "d1.example"}, Change{Action: ActDelete}, 400)
		ask(Filter{IDs: ids[2:6]}, Change{Action: ActBounce, Text: "5.2.1 closed"}, 3) // the fourth is gone
		if c := q.Counts(); c["hold"] != 399 || c["deferred"] != 398 {
			t.Errorf("counts %v", c)
		}
		stats, err := q.Stats(t.Context())
		if err != nil || stats.Total.Jobs != 797 || stats.Sites["d0.example"].Jobs != 399 || stats.States["hold"].Bytes != 399*3000 {
			t.Errorf("%+v %v", stats, err)
		}
		ask(Filter{States: []string{"hold"}}, Change{Action: ActRelease}, 399)
		ask(Filter{Sender: "s@*", Recipient: "u2@*"}, Change{Action: ActReroute, NextHop: "[relay.example]"}, 0)
		ask(Filter{Recipient: "u8@*"}, Change{Action: ActReroute, NextHop: "[relay.example]"}, 1)
		if info, err := q.Info(t.Context(), ids[8]); err == nil && info.Recipients[0].Route != "[relay.example]" {
			t.Errorf("%+v %v", info, err)
		}
		pass(2 * time.Hour)
		w.stop(q)
		if len(w.remote) != 797 || len(w.notices) != 3 || w.rows("job") != 0 || w.notices[0].Outcomes[0].Status.String() != "5.2.1" {
			t.Errorf("sent %d, told %d, left %d", len(w.remote), len(w.notices), w.rows("job"))
		}
	})
}

// A message whose sender cannot be told stays, and the operator is not told that it was given up.
func TestBounceWithoutNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stored(t, w.db, w.ids, 2, time.Now().Add(time.Hour), func(int) string { return "far.example" })
		q := w.start()
		w.change(func() { w.report = status.ErrNoSpace })
		if n, err := q.Change(t.Context(), Filter{}, Change{Action: ActBounce}); n != 0 || err == nil || !strings.Contains(err.Error(), "stays") {
			t.Errorf("%d given up, %v", n, err)
		}
		w.change(func() { w.report = nil })
		if n, err := q.Change(t.Context(), Filter{}, Change{Action: ActBounce}); n != 2 || err != nil || q.Counts()["deferred"] != 0 {
			t.Errorf("%d given up, %v", n, err)
		}
		w.stop(q)
	})
}

// New mail does not wait for room in the window because somebody else has filled it; theirs does.
func TestOneSenderLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 40
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
		scheduled := func(from string) bool {
			w.job = func(j *flow.Job) { j.From.Domain = from }
			j := w.submit(q, remoteTo("new-"+from))
			pass(time.Second)
			q.mu.Lock()
			defer q.mu.Unlock()
			it := q.jobs[j.ID]
			return it != nil && it.rcpts[0].turn != 0
		}
		for range 5 { // there is a little beyond what feed brings
			scheduled("x.example")
		}
		if scheduled("x.example") {
			t.Error("the one who has filled the window has more of it")
		}
		if !scheduled("other.example") {
			t.Error("another waits for it")
		}
		close(block)
		pass(10 * time.Minute)
		w.stop(q)
		if w.sent() != 307 {
			t.Errorf("sent %d", w.sent())
		}
	})
}
