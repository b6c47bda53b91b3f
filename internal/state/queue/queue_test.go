package queue

import (
	"context"
	"errors"
	"fmt"
	"github.com/postrider/postrider/internal/state/queue/sched"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

// world is everything around a queue, in memory: what survives a restart is db, journal and mailboxes.
type world struct {
	t       *testing.T
	db      *db.DB
	mu      sync.Mutex
	records map[recipe.BlobRef][]byte // unsettled records of the journal
	boxes   map[string]int            // "queue id/recipient" → deliveries that took effect
	ledger  map[string]queueid.ID     // the mailstore's: key of boxes → id
	stuck   bool                      // the settled position does not move: a start replays everything
	remote  map[string]int
	notices []*Notice
	// reply decides an attempt; nil delivers.
	reply  func(task *Task, r *flow.Recipient) flow.Outcome
	report error
	window int                                             // of the queues that are started
	lane   func(*Lane)                                     // changes the lane of SMTP before a start; nil: nothing
	event  func(*flow.Job, *flow.Recipient, *flow.Outcome) // hears of outcomes; nil: nobody
	bulk   bool                                            // what is submitted is bulk
	job    func(*flow.Job)                                 // not nil: changes what is submitted
	now    func() time.Time
	site   func(context.Context, string) (string, time.Time)
	ids    *queueid.Source
}

func key(id queueid.ID, no int) string { return fmt.Sprintf("%v/%d", id, no) }

func newWorld(t *testing.T) *world {
	var d *db.DB
	if t != nil { // else the caller has one
		d = dbtest.Open(t)
	}
	return &world{t: t, db: d, records: map[recipe.BlobRef][]byte{}, boxes: map[string]int{}, remote: map[string]int{},
		ledger: map[string]queueid.ID{},
		ids:    queueid.NewSource(time.Now, 1, 1)}
}

func (w *world) Settle(ref recipe.BlobRef) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stuck {
		delete(w.records, ref)
	}
}

// unsettled counts the records that a start would replay.
func (w *world) unsettled() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.records) }

// change changes what the world does, while a queue may be asking.
func (w *world) change(fn func()) { w.mu.Lock(); defer w.mu.Unlock(); fn() }

// sent counts the deliveries elsewhere.
func (w *world) sent() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.remote) }

// told counts the notices.
func (w *world) told() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.notices) }

func (w *world) FlushSettled(context.Context) error {
	return nil
}
func (w *world) Saved(ref recipe.BlobRef) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records[ref] == nil
}
func (w *world) Delivered(_ context.Context, id queueid.ID, no int) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, found := w.ledger[key(id, no)]
	return found, nil
}
func (w *world) Forget(_ context.Context, before queueid.ID, keep func(queueid.ID) bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.ledger, func(_ string, id queueid.ID) bool { return id.Compare(before) < 0 && !keep(id) })
	return nil
}
func (w *world) Report(_ context.Context, n *Notice) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.report == nil {
		w.notices = append(w.notices, n)
	}
	return w.report
}

func (w *world) Deliver(_ context.Context, tasks []*Task) (out [][]flow.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range tasks {
		var os []flow.Outcome
		for i := range t.Recipients {
			r := &t.Recipients[i]
			o := flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
			if w.reply != nil {
				o = w.reply(t, r)
			}
			if o.Result == flow.Delivered || o.Result == flow.Relayed {
				w.took(t.Job.ID, r)
			}
			os = append(os, o)
		}
		out = append(out, os)
	}
	return out
}

// took notes a delivery. Into a mailbox it is exactly once.
func (w *world) took(id queueid.ID, r *flow.Recipient) {
	k := key(id, r.No)
	if r.Transport != flow.Mailbox {
		w.remote[k]++
		return
	}
	if _, done := w.ledger[k]; !done {
		w.ledger[k] = id
		w.boxes[k]++
	}
}

// start makes a queue over what the world has kept, as a start of the server does.
func (w *world) start() *Queue {
	w.t.Helper()
	out := Lane{Agent: w, Workers: 5, Batch: 1}
	if w.lane != nil {
		w.lane(&out)
	}
	q := New(Options{DB: w.db, Journal: w, Ledger: w, Reporter: w, Window: w.window, Event: w.event, Now: w.now, Site: w.site, Policy: sched.Policy{Limits: sched.Limits{PerRoute: 2, Total: 5, Mailbox: 50}},
		Lanes: map[flow.Transport]Lane{flow.Mailbox: {Agent: w, Workers: 2, Batch: 20, Pace: 5 * time.Millisecond}, flow.SMTP: out}, Jitter: func() float64 { return 0.5 }})
	w.mu.Lock()
	records := map[recipe.BlobRef][]byte{}
	for ref, b := range w.records {
		records[ref] = b
	}
	w.mu.Unlock()
	for ref, b := range records {
		if err := q.Recover(w.t.Context(), ref, b); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := q.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return q
}

func (w *world) submit(q *Queue, rcpts ...flow.Recipient) *flow.Job {
	w.t.Helper()
	return w.submitAs(q, "", rcpts)
}

func (w *world) submitHeld(q *Queue, rcpts ...flow.Recipient) *flow.Job {
	w.t.Helper()
	return w.submitAs(q, "a rule", rcpts)
}

func (w *world) submitAs(q *Queue, hold string, rcpts []flow.Recipient) *flow.Job {
	w.t.Helper()
	self := flow.Self
	self.Length = 100
	j := &flow.Job{ID: w.ids.Next(), Received: time.UnixMicro(time.Now().UnixMicro()), From: address.Address{Local: "s", Domain: "x.example"},
		Message: recipe.Whole(self), Recipients: rcpts, Hold: hold, Bulk: w.bulk}
	if w.job != nil {
		w.job(j)
	}
	for i := range rcpts {
		rcpts[i].No = i
	}
	ref := recipe.BlobRef{Pack: 1, Offset: j.ID.Micros(), Length: 100}
	w.mu.Lock()
	w.records[ref] = flow.AppendJob(nil, j)
	w.mu.Unlock()
	j.Bind(ref)
	if err := q.Submit(j, ref); err != nil {
		w.t.Fatal(err)
	}
	return j
}

func mailbox(account int64) flow.Recipient {
	return flow.Recipient{Transport: flow.Mailbox, Account: account, To: address.Address{Local: "u", Domain: "here.example"}}
}

func remoteTo(domain string) flow.Recipient {
	return flow.Recipient{Transport: flow.SMTP, To: address.Address{Local: "u", Domain: domain}}
}

func (w *world) stop(q *Queue) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rows(table string) (n int) {
	w.t.Helper()
	if err := w.db.Read(w.t.Context(), func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func defer4(_ *Task, r *flow.Recipient) flow.Outcome {
	return flow.Outcome{Recipient: r.No, Status: status.Enhanced{Class: 4, Subject: 2}, Relay: "mx[1.2.3.4]:25", Reply: "450 4.2.0 later", At: time.Now()}
}

func TestSettledAtOnceHasNoRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		for i := range 50 {
			w.submit(q, mailbox(int64(i)), mailbox(int64(i+100)))
		}
		time.Sleep(100 * time.Millisecond) // deliveries are paced
		synctest.Wait()
		w.stop(q)
		if len(w.boxes) != 100 || w.unsettled() != 0 || w.rows("job") != 0 || len(q.jobs) != 0 || q.incoming != 0 {
			t.Fatalf("delivered %d, unsettled %d, rows %d, jobs %d, incoming %d", len(w.boxes), w.unsettled(), w.rows("job"), len(q.jobs), q.incoming)
		}
	})
}

func TestRemoteOutcomeIsRememberedBeforeTheJournalSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		w.submit(q, remoteTo("a.example"), remoteTo("b.example"))
		synctest.Wait()
		w.stop(q)
		if w.sent() != 2 || w.unsettled() != 0 || w.rows("job_done") != 2 || w.rows("job") != 0 {
			t.Fatalf("remote %v, unsettled %d, done %d", w.remote, w.unsettled(), w.rows("job_done"))
		}
	})
}

// Five days of greylisting in virtual time: attempts follow the schedule, a restart in the middle changes nothing, and the
// sender hears of it at the end.
func TestDeferredExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var count atomic.Int64
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome { count.Add(1); return defer4(task, r) }
		q := w.start()
		j := w.submit(q, remoteTo("a.example"), mailbox(3))
		time.Sleep(2 * time.Second)
		if w.unsettled() != 0 || w.rows("job") != 1 || w.rows("job_recipient") != 2 {
			t.Fatalf("a deferred job has rows, its record is settled: %d, %d", w.rows("job"), w.unsettled())
		}
		time.Sleep(24 * time.Hour)
		list, err := q.List(t.Context())
		if err != nil || len(list) != 1 || list[0].ID != j.ID.String() || list[0].State != "deferred" || list[0].Recipients[0].Reply != "450 4.2.0 later" ||
			list[0].Recipients[0].Address != "u@a.example" || list[0].Sender != "s@x.example" {
			t.Fatalf("%+v %v", list, err)
		}
		w.stop(q)
		before := count.Load()
		q = w.start()
		time.Sleep(time.Minute)
		if n := count.Load() - before; n > 2 {
			t.Fatalf("the restart forgot the schedule: %d attempts in a minute", n)
		}
		pass(5 * 24 * time.Hour)
		if w.told() == 0 || w.rows("job") != 0 || w.rows("job_recipient") != 0 {
			t.Fatalf("notices %d, rows %d", w.told(), w.rows("job"))
		}
		told := 0
		for _, n := range w.notices {
			told += len(n.Recipients)
			if o := n.Outcomes[0]; o.Status.String() != "5.4.7" || o.Reply != "450 4.2.0 later" {
				t.Errorf("outcome %+v", o)
			}
		}
		if attempts := count.Load(); told != 2 || attempts < 1500 || attempts > 1800 {
			t.Errorf("told of %d recipients after %d attempts", told, attempts)
		}
		w.stop(q)
	})
}

func TestFailureIsReportedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reply = func(_ *Task, r *flow.Recipient) flow.Outcome {
			return flow.Outcome{Recipient: r.No, Result: flow.Failed, Status: status.Enhanced{Class: 5, Subject: 1, Detail: 1}, At: time.Now()}
		}
		w.change(func() { w.report = errors.New("disk full") })
		q := w.start()
		quiet := remoteTo("q.example")
		quiet.Notify = envelope.NotifyNever
		w.submit(q, remoteTo("a.example"))
		w.submit(q, quiet)
		time.Sleep(10 * time.Second)
		if w.rows("job") != 1 {
			t.Fatalf("the recipient must stay until its sender was told: %d jobs", w.rows("job"))
		}
		w.change(func() { w.report = nil })
		time.Sleep(time.Hour)
		if w.rows("job") != 0 || w.told() != 1 {
			t.Fatalf("jobs %d, notices %d", w.rows("job"), w.told())
		}
		w.stop(q)
	})
}

func TestSlowJobGetsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		block := make(chan struct{})
		slow := agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome { <-block; return w.Deliver(ctx, tasks) })
		q.lanes[flow.SMTP].Agent = slow
		w.submit(q, remoteTo("slow.example"))
		time.Sleep(10 * time.Second)
		if w.rows("job") != 1 || w.unsettled() != 0 {
			t.Fatalf("rows %d, unsettled %d", w.rows("job"), w.unsettled())
		}
		close(block)
		synctest.Wait()
		w.stop(q)
		if w.rows("job") != 0 || w.sent() != 1 {
			t.Fatalf("rows %d, remote %v", w.rows("job"), w.remote)
		}
	})
}

// What waits for our own mailstore stays in the journal for longer: rows would need the same database.
func TestWaitingForTheMailstoreGetsNoRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		block := make(chan struct{})
		q.lanes[flow.Mailbox].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome { <-block; return w.Deliver(ctx, tasks) })
		q.lanes[flow.SMTP].Agent = q.lanes[flow.Mailbox].Agent
		w.submit(q, mailbox(1))
		w.submit(q, mailbox(2), remoteTo("slow.example"))
		w.submit(q, remoteTo("slow.example"))
		time.Sleep(10 * time.Second)
		if w.rows("job") != 2 || w.unsettled() != 1 {
			t.Fatalf("after 10 s: rows %d, unsettled %d", w.rows("job"), w.unsettled())
		}
		time.Sleep(time.Minute)
		if w.rows("job") != 3 || w.unsettled() != 0 {
			t.Fatalf("after 70 s: rows %d, unsettled %d", w.rows("job"), w.unsettled())
		}
		close(block)
		synctest.Wait()
		w.stop(q)
		if w.rows("job") != 0 {
			t.Fatalf("rows %d at the end", w.rows("job"))
		}
	})
}

type agentFunc func(context.Context, []*Task) [][]flow.Outcome

func (f agentFunc) Deliver(ctx context.Context, tasks []*Task) [][]flow.Outcome { return f(ctx, tasks) }

func TestRecoverPassesOverWhatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		j := w.submit(q, mailbox(1), remoteTo("a.example"), mailbox(2))
		synctest.Wait()
		w.stop(q)
		// The crash: the settled position was not written, and one delivery had not happened.
		ref := recipe.BlobRef{Pack: 1, Offset: j.ID.Micros(), Length: 100}
		w.records[ref] = flow.AppendJob(nil, j)
		delete(w.boxes, j.ID.String()+"/2")
		delete(w.ledger, j.ID.String()+"/2")
		q = w.start()
		synctest.Wait()
		w.stop(q)
		if w.remote[j.ID.String()+"/1"] != 1 || w.boxes[j.ID.String()+"/2"] != 1 || w.unsettled() != 0 {
			t.Fatalf("remote %v boxes %v unsettled %d", w.remote, w.boxes, w.unsettled())
		}
	})
}

func TestHoldReleaseDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reply = defer4
		q := w.start()
		a, b := w.submit(q, remoteTo("a.example")), w.submit(q, remoteTo("b.example"))
		time.Sleep(time.Second)
		if err := q.Hold(a.ID, true); err != nil {
			t.Fatal(err)
		}
		w.change(func() { w.reply = nil })
		if err := q.Delete(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
		if err := q.Delete(t.Context(), b.ID); !errors.Is(err, ErrNoJob) {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		w.stop(q)
		q = w.start() // hold outlives a restart
		time.Sleep(24 * time.Hour)
		if w.sent() != 0 || q.Counts()["hold"] != 1 {
			t.Fatalf("held or deleted mail went out: %v", w.remote)
		}
		if err := q.Hold(a.ID, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.sent() != 1 {
			t.Fatalf("released mail did not go: %v", w.remote)
		}
		w.stop(q)
	})
}

func TestAdmitWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		q.opt.MaxIncoming = 1
		block := make(chan struct{})
		q.lanes[flow.Mailbox].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome { <-block; return w.Deliver(ctx, tasks) })
		w.submit(q, mailbox(1))
		admitted := make(chan error, 1)
		go func() { admitted <- q.Admit(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-admitted:
			t.Fatalf("admitted beyond the bound: %v", err)
		default:
		}
		close(block)
		if err := <-admitted; err != nil {
			t.Fatal(err)
		}
		w.stop(q)
	})
}

// What waits is bounded by its recipients too: twenty thousand messages may have a thousand each.
func TestAdmitCountsRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		q.opt.MaxIncoming = 2
		block := make(chan struct{})
		q.lanes[flow.Mailbox].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome { <-block; return w.Deliver(ctx, tasks) })
		many := make([]flow.Recipient, 2*perIncoming)
		for i := range many {
			many[i] = mailbox(int64(i))
		}
		w.submit(q, many...)
		if err := q.Admit(t.Context()); err != ErrBusy {
			t.Fatalf("admitted beyond the bound: %v", err)
		}
		close(block)
		if err := q.Admit(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.stop(q)
		if q.waiting != 0 || q.incoming != 0 {
			t.Errorf("%d recipients of %d jobs", q.waiting, q.incoming)
		}
	})
}

func TestMailboxIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reply = defer4
		q := w.start()
		w.submit(q, mailbox(1))
		time.Sleep(2 * time.Second)
		w.change(func() { w.reply = nil })
		time.Sleep(time.Minute)
		w.stop(q)
		if len(w.boxes) != 1 || w.rows("job") != 0 {
			t.Fatalf("a minute after the disk had room: %d delivered, %d rows", len(w.boxes), w.rows("job"))
		}
	})
}

func TestRemovedIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		var mu sync.Mutex
		removed := map[queueid.ID]int{}
		q.mu.Lock()
		q.opt.Removed = func(id queueid.ID) {
			mu.Lock()
			defer mu.Unlock()
			removed[id]++
			if q.Counts()["hold"] != 0 { // it may ask the queue
				t.Error("held")
			}
		}
		q.mu.Unlock()
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			if task.Attempts == 0 && r.To.Domain == "later.example" {
				return defer4(task, r)
			}
			return flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
		}
		jobs := []*flow.Job{w.submit(q, mailbox(1)), w.submit(q, remoteTo("a.example"), mailbox(2)), w.submit(q, remoteTo("later.example"), remoteTo("a.example"))}
		pass(time.Minute)
		if len(removed) != 2 {
			t.Errorf("after a minute %v", removed)
		}
		jobs = append(jobs, w.submit(q, remoteTo("later.example")))
		pass(time.Second)
		if err := q.Delete(t.Context(), jobs[3].ID); err != nil {
			t.Error(err)
		}
		pass(time.Hour)
		for i, j := range jobs {
			if removed[j.ID] != 1 {
				t.Errorf("job %d: removed %d times", i, removed[j.ID])
			}
		}
		w.stop(q)
	})
}

func testPolicy() sched.Policy {
	return sched.Policy{Limits: sched.Limits{PerRoute: 20, Total: 100, Mailbox: 50}}
}
