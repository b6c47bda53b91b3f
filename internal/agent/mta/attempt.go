package mta

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/queue"
)

// Bounds of one attempt, so that a domain of many dead hosts holds nobody up; the next attempt draws anew among equals.
const (
	maxAddresses = 10 // connections tried
	maxSessions  = 2  // transactions begun, on different hosts
)

// attempt is one task on its way.
type attempt struct {
	*Agent
	set      *Settings
	task     *queue.Task
	facts    facts
	pending  []flow.Recipient     // without a final outcome
	later    map[int]flow.Outcome // of pending ones: what a host said of them in particular
	soft     *failure             // the last temporary failure of a host
	hard     *failure             // the last permanent one
	out      []flow.Outcome
	started  time.Time
	ready    time.Time // when the connection stood; zero: none does
	sessions int
	reached  bool         // a new connection was greeted
	untold   bool         // own trouble kept us from a host: nobody knows how it is
	apart    []string     // hosts that were tried and are none of the site's
	fallen   *flow.Signal // what the destination's hosts gave, once the fall-back relays are tried
}

// facts is what the message demands of the next hop.
type facts struct {
	body envelope.Body
	utf8 bool // SMTPUTF8, whoever the recipients are
}

func newAttempt(a *Agent, set *Settings, t *queue.Task) *attempt {
	x := &attempt{Agent: a, set: set, task: t, later: map[int]flow.Outcome{}, started: a.opt.Now()}
	x.pending = append(x.pending, t.Recipients...)
	x.facts = factsOf(t.Job)
	// Those of one sender together: a transaction has one.
	slices.SortStableFunc(x.pending, func(a, b flow.Recipient) int {
		return cmp.Compare(t.Job.Sender(&a).String(), t.Job.Sender(&b).String())
	})
	return x
}

// factsOf believes the message more than its sender: a client that says BODY=8BITMIME for everything must not make
// 7-bit text undeliverable, nor one that says nothing hide what is there. SMTPUTF8 is needed for what is UTF-8 in fact
// (RFC 6531 §3.6), and was allowed by the sender only if he said so.
func factsOf(j *flow.Job) facts {
	f := facts{body: j.Body, utf8: j.UTF8}
	if m, err := mime.DecodeFacts(j.Index); err == nil && m.Flags&mime.Limited == 0 {
		f.utf8 = j.UTF8 && m.Flags&mime.EightBitHeader != 0
		f.body = envelope.Body7Bit
		if m.Flags&(mime.EightBitBody|mime.EightBitHeader) != 0 {
			f.body = envelope.Body8BitMIME
		}
	}
	return f
}

// run tries one address after the other until every recipient has its outcome.
func (x *attempt) run(ctx context.Context) []flow.Outcome {
	if len(x.pending) == 0 {
		return nil
	}
	rt, f := routeOf(x.set, &x.pending[0])
	if f != nil {
		x.undone(f.in("connect"))
		return x.giveUp()
	}
	rt.sender(x.task.Job, &x.pending[0], x.turns.Add(1))
	if !x.walkRoute(ctx, rt) && ctx.Err() == nil {
		// The fall-back relays are for what is not decided, by hosts or the DNS; but what comes back to us would do so again.
		if other := rt.fallback(); other != nil && !x.comesBack(ctx, rt) {
			var of flow.Signal
			if f := x.last(); f != nil {
				_, of = f.classify()
			}
			of = x.signal(of)
			x.sessions, x.fallen = 0, &of
			x.walkRoute(ctx, other)
		}
	}
	if ctx.Err() != nil {
		return x.out // no report means not done
	}
	return x.giveUp()
}

// walkRoute tries the hosts of a route until nobody is left to deliver to, which it tells, or no more may be tried.
func (x *attempt) walkRoute(ctx context.Context, rt *route) (done bool) {
	tried := 0
	for h, f := range x.hops(ctx, rt) {
		if f != nil {
			x.undone(f.in("dns"))
			continue
		}
		for more := true; more; {
			tried++
			var used netip.AddrPort
			if used, f = x.try(ctx, rt, h); f != nil && ctx.Err() == nil {
				x.failed(f)
			}
			if len(x.pending) == 0 || ctx.Err() != nil || tried == maxAddresses || x.sessions == maxSessions {
				return len(x.pending) == 0
			}
			h, more = h.without(used)
		}
	}
	return len(x.pending) == 0
}

// try uses one hop: the connection that waits there, or a new one. used is the address that a connection stood to.
func (x *attempt) try(ctx context.Context, rt *route, h hop) (used netip.AddrPort, f *failure) {
	x.ready = time.Time{}
	if h.apart {
		x.apart = append(x.apart, h.name)
	}
	tr := x.begin(h)
	defer func() { tr.end(f) }()
	t, f := x.termsFor(ctx, rt, h)
	if f != nil {
		return used, f.in("connect")
	}
	if c := x.waiting(rt, &t, h); c != nil {
		x.ready = x.opt.Now()
		tr.reuse(c)
		f, stale := x.session(ctx, c, tr)
		if !stale {
			return c.hop.addr, f
		}
		tr.end(nil)
		tr = x.begin(h)
	}
	c, f := x.connect(ctx, rt, h, &t, tr)
	if f != nil {
		x.reached = x.reached || f.code != 0
		return f.used, f
	}
	x.ready, x.reached = x.opt.Now(), true
	tr.ready(c, &t)
	f, _ = x.session(ctx, c, tr)
	return c.hop.addr, f
}

// waiting takes a connection that waits for its next message, to either address of a hop.
func (x *attempt) waiting(rt *route, t *terms, h hop) *conn {
	ways := []hop{h}
	if other, ok := h.without(h.addr); ok {
		ways = append(ways, other)
	}
	for _, w := range ways {
		if k, ok := t.key(rt, w); ok {
			switch c := x.pool.take(k); {
			case c == nil:
			case rt.requireTLS && c.promises() != nil: // a new one will tell whether that still is so
				x.pool.keep(c, x.set.Idle)
			default:
				return c
			}
		}
	}
	return nil
}

// undone remembers a host that could not be tried.
func (x *attempt) undone(f *failure) {
	x.begin(hop{}).end(f)
	x.failed(f)
}

// failed remembers the failure of a host.
func (x *attempt) failed(f *failure) {
	x.opt.Log.Info("next hop failed", obs.KeyComponent, "mta", obs.KeyQueueID, x.task.Job.ID.String(), obs.KeyRelay, f.relay, obs.KeyReply, f.text,
		obs.KeyError, f.cause)
	x.untold = x.untold || f.local && !f.family
	switch {
	case f.status.Class == status.Permanent:
		x.hard = f
	case !f.family || x.soft == nil || x.soft.family: // another family's host tells more
		x.soft = f
	}
}

// giveUp gives those who are left what was said of them, or of the hosts. One host that may be better tomorrow keeps the
// recipients in the queue.
func (x *attempt) giveUp() []flow.Outcome {
	f := x.last()
	if f == nil { // hops gave nothing: we are the best exchanger but one, and that one is gone
		f = ours(status.Temp(451, 4, 4, "no host left to try"), nil).in("dns")
	}
	for _, r := range x.pending {
		o, ok := x.later[r.No]
		if !ok {
			o = f.outcome()
		}
		x.report(r.No, o)
	}
	x.pending = nil
	return x.out
}

// decide ends a recipient for this attempt.
func (x *attempt) decide(no int, o flow.Outcome) {
	for i := range x.pending {
		if x.pending[i].No == no {
			x.pending = append(x.pending[:i], x.pending[i+1:]...)
			x.report(no, o)
			return
		}
	}
}

// postpone leaves a recipient to the next host; o is its outcome if there is none.
func (x *attempt) postpone(no int, o flow.Outcome) { x.later[no] = o }

// last is what is known of the hosts that did not do.
func (x *attempt) last() *failure {
	if x.soft != nil {
		return x.soft
	}
	return x.hard
}

// signal is what an outcome says of the site: not more than all of its hosts together, and nothing of other relays.
func (x *attempt) signal(s flow.Signal) flow.Signal {
	if x.fallen != nil {
		return *x.fallen
	}
	if s == flow.Unreachable && x.reached {
		return flow.Slower
	}
	if s == flow.Unreachable && x.untold {
		return flow.Silent
	}
	return s
}

// report completes an outcome with its times.
func (x *attempt) report(no int, o flow.Outcome) {
	o.Signal, o.Connected = x.signal(o.Signal), x.reached
	if x.fallen == nil && slices.Contains(x.apart, o.RemoteMTA) {
		o.Signal = flow.Silent
	}
	o.Recipient, o.At = no, x.opt.Now()
	o.Delays = [4]time.Duration{x.task.Due.Sub(x.task.Job.Received), x.started.Sub(x.task.Due), o.At.Sub(x.started), 0}
	if !x.ready.IsZero() {
		o.Delays[2], o.Delays[3] = x.ready.Sub(x.started), o.At.Sub(x.ready)
	}
	x.out = append(x.out, o)
}
