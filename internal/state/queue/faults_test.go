package queue

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if err := w.db.Write(w.t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(sql, args...); return err }); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets time pass, and everything that it brings.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// crash ends a queue as a killed process does: what waits to be written is lost. Agents must not be under way.
func (w *world) crash(q *Queue) {
	q.mu.Lock()
	q.stopping = true
	if q.timer != nil {
		q.timer.Stop()
	}
	q.mu.Unlock()
	q.cancel()
	q.waitIdle()
	q.wg.Wait()
}

func TestManyRecipientsOnManyRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tries := map[string]int{}
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			tries[key(task.Job.ID, r.No)]++
			if r.No%10 == 3 && tries[key(task.Job.ID, r.No)] == 1 {
				return defer4(task, r)
			}
			return flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
		}
		q := w.start()
		rcpts := make([]flow.Recipient, 10_000)
		for i := range rcpts {
			if rcpts[i] = remoteTo(fmt.Sprintf("d%d.example", i%300)); i%4 == 0 {
				rcpts[i] = mailbox(int64(i))
			}
		}
		j := w.submit(q, rcpts...)
		pass(time.Hour)
		w.stop(q)
		for i := range rcpts {
			k := key(j.ID, i)
			if w.boxes[k]+w.remote[k] != 1 {
				t.Fatalf("recipient %d: %d deliveries", i, w.boxes[k]+w.remote[k])
			}
		}
		if len(w.records) != 0 || w.rows("job") != 0 || w.rows("job_recipient") != 0 || len(q.jobs) != 0 || q.incoming != 0 || q.sched.Flying() != 0 {
			t.Fatalf("left over: %d records, %d jobs, %d incoming, %d in flight", len(w.records), w.rows("job"), q.incoming, q.sched.Flying())
		}
	})
}

// A job that was held and released while an attempt was under way was tried a second time beside it, and twice from then on.
func TestReleaseDuringAnAttemptDoesNotTryTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		attempts, block := 0, make(chan struct{})
		q.lanes[flow.SMTP].Agent = agentFunc(func(_ context.Context, tasks []*Task) [][]flow.Outcome {
			attempts++
			<-block
			return [][]flow.Outcome{{defer4(tasks[0], &tasks[0].Recipients[0])}}
		})
		j := w.submit(q, remoteTo("a.example"))
		pass(time.Second)
		for _, hold := range []bool{true, false, true, false} {
			if err := q.Hold(j.ID, hold); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if attempts != 1 {
			t.Fatalf("%d attempts at once", attempts)
		}
		close(block)
		pass(16 * time.Minute) // second after 5 minutes, third after 10 more
		w.stop(q)
		if attempts != 3 {
			t.Fatalf("%d attempts, want 3", attempts)
		}
	})
}

// What waited in its lane behind a slow delivery went out although it had been held or deleted meanwhile.
func TestHeldOrDeletedBeforeItsAttemptIsNotTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		q.lanes[flow.SMTP].Workers = 1
		block := make(chan struct{})
		q.lanes[flow.SMTP].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
			<-block
			return w.Deliver(ctx, tasks)
		})
		w.submit(q, remoteTo("slow.example"))
		held, deleted := w.submit(q, remoteTo("held.example")), w.submit(q, remoteTo("deleted.example"))
		synctest.Wait()
		if err := q.Hold(held.ID, true); err != nil {
			t.Fatal(err)
		}
		if err := q.Delete(t.Context(), deleted.ID); err != nil {
			t.Fatal(err)
		}
		close(block)
		pass(time.Hour)
		if len(w.remote) != 1 {
			t.Fatalf("went out: %v", w.remote)
		}
		if err := q.Hold(held.ID, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.stop(q)
		if len(w.remote) != 2 || w.rows("job") != 0 || q.sched.Flying() != 0 {
			t.Fatalf("released: %v, %d jobs, %d flying", w.remote, w.rows("job"), q.sched.Flying())
		}
	})
}

func TestHoldOfADeletedJobLeavesNoRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		j := w.submit(q, remoteTo("a.example"))
		allow := dbtest.Refuse(t, w.db, "INSERT ON job_done")
		go func() { _ = q.Delete(t.Context(), j.ID) }()
		synctest.Wait()
		if err := q.Hold(j.ID, true); err != ErrNoJob {
			t.Fatalf("hold of a deleted job: %v", err)
		}
		allow()
		pass(5 * time.Second)
		w.stop(q)
		if w.rows("job") != 0 || len(w.records) != 0 || q.incoming != 0 {
			t.Fatalf("%d rows, %d records, %d incoming", w.rows("job"), len(w.records), q.incoming)
		}
	})
}

// Recipients of a transport without a lane were dropped by the scheduler: never tried, never returned.
func TestTransportWithoutAgentExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		r := remoteTo("a.example")
		r.Transport = flow.LMTP
		w.submit(q, r, flow.Recipient{Transport: flow.Drop})
		pass(time.Minute)
		list, err := q.List(t.Context())
		if err != nil || len(list) != 1 || len(list[0].Recipients) != 1 || !strings.Contains(list[0].Recipients[0].Reply, "lmtp") {
			t.Fatalf("%+v %v", list, err)
		}
		pass(6 * 24 * time.Hour)
		w.stop(q)
		if w.rows("job") != 0 || len(w.notices) != 1 {
			t.Fatalf("%d jobs, %d notices", w.rows("job"), len(w.notices))
		}
	})
}

func TestPanicOfAnAgentDefers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var cured atomic.Bool
		q := w.start()
		q.lanes[flow.SMTP].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
			if !cured.Load() && tasks[0].Recipients[0].To.Domain == "bad.example" {
				panic("poison")
			}
			return w.Deliver(ctx, tasks)
		})
		w.submit(q, remoteTo("bad.example"))
		w.submit(q, remoteTo("good.example"))
		pass(time.Minute)
		if len(w.remote) != 1 || q.Counts()["deferred"] != 1 {
			t.Fatalf("went out %v, counts %v", w.remote, q.Counts())
		}
		cured.Store(true)
		pass(time.Hour)
		w.stop(q)
		if len(w.remote) != 2 {
			t.Fatalf("went out %v", w.remote)
		}
	})
}

// Every recipient had a jitter of its own, so that one transaction for fifty became fifty at the second attempt.
func TestTriedTogetherComesBackTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var sizes []int
		jitter := 0.0
		q := w.start()
		q.opt.Jitter = func() float64 { jitter += 0.01; return jitter }
		q.lanes[flow.SMTP].Agent = agentFunc(func(_ context.Context, tasks []*Task) [][]flow.Outcome {
			sizes = append(sizes, len(tasks[0].Recipients))
			return nil
		})
		rcpts := make([]flow.Recipient, 50)
		for i := range rcpts {
			rcpts[i] = remoteTo("a.example")
		}
		w.submit(q, rcpts...)
		pass(20 * time.Minute)
		w.stop(q)
		if fmt.Sprint(sizes) != "[50 50 50]" {
			t.Fatalf("attempts with %v recipients", sizes)
		}
	})
}

// A record that cannot be read stops the settled position of its pack. What stands behind it is replayed at every start,
// and once the ledgers had been cleaned it was delivered again.
func TestLedgersOutliveRecordsThatAreReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.stuck = true
		q := w.start()
		var early atomic.Bool
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			if !early.Load() && r.To.Domain == "late.example" {
				return defer4(task, r)
			}
			return flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
		}
		w.submit(q, mailbox(1), remoteTo("a.example"))
		w.submit(q, remoteTo("late.example"), mailbox(2))
		gone := w.submit(q, remoteTo("late.example"))
		for run := range 4 {
			if run == 1 {
				early.Store(true)
				if err := q.Delete(t.Context(), gone.ID); err != nil {
					t.Fatal(err)
				}
			}
			pass(time.Hour) // ledgers are cleaned every minute
			w.stop(q)
			q = w.start()
		}
		w.stop(q)
		for _, m := range []map[string]int{w.boxes, w.remote} {
			if len(m) != 2 {
				t.Errorf("delivered %v", m)
			}
			for k, n := range m {
				if n != 1 {
					t.Errorf("%s delivered %d times", k, n)
				}
			}
		}
		w.mu.Lock()
		clear(w.records) // the position moved at last
		w.mu.Unlock()
		q = w.start()
		pass(3 * time.Minute)
		w.stop(q)
		if len(w.ledger) != 0 || w.rows("job_done") != 0 {
			t.Errorf("ledgers keep %d and %d rows for nobody", len(w.ledger), w.rows("job_done"))
		}
	})
}

// The mailbox's ledger was cleaned while the row of the delivered recipient was still to be removed.
func TestLedgerIsKeptWhileRowsAreBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		q := w.start()
		q.lanes[flow.Mailbox].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
			<-hold
			return w.Deliver(ctx, tasks)
		})
		w.submit(q, mailbox(1))
		pass(10 * time.Second) // it has rows now
		allow := dbtest.Refuse(t, w.db, "DELETE ON job_recipient")
		close(hold)
		pass(5 * time.Minute)
		w.crash(q)
		allow()
		q = w.start()
		pass(time.Minute)
		w.stop(q)
		for k, n := range w.boxes {
			if n != 1 {
				t.Errorf("%s delivered %d times", k, n)
			}
		}
	})
}

func TestSameIDTwiceInTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		j := &flow.Job{ID: w.ids.Next().Derive(0, 1), Received: time.Now(), Message: recipe.Whole(flow.Self), Recipients: []flow.Recipient{mailbox(1)}}
		for pack := range int64(2) {
			w.records[recipe.BlobRef{Pack: pack + 1, Offset: 64, Length: 10}] = flow.AppendJob(nil, j)
		}
		q := w.start()
		synctest.Wait()
		w.stop(q)
		if len(w.boxes) != 1 || len(w.records) != 0 {
			t.Fatalf("delivered %v, unsettled %d", w.boxes, len(w.records))
		}
	})
}

// What is neither a job nor a message put into a mailbox was taken for the latter, and settled.
func TestRecordOfUnknownKindStaysInTheJournal(t *testing.T) {
	w := newWorld(t)
	ref := recipe.BlobRef{Pack: 1, Offset: 64, Length: 10}
	w.records[ref] = []byte("?")
	q := New(Options{DB: w.db, Journal: w, Ledger: w, Reporter: w})
	if err := q.Recover(t.Context(), ref, w.records[ref]); err == nil || len(w.records) != 1 {
		t.Fatalf("error %v, records %d", err, len(w.records))
	}
	text := flow.AppendAppend(nil, &flow.Append{ID: w.ids.Next(), Message: recipe.Whole(ref)})
	if err := q.Recover(t.Context(), ref, text); err != nil || len(w.records) != 0 {
		t.Fatalf("error %v, records %d", err, len(w.records))
	}
}

// What agents said when the grace was over stayed in memory, and the next start delivered again.
func TestStopWritesWhatIsSaidAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		q.lanes[flow.SMTP].Agent = agentFunc(func(ctx context.Context, tasks []*Task) [][]flow.Outcome {
			<-ctx.Done()
			return w.Deliver(ctx, tasks)
		})
		w.submit(q, remoteTo("a.example"))
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		q = w.start()
		pass(time.Hour)
		w.stop(q)
		for k, n := range w.remote {
			if n != 1 {
				t.Errorf("%s delivered %d times", k, n)
			}
		}
	})
}

// An attempt that the stop cut off counted, and its message waited five minutes after the restart.
func TestInterruptedAttemptIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		q.lanes[flow.Mailbox].Agent = agentFunc(func(ctx context.Context, _ []*Task) [][]flow.Outcome { <-ctx.Done(); return nil })
		w.submit(q, mailbox(1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		q = w.start()
		pass(time.Second)
		w.stop(q)
		if len(w.boxes) != 1 {
			t.Fatalf("delivered %v", w.boxes)
		}
	})
}

func TestCorruptRowIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reply = defer4
		q := w.start()
		bad := w.submit(q, remoteTo("a.example"), remoteTo("b.example"))
		w.submit(q, remoteTo("c.example"))
		short := w.submit(q, remoteTo("d.example"))
		pass(time.Second)
		w.stop(q)
		w.exec("UPDATE job_body SET body = ? WHERE queue_id = ?", []byte{0}, bad.ID[:])
		w.exec("UPDATE job_recipient SET recipient_no = 7 WHERE queue_id = ?", short.ID[:])
		w.reply = nil
		q = w.start()
		pass(time.Hour)
		if len(w.remote) != 1 || q.Counts()["corrupt"] != 2 || q.sched.Flying() != 0 {
			t.Fatalf("went out %v, counts %v, %d flying", w.remote, q.Counts(), q.sched.Flying())
		}
		info, err := q.Info(t.Context(), bad.ID)
		if err != nil || info.State != "corrupt" || len(info.Recipients) != 2 {
			t.Fatalf("%+v %v", info, err)
		}
		if err := q.Delete(t.Context(), bad.ID); err != nil {
			t.Fatal(err)
		}
		w.stop(q)
		if w.rows("job") != 1 {
			t.Fatalf("%d jobs", w.rows("job"))
		}
	})
}

// The row of a job that was held before it had one said "queued" until a second change.
func TestHoldIsWrittenWithTheRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		q.lanes[flow.SMTP].Workers = 0
		j := w.submit(q, remoteTo("a.example"))
		if err := q.Hold(j.ID, true); err != nil {
			t.Fatal(err)
		}
		if err := q.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.crash(q)
		q = w.start()
		pass(time.Hour)
		if len(w.remote) != 0 || q.Counts()["hold"] != 1 {
			t.Fatalf("held mail went out: %v %v", w.remote, q.Counts())
		}
		w.stop(q)
	})
}

// A job that is accepted on hold stays there, over a crash before its row is written and one after; released, it goes out once.
func TestHeldFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		allow := dbtest.Refuse(t, w.db, "INSERT ON job")
		j := w.submitHeld(q, remoteTo("a.example"), mailbox(1))
		pass(time.Minute)
		allow()
		w.crash(q)
		for range 2 { // the first start has only the journal
			q = w.start()
			pass(time.Hour)
			list, err := q.List(t.Context())
			if err != nil || len(list) != 1 || list[0].State != "hold" || list[0].Held != "a rule" || len(w.remote) != 0 {
				t.Fatalf("%+v %v, sent %v", list, err, w.remote)
			}
			if err := q.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.crash(q)
		}
		q = w.start()
		if err := q.Hold(j.ID, false); err != nil {
			t.Fatal(err)
		}
		if err := q.Sync(t.Context()); err != nil { // what was released stays released
			t.Fatal(err)
		}
		w.crash(q)
		q = w.start()
		pass(time.Hour)
		if len(w.remote) == 0 || q.Counts()["hold"] != 0 || q.Counts()["deferred"] != 0 {
			t.Fatalf("released mail stays: %v %v", w.remote, q.Counts())
		}
		w.stop(q)
	})
}

// While rows cannot be written nothing is forgotten and nothing grows without bound; then all is written in order.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.start()
		q.opt.MaxIncoming = 30
		var room atomic.Bool
		w.reply = func(task *Task, r *flow.Recipient) flow.Outcome {
			if !room.Load() {
				return flow.Failure(r.No, status.ErrNoSpace, time.Now())
			}
			return flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
		}
		var allow []func()
		for _, table := range []string{"job", "job_recipient", "job_done"} {
			allow = append(allow, dbtest.Refuse(t, w.db, "INSERT ON "+table))
		}
		for range 10 {
			w.submit(q, mailbox(1), remoteTo("a.example"))
			w.submit(q, remoteTo("b.example"))
			w.submit(q, mailbox(2))
		}
		pass(time.Minute)
		if err := q.Admit(t.Context()); err != ErrBusy {
			t.Fatalf("admitted: %v", err)
		}
		if len(w.records) != 30 || w.rows("job") != 0 {
			t.Fatalf("settled %d without a trace", 30-len(w.records))
		}
		room.Store(true)
		for _, allow := range allow {
			allow()
		}
		pass(10 * time.Second)
		if len(w.records) != 0 || w.rows("job") < 20 { // the ten for mailboxes only may have arrived
			t.Fatalf("%d records, %d jobs", len(w.records), w.rows("job"))
		}
		if err := q.Admit(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Hour)
		w.stop(q)
		if len(w.boxes) != 20 || len(w.remote) != 20 || w.rows("job") != 0 || w.rows("job_recipient") != 0 {
			t.Fatalf("boxes %d, remote %d, jobs %d", len(w.boxes), len(w.remote), w.rows("job"))
		}
	})
}

// Crash at each step between acceptance and the end of a job: nothing is lost, a mailbox gets it exactly once.
func TestCrashAtEachStep(t *testing.T) {
	for _, c := range []struct {
		name     string
		lose     string // a trigger on this table keeps the change of rows from being written
		settle   bool   // the settled position got to the disk
		first    flow.Result
		attempts int // of the remote recipient in all
	}{
		{name: "accepted, nothing tried", attempts: 1, first: flow.Result(99)},
		{name: "delivered, job_done lost", lose: "INSERT ON job_done", first: flow.Relayed, attempts: 2},
		{name: "delivered, job_done written, position not", first: flow.Relayed, attempts: 1},
		{name: "delivered, position written", settle: true, first: flow.Relayed, attempts: 1},
		{name: "deferred, rows lost", lose: "INSERT ON job", first: flow.Deferred, attempts: 2},
		{name: "deferred, rows written, position not", first: flow.Deferred, attempts: 2},
		{name: "deferred, position written", settle: true, first: flow.Deferred, attempts: 2},
		{name: "failed, notice made, job_done lost", lose: "INSERT ON job_done", first: flow.Failed, attempts: 2},
		{name: "failed, notice made", first: flow.Failed, attempts: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.stuck = !c.settle
				allow := func() {}
				if c.lose != "" {
					allow = dbtest.Refuse(t, w.db, c.lose)
				}
				attempts := 0
				w.reply = func(_ *Task, r *flow.Recipient) flow.Outcome {
					o := flow.Outcome{Recipient: r.No, Result: flow.Delivered, At: time.Now()}
					if r.Transport == flow.SMTP {
						if attempts++; attempts == 1 && c.first <= flow.Failed {
							o.Result = c.first
						}
					}
					return o
				}
				q := w.start()
				if c.first > flow.Failed {
					q.mu.Lock()
					q.started = false
					q.mu.Unlock()
				}
				j := w.submit(q, mailbox(1), remoteTo("a.example"))
				pass(time.Second)
				w.crash(q)
				w.stuck = false
				allow()
				for range 2 {
					q = w.start()
					pass(time.Hour)
					w.stop(q)
				}
				if w.boxes[key(j.ID, 0)] != 1 || attempts != c.attempts {
					t.Errorf("mailbox %d, %d attempts, want 1 and %d", w.boxes[key(j.ID, 0)], attempts, c.attempts)
				}
				if w.remote[key(j.ID, 1)] == 0 && len(w.notices) == 0 || len(w.records) != 0 || w.rows("job") != 0 {
					t.Errorf("remote %v, notices %d, unsettled %d, jobs %d", w.remote, len(w.notices), len(w.records), w.rows("job"))
				}
			})
		})
	}
}
