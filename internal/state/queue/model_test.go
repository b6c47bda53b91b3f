package queue

import (
	"context"
	"fmt"
	"github.com/postrider/postrider/internal/state/queue/sched"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"pgregory.net/rapid"
)

// run is one start of the server over a world. When it has crashed nothing it does has an effect any more.
type run struct {
	w    *modelWorld
	q    *Queue
	mu   sync.Mutex
	dead bool
	held map[queueid.ID]bool
}

// modelWorld is a world with chance, and what it wants of the queue.
type modelWorld struct {
	*world
	chance   *rand.Rand // under world.mu
	kind     bool       // nothing goes wrong any more
	crashes  int
	deleted  map[queueid.ID]bool
	failed   map[string]int // "failed" was said
	told     map[string]int // and the sender was told
	jobs     []*flow.Job
	bounced  map[string]bool // an operator may have said "failed"
	problems []string
}

func (r *run) alive() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.dead
}

func (r *run) Settle(ref recipe.BlobRef) {
	if r.alive() {
		r.w.Settle(ref)
	}
}
func (r *run) FlushSettled(context.Context) error { return nil }
func (r *run) Saved(ref recipe.BlobRef) bool      { return r.w.Saved(ref) }
func (r *run) Delivered(ctx context.Context, id queueid.ID, no int) (bool, error) {
	return r.w.Delivered(ctx, id, no)
}
func (r *run) Forget(ctx context.Context, before queueid.ID, keep func(queueid.ID) bool) error {
	if !r.alive() {
		return context.Canceled
	}
	return r.w.Forget(ctx, before, keep)
}

func (r *run) Report(_ context.Context, n *Notice) error {
	if !r.alive() {
		return context.Canceled
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if !r.w.kind && r.w.chance.IntN(5) == 0 {
		return status.ErrNoSpace
	}
	for i := range n.Recipients {
		r.w.told[key(n.Job.ID, n.Recipients[i].No)]++
	}
	return nil
}

func (r *run) Deliver(ctx context.Context, tasks []*Task) (out [][]flow.Outcome) {
	w := r.w
	w.mu.Lock()
	for _, t := range tasks {
		r.mu.Lock()
		if w.deleted[t.Job.ID] || r.held[t.Job.ID] {
			w.problem("tried although deleted or held: %v", t.Job.ID)
		}
		r.mu.Unlock()
	}
	before, after := time.Duration(w.chance.IntN(8))*time.Second, time.Duration(w.chance.IntN(3))*time.Second
	w.mu.Unlock()
	select {
	case <-time.After(before):
	case <-ctx.Done():
		return nil
	}
	if !r.alive() {
		return nil
	}
	w.mu.Lock()
	if !w.kind && w.chance.IntN(40) == 0 {
		w.mu.Unlock()
		panic("an agent's bug")
	}
	for _, t := range tasks {
		out = append(out, r.outcomes(t))
	}
	w.mu.Unlock()
	time.Sleep(after)
	return out
}

// outcomes decides one task. world.mu is held.
func (r *run) outcomes(t *Task) (list []flow.Outcome) {
	for i := range t.Recipients {
		rcpt := &t.Recipients[i]
		o := flow.Outcome{Recipient: rcpt.No, At: time.Now(), Result: flow.Relayed}
		if rcpt.Transport == flow.Mailbox {
			o.Result = flow.Delivered
		}
		switch n := r.w.chance.IntN(20); {
		case r.w.kind || n < 10:
		case n < 16:
			o = defer4(t, rcpt)
		case n < 18:
			o.Result, o.Status = flow.Failed, status.Enhanced{Class: 5, Subject: 1, Detail: 1}
		case n == 18: // nothing is said
			continue
		}
		switch o.Result {
		case flow.Delivered, flow.Relayed:
			r.w.took(t.Job.ID, rcpt)
		case flow.Failed:
			r.w.failed[key(t.Job.ID, rcpt.No)]++
		}
		list = append(list, o)
	}
	return list
}

func (w *modelWorld) begin(held map[queueid.ID]bool) *run {
	r := &run{w: w, held: held}
	r.q = New(Options{DB: w.db, Journal: r, Ledger: r, Reporter: r, Window: w.window, Policy: sched.Policy{Limits: sched.Limits{PerRoute: 2, Total: 3, Mailbox: 8}},
		Lanes: map[flow.Transport]Lane{flow.Mailbox: {Agent: r, Workers: 2, Batch: 4, Pace: 5 * time.Millisecond},
			flow.SMTP: {Agent: r, Workers: 3, Batch: 1}}})
	w.mu.Lock()
	var refs []recipe.BlobRef
	for ref := range w.records {
		refs = append(refs, ref)
	}
	w.mu.Unlock()
	for _, ref := range refs {
		w.mu.Lock()
		trailer := w.records[ref]
		w.mu.Unlock()
		if err := r.q.Recover(w.t.Context(), ref, trailer); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := r.q.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// end stops the run, or crashes it: then its agents and the journal do nothing more, and what was not written is lost.
func (r *run) end(crash bool) {
	if crash {
		r.mu.Lock()
		r.dead = true
		r.mu.Unlock()
		r.w.crashes++
		r.w.crash(r.q)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := r.q.Stop(ctx); err != nil {
		r.w.t.Fatal(err)
	}
}

// step is one thing that happens to a queue. n chooses among what there is.
type step struct {
	what string
	n    int
	on   bool
	rcpt []flow.Recipient // of submit
	wait time.Duration
	act  Action // of change
}

var steps = rapid.Custom(func(t *rapid.T) (s step) {
	s.what = rapid.SampledFrom([]string{"submit", "submit", "submit", "wait", "wait", "wait", "hold", "hold", "delete", "flush", "restart", "change", "look"}).Draw(t, "what")
	s.n, s.on = rapid.IntRange(0, 99).Draw(t, "n"), rapid.Bool().Draw(t, "on")
	switch s.what {
	case "submit":
		for range rapid.IntRange(1, 5).Draw(t, "recipients") {
			rcpt := mailbox(1)
			if rapid.Bool().Draw(t, "remote") {
				rcpt = remoteTo(rapid.SampledFrom([]string{"a.example", "b.example", "c.example"}).Draw(t, "domain"))
			}
			if rapid.IntRange(0, 4).Draw(t, "quiet") == 0 {
				rcpt.Notify = envelope.NotifyNever
			}
			s.rcpt = append(s.rcpt, rcpt)
		}
	case "change":
		s.act = rapid.SampledFrom([]Action{ActFlush, ActRequeue, ActBounce, ActReroute}).Draw(t, "action")
	case "wait":
		s.wait = time.Duration(rapid.SampledFrom([]int{0, 1, 1000, 4000, 15_000, 400_000, 1_500_000}).Draw(t, "ms")) * time.Millisecond
	}
	return s
})

// Random jobs, outcomes, panics, holds, deletions, restarts and crashes: in the end every recipient of every job that was
// not deleted has ended, a mailbox has its message once, elsewhere it is there once unless there was a crash, and of every
// failure the sender was told.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		window := rapid.SampledFrom([]int{0, 0, 8, 1}).Draw(rt, "window")
		seed, stuck := rapid.Uint64().Draw(rt, "seed"), rapid.Bool().Draw(rt, "settled position stuck")
		list := rapid.SliceOfN(steps, 5, 30).Draw(rt, "steps")
		var problems []string
		synctest.Test(t, func(t *testing.T) {
			w := &modelWorld{world: newWorld(t), chance: rand.New(rand.NewPCG(seed, 1)), deleted: map[queueid.ID]bool{},
				failed: map[string]int{}, told: map[string]int{}, bounced: map[string]bool{}}
			w.stuck, w.window = stuck, window
			r := w.begin(map[queueid.ID]bool{})
			for _, s := range list {
				r = r.play(s)
			}
			r.calm()
			w.verify(r.q)
			problems = w.problems
		})
		for _, p := range problems {
			rt.Error(p)
		}
	})
}

// play has a step happen; after a restart another run goes on.
func (r *run) play(s step) *run {
	w := r.w
	var j *flow.Job
	if len(w.jobs) > 0 {
		j = w.jobs[s.n%len(w.jobs)]
	}
	switch {
	case s.what == "submit":
		w.bulk = s.on
		w.jobs = append(w.jobs, w.submit(r.q, append([]flow.Recipient(nil), s.rcpt...)...))
	case s.what == "wait":
		time.Sleep(s.wait)
	case s.what == "flush":
		r.q.Flush()
	case s.what == "look":
		r.look()
	case s.what == "restart":
		r.end(s.on)
		return w.begin(r.held)
	case j == nil:
	case s.what == "hold":
		r.hold(j.ID, s.on)
	case s.what == "change":
		r.change(s, j)
	case s.what == "delete" && r.q.Delete(w.t.Context(), j.ID) == nil:
		synctest.Wait()
		w.mu.Lock()
		w.deleted[j.ID] = true
		w.mu.Unlock()
	}
	return r
}

// change does what an operator may want of one job, or of all to one domain.
func (r *run) change(s step, j *flow.Job) {
	f := Filter{IDs: []queueid.ID{j.ID}}
	if s.on {
		f = Filter{Recipient: "@b.example"}
	}
	c := Change{Action: s.act, Transport: flow.SMTP, NextHop: "[relay.example]"}
	if s.act == ActBounce {
		c.Text = "5.7.1 no"
		// What it will end is known only afterwards: everything that it may is.
		r.w.mu.Lock()
		for _, j := range r.w.jobs {
			for i := range j.Recipients {
				r.w.bounced[key(j.ID, i)] = true
			}
		}
		r.w.mu.Unlock()
	}
	if _, err := r.q.Change(r.w.t.Context(), f, c); err != nil && s.act != ActBounce { // whose notification the world may refuse
		r.w.t.Error(err)
	}
}

// look compares what Select, Counts and Stats say.
func (r *run) look() {
	states, n := map[string]int{}, 0
	var last queueid.ID
	synctest.Wait()
	err := r.q.Select(r.w.t.Context(), Filter{}, func(i Info) error {
		if i.id.Compare(last) <= 0 || len(i.Recipients) == 0 || i.Recipients[0].Address == "" || i.Sender != "s@x.example" {
			r.w.t.Errorf("after %v: %+v", last, i)
		}
		last = i.id
		states[i.State]++
		n++
		return nil
	})
	if err != nil {
		r.w.t.Fatal(err)
	}
	stats, err := r.q.Stats(r.w.t.Context())
	if err != nil {
		r.w.t.Fatal(err)
	}
	for state, n := range r.q.Counts() {
		if state != "incoming" && states[state] != n || stats.States[state].Jobs != states[state] {
			r.w.t.Errorf("%d jobs that are %s, counted %d and %d", states[state], state, n, stats.States[state].Jobs)
		}
	}
	if stats.Total.Jobs != n {
		r.w.t.Errorf("%d jobs, counted %d", n, stats.Total.Jobs)
	}
}

// hold notes what is held once that is durable.
func (r *run) hold(id queueid.ID, on bool) {
	set := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held[id] = on
	}
	if !on {
		set()
	}
	if r.q.Hold(id, on) != nil {
		return
	}
	if err := r.q.Sync(r.w.t.Context()); err != nil {
		r.w.t.Fatal(err)
	}
	synctest.Wait() // an attempt that was about to begin has begun
	if on {
		set()
	}
}

// calm lets everything end well.
func (r *run) calm() {
	r.w.mu.Lock()
	r.w.kind = true
	r.w.mu.Unlock()
	for _, j := range r.w.jobs {
		r.hold(j.ID, false)
	}
	for range 3 {
		r.q.Flush()
		time.Sleep(5 * time.Minute)
	}
	r.end(false)
}

func (w *modelWorld) problem(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

func (w *modelWorld) verify(q *Queue) {
	if n := len(q.jobs); n > 0 || q.incoming != 0 || w.rows("job") != 0 || w.rows("job_recipient") != 0 || len(w.records) > 0 && !w.stuck {
		w.problem("left over: %d jobs, %d incoming, %d rows, %d records", n, q.incoming, w.rows("job"), len(w.records))
	}
	if len(q.lines) != 0 || len(q.payers) != 0 || q.resident != [len(classes)]int{} || len(q.parked) != 0 || q.away[Queued]+q.away[Hold]+q.away[Corrupt] != 0 {
		w.problem("left over: lines %v, resident %v, %d parked, away %v", q.lines, q.resident, len(q.parked), q.away)
	}
	if q.sched.Flying() != 0 {
		w.problem("left over: %d in flight", q.sched.Flying())
	}
	for _, j := range w.jobs {
		for i := range j.Recipients {
			rcpt, k := &j.Recipients[i], key(j.ID, i)
			arrived := w.boxes[k] + w.remote[k]
			if w.boxes[k] > 1 || w.remote[k] > 1 && w.crashes == 0 {
				w.problem("%s arrived %d times", k, arrived)
			}
			if w.deleted[j.ID] {
				continue
			}
			if w.bounced[k] {
				w.failed[k]++
			}
			quiet := rcpt.Notify == envelope.NotifyNever
			if arrived == 0 && (w.failed[k] == 0 || w.told[k] == 0 && !quiet) {
				w.problem("%s is lost: failed %d times, told %d times", k, w.failed[k], w.told[k])
			}
			if w.told[k] > 0 && (quiet || w.failed[k] == 0) {
				w.problem("%s: told of a failure that was none, or should not be told", k)
			}
			if w.crashes == 0 && arrived > 0 && w.told[k] > 0 {
				w.problem("%s: arrived, and its sender was told it had not", k)
			}
		}
	}
}
