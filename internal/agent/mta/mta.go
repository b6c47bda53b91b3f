// Package mta is the mail transfer agent's sending side (RFC 5321 §2.1, §5): it delivers the queue's recipients of
// transport SMTP to the mail exchangers of their domains or to a smart host, and those of transport LMTP (RFC 2033) to
// their next hop.
//
// One task is tried like this. The addresses of the next hop are walked in the order of RFC 5321 §5.1; each failure that
// another address might not share (no connection, no greeting, 4xx, 421, a refused greeting) leads to the next one, and a
// reply that concerns the message or a recipient for good ends that recipient. A recipient fails only by such a reply, by
// the DNS's certain word (RFC 7505: no mail here; no such domain; only ourselves), or when every host that was tried
// refused us with 5xx before the transaction; as long as one host failed in a temporary way it is deferred. (Postfix is
// milder with the last case: it defers.) What an operator of ours can mend defers: a next hop or smart host that is not
// found or refuses us, a wrong password.
//
// Delivery is at least once. A connection lost behind the end of the message leaves its fate open (RFC 1047): the
// recipients are deferred, not tried elsewhere, and the outcome's words say so.
//
// TLS is opportunistic by default (RFC 3207, RFC 7435): used where offered, nothing verified, and given up for the clear
// when the handshake fails. Tables may demand more of a destination, in Postfix's words (Policy); REQUIRETLS (RFC 8689)
// demands it for one message. A table that cannot be asked defers.
//
// Outcomes bear why (decide/bounce) and what that says of the site. Each host that is tried is an obs.Attempt.
//
// The package never looks into a message: it sends the bytes of the job's recipe. It sleeps nowhere, and works in the
// caller's goroutine; only connections that wait to be used again have a timer.
//
//	mta.go       Agent
//	settings.go  what a reload may change
//	route.go     which next hop a task has
//	lookup.go    its addresses, in order
//	site.go      whose limits a domain shares
//	terms.go     what a connection must be like: TLS, login, our address
//	policy.go    TLS by destination
//	egress.go    our addresses, by sender
//	dial.go      both families of a host at once
//	connect.go   a connection, ready for a message
//	pool.go      connections that wait for their next message
//	attempt.go   one task over one or several hosts
//	session.go   one task on one connection
//	trial.go     what is told of a host
//	failure.go   what can go wrong, in words
package mta

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/queue"
)

// Resolver is what the agent asks of the DNS; errors are those of package dns.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) ([]dns.MX, dns.Meta, error)
	LookupIP(ctx context.Context, host string, want dns.IPVersions) ([]netip.Addr, dns.Meta, error)
}

// Options of New. Source is required.
type Options struct {
	Source recipe.Source // of the messages' bodies
	// Own tells whether an address and port is one where we take mail from the internet ourselves, RFC 5321 §5.1. nil:
	// none is.
	Own func(netip.AddrPort) bool
	// Dial connects; local is the address to connect from, invalid for the system's choice. nil: TCP.
	Dial    func(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error)
	Shuffle func(n int, swap func(i, j int)) // for hosts of equal preference; nil: rand.Shuffle
	Now     func() time.Time                 // nil: time.Now
	Log     *slog.Logger                     // nil: none
	MaxIdle int                              // connections that wait to be used again; 0: 100
	Events  obs.Events                       // obs.Attempt for each host that is tried; nil: nobody listens
	// SiteOf names the site of mail exchangers, in order of preference; nil: each domain is its own.
	SiteOf func(exchangers []string) string
}

// Agent implements queue.Agent. It is safe for concurrent use.
type Agent struct {
	opt      Options
	settings atomic.Pointer[Settings]
	pool     *pool
	turns    atomic.Uint64 // attempts, so that addresses of a pool take turns
}

var _ queue.Agent = (*Agent)(nil)

// New makes an agent.
func New(o Options, s *Settings) *Agent {
	if o.Own == nil {
		o.Own = func(netip.AddrPort) bool { return false }
	}
	if o.Dial == nil {
		o.Dial = dial
	}
	if o.Shuffle == nil {
		o.Shuffle = rand.Shuffle
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = obs.Discard{}
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 100
	}
	a := &Agent{opt: o, pool: newPool(o.MaxIdle)}
	a.settings.Store(s)
	return a
}

// Set puts other settings in force for the attempts that begin from now on. s must not change any more.
func (a *Agent) Set(s *Settings) { a.settings.Store(s) }

// Close ends the connections that wait to be used again, and returns when they are closed. Nobody may be in Deliver, or
// come there any more.
func (a *Agent) Close() { a.pool.close() }

// Deliver attempts the tasks one after the other.
func (a *Agent) Deliver(ctx context.Context, tasks []*queue.Task) [][]flow.Outcome {
	out := make([][]flow.Outcome, len(tasks))
	for i, t := range tasks {
		if ctx.Err() != nil {
			break
		}
		set := a.settings.Load()
		for _, one := range ways(set, t) {
			out[i] = append(out[i], newAttempt(a, set, one).run(ctx)...)
		}
	}
	return out
}

// ways splits a task by next hops. The queue puts together what has one route, but a route is a name, given when the job was
// accepted: since then a smart host may have come or gone, and a host may have the name of a domain.
func ways(set *Settings, t *queue.Task) []*queue.Task {
	type way struct {
		hop, domain string
		from        address.Address // where the connection depends on the sender
	}
	of := func(r *flow.Recipient) way {
		w := way{hop: r.NextHop}
		if r.NextHop == "" && r.Transport == flow.SMTP && set.SmartHost.Host == "" && set.Relayhost == "" {
			w.domain = r.To.Domain
		}
		if set.SenderAuth || len(set.Egress) > 0 {
			w.from = t.Job.Sender(r)
		}
		return w
	}
	var out []*queue.Task
	at := map[way]*queue.Task{}
	for i := range t.Recipients {
		r := &t.Recipients[i]
		one := at[of(r)]
		if one == nil {
			part := *t
			one, part.Recipients = &part, nil
			at[of(r)], out = one, append(out, one)
		}
		one.Recipients = append(one.Recipients, *r)
	}
	return out
}

func dial(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "tcp", to.String())
}
