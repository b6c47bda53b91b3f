package sched

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// world is the scheduler with hosts around it, in virtual time.
type world struct {
	*Scheduler
	t       testing.TB
	now     time.Time
	rand    *rand.Rand
	n       int
	flights flightHeap
	hosts   map[string]*host // by site
	sites   map[string]string
	waits   []time.Duration // until the next attempt
	tries   map[queueid.ID]int
	added   map[queueid.ID]time.Time
	delays  map[string][]time.Duration // by label: from due to take-off
	labels  map[queueid.ID]string
	done    int
	expired int
}

// host is one site's behaviour.
type host struct {
	answer func(w *world, h *host, u *Unit) (took time.Duration, f Feedback)
	flying int
	most   int
	starts []time.Time
}

type simFlight struct {
	at time.Time
	no int
	u  Unit
	f  Feedback
	h  *host
}

type flightHeap []simFlight

func (h flightHeap) Len() int { return len(h) }
func (h flightHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].no < h[j].no
}
func (h flightHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *flightHeap) Push(x any)   { *h = append(*h, x.(simFlight)) }
func (h *flightHeap) Pop() any     { return pop((*[]simFlight)(h)) }

func newWorld(t testing.TB, p Policy) *world {
	return &world{Scheduler: New(p), t: t, now: start, rand: rand.New(rand.NewPCG(1, 2)), hosts: map[string]*host{}, sites: map[string]string{},
		waits: []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, time.Hour}, tries: map[queueid.ID]int{}, added: map[queueid.ID]time.Time{},
		delays: map[string][]time.Duration{}, labels: map[queueid.ID]string{}}
}

// usual is the policy that the defaults of the configuration make.
func usual() Policy {
	return Policy{Limits: Limits{PerRoute: 20, Total: 200, Mailbox: 1024}}
}

// reply is an answer that says something of the site.
func reply(s flow.Signal, connected bool) Feedback {
	o := flow.Outcome{At: start, Signal: s, Connected: connected}
	if s == flow.Well {
		o.Result = flow.Relayed
	}
	return Feedback{Signal: s, Outcome: o}
}

// always answers the same after the same time.
func always(took time.Duration, s flow.Signal) *host {
	return &host{answer: func(*world, *host, *Unit) (time.Duration, Feedback) { return took, reply(s, true) }}
}

// mail adds a unit that is due after a while; its label is for the delays.
func (w *world) mail(label, domain, payer string, c Class, after time.Duration) {
	w.n++
	u := unit(w.n, domain, w.now.Add(after))
	u.Payer, u.Class, u.MX, u.Recipients, u.Expire = payer, c, true, []int{0}, w.now.Add(after+5*24*time.Hour)
	w.labels[u.ID], w.added[u.ID] = label, u.Due
	w.Add(u)
}

// run lets time pass.
func (w *world) run(until time.Time) {
	for {
		w.Tick(w.now)
		for _, domain := range w.Unresolved(1000) {
			w.Resolved(domain, w.sites[domain], w.now.Add(time.Hour))
		}
		for p, ok := w.Ready(w.now); ok; p, ok = w.Ready(w.now) {
			w.begin(p)
		}
		next := until
		if at, ok := w.Next(); ok && at.Before(next) {
			next = at
		}
		if len(w.flights) > 0 && w.flights[0].at.Before(next) {
			next = w.flights[0].at
		}
		if !next.After(w.now) {
			next = w.now.Add(time.Microsecond)
		}
		if next.After(until) || next.Equal(until) {
			w.now = until
			return
		}
		w.now = next
		for len(w.flights) > 0 && !w.flights[0].at.After(w.now) {
			w.land(heap.Pop(&w.flights).(simFlight))
		}
	}
}

func (w *world) begin(p Pick) {
	if p.Rest != nil {
		if w.now.Before(p.Expire) || p.Rest.Reason.At.IsZero() {
			w.t.Errorf("%s comes up as expired at %s, its time is %s, the reason %+v", p.Route, w.now, p.Expire, p.Rest.Reason)
		}
		w.expired++
		w.Done(p.Unit, Feedback{}, w.now)
		return
	}
	name := p.flight.site.key.name
	h := w.hosts[name]
	if h == nil {
		h = w.hosts[""]
	}
	if w.tries[p.ID] == 0 {
		label := w.labels[p.ID]
		w.delays[label] = append(w.delays[label], w.now.Sub(p.Due))
	}
	h.flying++
	h.most = max(h.most, h.flying)
	h.starts = append(h.starts, w.now)
	took, f := h.answer(w, h, &p.Unit)
	w.n++
	heap.Push(&w.flights, simFlight{w.now.Add(took), w.n, p.Unit, f, h})
}

func (w *world) land(l simFlight) {
	l.h.flying--
	w.Done(l.u, l.f, w.now)
	if l.f.signal() == flow.Well || l.f.Outcome.Result == flow.Failed {
		w.done++
		return
	}
	if !l.u.Expire.After(w.now) {
		w.expired++
		return
	}
	w.tries[l.u.ID]++
	l.u.Due = w.now.Add(time.Duration(float64(w.waits[min(w.tries[l.u.ID], len(w.waits))-1]) * (0.9 + 0.2*w.rand.Float64())))
	w.Add(l.u)
}

// worst is the delay of the n-th hundredth of a label's units.
func (w *world) worst(label string, hundredth int) time.Duration {
	d := slices.Sorted(slices.Values(w.delays[label]))
	if len(d) == 0 {
		w.t.Fatalf("no %s ever took off", label)
	}
	return d[min(len(d)*hundredth/100, len(d)-1)]
}

func (w *world) info(name string) SiteInfo {
	for _, i := range w.Sites(w.now) {
		if i.Name == name {
			return i
		}
	}
	return SiteInfo{Name: name}
}

// 200,000 newsletters wait, and a password reset comes: it does not wait behind them, whoever sent both.
func TestNewsletters(t *testing.T) {
	for _, c := range []struct {
		name          string
		payer, letter string
		class         Class
		domains       int
		most          time.Duration
	}{
		{"one sender, one site", "shop", "shop", Bulk, 1, 0},
		{"one sender, many sites", "shop", "shop", Bulk, 2000, 0},
		{"two senders, one site", "bank", "shop", Bulk, 1, 0},
		// Nothing says that they are newsletters: then it waits for one to end, as it is the next sender's turn.
		{"two senders, one site, unmarked", "bank", "shop", Normal, 1, 2 * time.Second},
		{"two senders, many sites, unmarked", "bank", "shop", Normal, 2000, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, usual())
			w.hosts[""] = &host{answer: func(w *world, _ *host, _ *Unit) (time.Duration, Feedback) {
				return time.Duration(500+w.rand.IntN(1000)) * time.Millisecond, reply(flow.Well, true)
			}}
			n := 60_000
			if c.class == Bulk && c.domains > 1 {
				n = 200_000
			}
			for i := range n {
				w.mail("newsletter", "d"+strconv.Itoa(i%c.domains)+".example", c.letter, c.class, 0)
			}
			for i := range 20 {
				w.mail("reset", "d0.example", c.payer, Normal, time.Minute+time.Duration(i)*7*time.Second)
			}
			w.run(start.Add(4 * time.Minute))
			if got := w.worst("reset", 100); got > c.most {
				t.Errorf("a password reset waited for %s, at most %s", got, c.most)
			}
			if len(w.delays["reset"]) != 20 {
				t.Errorf("%d resets took off", len(w.delays["reset"]))
			}
			limit := 200
			if c.domains == 1 {
				limit = 20
			}
			if c.class == Bulk {
				limit -= reserve(limit)
			}
			if min := limit * 150; w.done < min { // what is kept free costs a quarter at most
				t.Errorf("%d went out, at least %d", w.done, min)
			}
		})
	}
}

// All three classes wait at one site: each gets its share, none starves.
func TestShares(t *testing.T) {
	w := newWorld(t, usual())
	w.hosts[""] = always(time.Second, flow.Well)
	for range 15_000 {
		w.mail("urgent", "d.example", "a", Urgent, 0)
		w.mail("normal", "d.example", "a", Normal, 0)
		w.mail("bulk", "d.example", "a", Bulk, 0)
	}
	w.run(start.Add(10 * time.Minute))
	u, n, b := len(w.delays["urgent"]), len(w.delays["normal"]), len(w.delays["bulk"])
	if u < n*17/10 || n < b*3 || b < 500 {
		t.Errorf("urgent %d, normal %d, bulk %d; weights are 8, 4, 1", u, n, b)
	}
}

// Of many senders each gets as much, whatever each has waiting.
func TestSenders(t *testing.T) {
	w := newWorld(t, usual())
	w.hosts[""] = always(time.Second, flow.Well)
	for i := range 30_000 {
		w.mail("great", "d"+strconv.Itoa(i%300)+".example", "great", Normal, 0)
	}
	for p := range 9 {
		for i := range 2000 {
			w.mail("small", "d"+strconv.Itoa(i%300)+".example", "small"+strconv.Itoa(p), Normal, 0)
		}
	}
	w.run(start.Add(time.Minute))
	if great, small := len(w.delays["great"]), len(w.delays["small"])/9; great > small*13/10 || small > great*13/10 {
		t.Errorf("the great one %d, each small one %d", great, small)
	}
}

// 200 destinations, of which 20 are dead and 20 slow: the healthy do not notice.
func TestDeadAndSlow(t *testing.T) {
	delays := func(ill bool) time.Duration {
		w := newWorld(t, usual())
		w.hosts[""] = always(50*time.Millisecond, flow.Well)
		if ill {
			for i := range 20 {
				w.hosts["dead"+strconv.Itoa(i)] = always(30*time.Second, flow.Unreachable)
				w.hosts["slow"+strconv.Itoa(i)] = always(2*time.Minute, flow.Well)
			}
		}
		minutes := 30
		for s := range minutes * 60 {
			for i := range 20 {
				at := time.Duration(s)*time.Second + time.Duration(w.rand.IntN(1000))*time.Millisecond
				w.mail("healthy", "d"+strconv.Itoa(w.rand.IntN(160)), "p"+strconv.Itoa(i%7), Normal, at)
				if i < 4 && ill {
					w.mail("dead", "dead"+strconv.Itoa(w.rand.IntN(20)), "p"+strconv.Itoa(i%7), Normal, at)
					w.mail("slow", "slow"+strconv.Itoa(w.rand.IntN(20)), "p"+strconv.Itoa(i%7), Normal, at)
				}
			}
		}
		w.run(start.Add(time.Duration(minutes) * time.Minute))
		if ill {
			t.Logf("waited for their turn: healthy 99%% %s, all %s; attempts: dead %d, slow %d", w.worst("healthy", 99), w.worst("healthy", 100),
				len(w.delays["dead"]), len(w.delays["slow"]))
			for i := range 20 {
				if n := len(w.hosts["dead"+strconv.Itoa(i)].starts); n > 40 {
					t.Errorf("a dead site was tried %d times in %d minutes", n, minutes)
				}
			}
			if len(w.delays["slow"]) < 20*minutes/2 {
				t.Errorf("the slow ones starve: %d", len(w.delays["slow"]))
			}
		}
		return w.worst("healthy", 100)
	}
	if without, with := delays(false), delays(true); with > without+100*time.Millisecond {
		t.Errorf("a unit for a healthy site waited %s, without the others %s", with, without)
	}
}

// A site that takes five at once, and answers 421 to the sixth, is found out, and still gets nearly all that it can take.
func TestLearnsTheLimit(t *testing.T) {
	w := newWorld(t, usual())
	over := 0
	w.hosts[""] = &host{answer: func(w *world, h *host, _ *Unit) (time.Duration, Feedback) {
		if h.flying > 5 {
			over++
			return 10 * time.Millisecond, reply(flow.Slower, true)
		}
		return time.Second, reply(flow.Well, true)
	}}
	for range 20_000 {
		w.mail("all", "d.example", "a", Normal, 0)
	}
	w.run(start.Add(30 * time.Minute))
	if i := w.info("d.example"); i.Limit < 2 || i.Limit > 7 || i.Rest != nil {
		t.Errorf("the limit is %d, %+v", i.Limit, i.Rest)
	}
	if w.done < 5*1800*8/10 || over > w.done/100 {
		t.Errorf("%d went out of %d, %d were too many", w.done, 5*1800, over)
	}
}

// A site that takes more than it had at first gets more, up to the ceiling.
func TestGrows(t *testing.T) {
	w := newWorld(t, usual())
	w.hosts[""] = always(time.Second, flow.Well)
	for range 1000 {
		w.mail("all", "d.example", "a", Normal, 0)
	}
	w.run(start.Add(500 * time.Millisecond))
	if h := w.hosts[""]; h.most != DefaultInitial {
		t.Errorf("%d at first", h.most)
	}
	w.run(start.Add(10 * time.Second))
	if i, h := w.info("d.example"), w.hosts[""]; i.Limit != 20 || h.most != 20 {
		t.Errorf("limit %d, most %d", i.Limit, h.most)
	}
}

// A site with one message at a time does not grow: nothing is known of more.
func TestDoesNotGrowIdle(t *testing.T) {
	w := newWorld(t, usual())
	w.hosts[""] = always(time.Second, flow.Well)
	for i := range 100 {
		w.mail("all", "d.example", "a", Normal, time.Duration(i)*2*time.Second)
	}
	w.run(start.Add(5 * time.Minute))
	if i := w.info("d.example"); i.Limit != DefaultInitial {
		t.Errorf("limit %d", i.Limit)
	}
}

// Rates hold in any span of their time, but for the tenth that may come at once.
func TestRates(t *testing.T) {
	for _, c := range []struct {
		name  string
		site  Site
		reuse int // of so many messages one needs a connection
		most  int // messages in a minute
		least int
	}{
		{"messages", Site{Messages: Rate{60, time.Minute}}, 1, 66, 60},
		{"connections", Site{Connections: Rate{60, time.Minute}}, 1, 66, 60},
		{"connections, used again", Site{Connections: Rate{60, time.Minute}}, 10, 1200, 300},
		{"one an hour", Site{Messages: Rate{1, time.Hour}}, 1, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := usual()
			p.Sites = map[string]Site{"google": c.site}
			w := newWorld(t, p)
			n := 0
			h := &host{answer: func(*world, *host, *Unit) (time.Duration, Feedback) {
				n++
				return 500 * time.Millisecond, reply(flow.Well, n%c.reuse == 0)
			}}
			w.hosts["google"] = h
			for i := range 20_000 {
				w.sites[fmt.Sprintf("d%d.example", i%50)] = "google"
				w.mail("all", fmt.Sprintf("d%d.example", i%50), "a", Normal, 0)
			}
			w.run(start.Add(20 * time.Minute))
			end := 0
			for i, at := range h.starts {
				for end < len(h.starts) && h.starts[end].Sub(at) < time.Minute {
					end++
				}
				if end-i > c.most {
					t.Fatalf("%d began in one minute, at most %d", end-i, c.most)
				}
			}
			if got := len(h.starts) / 20; got < c.least {
				t.Errorf("%d a minute, at least %d", got, c.least)
			}
		})
	}
}

// A dead destination is probed ever more rarely, what expires meanwhile comes up with the reason, and when it is there again
// its mail flows.
func TestDeadDestination(t *testing.T) {
	w := newWorld(t, usual())
	dead := true
	h := &host{}
	h.answer = func(*world, *host, *Unit) (time.Duration, Feedback) {
		if dead {
			return 30 * time.Second, reply(flow.Unreachable, false)
		}
		return time.Second, reply(flow.Well, true)
	}
	w.hosts[""] = h
	for i := range 500 {
		w.mail("old", "d.example", "p"+strconv.Itoa(i%5), Normal, time.Duration(i)*time.Minute)
	}
	w.run(start.Add(4 * 24 * time.Hour))
	if n := len(h.starts); n > 130 { // 4 days of an hour each, and the first minutes
		t.Errorf("tried %d times", n)
	}
	if i := w.info("d.example"); i.Rest == nil || i.Rest.Until.Sub(w.now) > DefaultRestMax || w.now.Sub(i.Rest.Since) < 3*24*time.Hour {
		t.Errorf("%+v", i.Rest)
	}
	w.run(start.Add(5*24*time.Hour + 4*time.Hour)) // half of it has expired
	if w.expired < 200 || w.expired > 260 {
		t.Errorf("%d expired", w.expired)
	}
	dead = false
	w.run(w.now.Add(DefaultRestMax + 10*time.Minute))
	if w.expired+w.done != 500 || w.done < 150 {
		t.Errorf("%d expired, %d went out, of 500", w.expired, w.done)
	}
	if i := w.info("d.example"); i.Rest != nil || i.Ready != 0 {
		t.Errorf("%+v", i)
	}
}

// Greylisting says nothing against a site: all come at once, all come again, all are taken.
func TestGreylisting(t *testing.T) {
	w := newWorld(t, usual())
	first := map[queueid.ID]time.Time{}
	w.hosts[""] = &host{answer: func(w *world, _ *host, u *Unit) (time.Duration, Feedback) {
		if at, ok := first[u.ID]; ok && w.now.Sub(at) >= 4*time.Minute {
			return time.Second, reply(flow.Well, true)
		}
		first[u.ID] = w.now
		return time.Second, reply(flow.Silent, true)
	}}
	for i := range 1000 {
		w.mail("all", "d.example", "p"+strconv.Itoa(i%3), Normal, time.Duration(i)*time.Second)
	}
	w.run(start.Add(time.Hour))
	if w.done != 1000 || w.info("d.example").Rest != nil {
		t.Errorf("%d of 1000 went out: %+v", w.done, w.info("d.example"))
	}
}

// The operator ends a rest; so does a flush.
func TestResume(t *testing.T) {
	for _, flush := range []bool{false, true} {
		w := newWorld(t, usual())
		w.hosts[""] = always(time.Second, flow.Unreachable)
		for range 10 {
			w.mail("all", "d.example", "a", Normal, 0)
		}
		w.run(start.Add(2 * time.Minute))
		tried := len(w.hosts[""].starts)
		if w.info("d.example").Rest == nil || w.Resume("unknown") {
			t.Fatal("it does not rest, or an unknown one resumes")
		}
		if flush {
			w.Flush(w.now)
		} else if !w.Resume("d.example") {
			t.Fatal("it does not resume")
		}
		w.run(w.now.Add(time.Second / 2))
		if len(w.hosts[""].starts) == tried {
			t.Error("nothing is tried")
		}
	}
}

// A clock that goes back does not make a rest longer.
func TestClockGoesBack(t *testing.T) {
	w := newWorld(t, usual())
	w.hosts[""] = always(time.Second, flow.Unreachable)
	for range 10 {
		w.mail("all", "d.example", "a", Normal, 0)
	}
	w.run(start.Add(2 * time.Minute))
	w.Tick(w.now)
	left := w.info("d.example").Rest.Until.Sub(w.now)
	w.now = w.now.Add(-300 * 24 * time.Hour)
	w.Tick(w.now)
	if got := w.info("d.example").Rest.Until.Sub(w.now); got != left {
		t.Errorf("rests for %s, before %s", got, left)
	}
}

// Three weeks of hosts that come and go, and of operators: every unit goes out or expires, and nothing is stuck at the end.
func TestWeeks(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { weeks(t, seed) })
	}
}

func weeks(t *testing.T, seed uint64) {
	p := usual()
	p.Limits = Limits{PerRoute: 6, Total: 12, Mailbox: 4}
	p.Sites = map[string]Site{"s1": {Connections: Rate{10, time.Minute}}, "s2": {Concurrency: 1}, "s3": {Messages: Rate{5, time.Minute}}}
	w := newWorld(t, p)
	w.rand = rand.New(rand.NewPCG(seed, 3))
	sick := map[string]flow.Signal{}
	for i := range 12 {
		name := "s" + strconv.Itoa(i)
		w.hosts[name] = &host{answer: func(w *world, _ *host, _ *Unit) (time.Duration, Feedback) {
			s := sick[name]
			if s == flow.Silent {
				s = flow.Well
			}
			f := reply(s, w.rand.IntN(3) > 0)
			if w.rand.IntN(20) == 0 {
				f = Feedback{Outcome: flow.Outcome{At: start, Result: flow.Failed}}
			}
			return time.Duration(w.rand.IntN(20_000)) * time.Millisecond, f
		}}
	}
	total := 0
	for range 3 * 7 * 24 {
		for range w.rand.IntN(20) {
			d := "d" + strconv.Itoa(w.rand.IntN(40))
			w.sites[d] = "s" + strconv.Itoa(w.rand.IntN(12))
			w.mail("all", d, "p"+strconv.Itoa(w.rand.IntN(4)), Class(w.rand.IntN(3)), time.Duration(w.rand.IntN(3600))*time.Second)
			total++
		}
		sick["s"+strconv.Itoa(w.rand.IntN(12))] = flow.Signal(w.rand.IntN(5))
		switch w.rand.IntN(40) {
		case 0:
			w.Flush(w.now)
		case 1:
			w.Resume("s" + strconv.Itoa(w.rand.IntN(12)))
		case 2:
			w.SetPolicy(p)
		}
		w.run(w.now.Add(time.Hour))
		for name, h := range w.hosts {
			if h.most > 6 || name == "s2" && h.most > 1 {
				t.Fatalf("%s had %d at once", name, h.most)
			}
		}
	}
	clear(sick)
	w.run(w.now.Add(7 * 24 * time.Hour))
	if w.done+w.expired != total || len(w.flights) != 0 || w.Flying() != 0 {
		t.Errorf("%d went out and %d expired of %d; %d in flight", w.done, w.expired, total, w.Flying())
	}
	checkEmpty(t, w.Scheduler, w.now)
}

// checkEmpty looks for what is left over.
func checkEmpty(t testing.TB, s *Scheduler, now time.Time) {
	t.Helper()
	for _, i := range s.Sites(now) {
		if i.Flying+i.Ready != 0 {
			t.Errorf("left over: %+v", i)
		}
	}
	for _, l := range []*lane{&s.remote, &s.local} {
		if l.flying != 0 || l.bulk != 0 || l.busy != 0 || len(l.payers) != 0 {
			t.Errorf("left over: %d flying, %d of them bulk, %d busy sites, %d payers", l.flying, l.bulk, l.busy, len(l.payers))
		}
		for h := range healths {
			if l.pools[h].flying != 0 || len(l.pools[h].starved) != 0 {
				t.Errorf("left over in pool %d: %d flying, %d starved", h, l.pools[h].flying, len(l.pools[h].starved))
			}
		}
	}
	if len(s.nameless) != 0 || s.ask.len() != 0 || s.expired.len() != 0 || len(s.waiting) != 0 {
		t.Errorf("left over: %d domains without a site, %d units", len(s.nameless), len(s.waiting))
	}
}

// Add, Tick, Ready and Done of 100,000 units for 5,000 sites.
func BenchmarkUnits(b *testing.B) {
	const units, sites = 100_000, 5_000
	domains := make([]string, sites)
	for i := range domains {
		domains[i] = "d" + strconv.Itoa(i) + ".example"
	}
	for b.Loop() {
		s := New(usual())
		for i := range units {
			u := unit(i, domains[(i*7919)%sites], start)
			u.MX, u.Payer, u.Class, u.Recipients = true, domains[i%300], Class(i%3), []int{0}
			s.Add(u)
		}
		s.Tick(start)
		for _, d := range s.Unresolved(units) {
			s.Resolved(d, d, start.Add(time.Hour))
		}
		var flying []Unit
		n := 0
		now := start
		for n < units {
			for p, ok := s.Ready(now); ok; p, ok = s.Ready(now) {
				flying = append(flying, p.Unit)
			}
			if len(flying) == 0 {
				b.Fatal("stuck")
			}
			now = now.Add(time.Millisecond)
			s.Done(flying[0], reply(flow.Well, true), now)
			flying = flying[1:]
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/units, "ns/unit")
}
