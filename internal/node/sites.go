package node

import (
	"cmp"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/sites"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// sitePolicy is what a configuration says about sites: how they are named, and what each is given.
type sitePolicy struct {
	names  *sites.Namer
	policy sched.Policy
}

func newSitePolicy(c *config.Config) *sitePolicy {
	p := &sitePolicy{policy: sched.Policy{
		Limits:    sched.Limits{PerRoute: c.MTA.ConcurrencyPerDestination, Total: c.MTA.Concurrency, Mailbox: mailboxFlying},
		Initial:   c.Queue.InitialDestinationConcurrency,
		DeadAfter: c.Queue.DestinationConcurrencyFailedCohortLimit,
		RestMin:   c.Queue.RestMin.D(), RestMax: c.Queue.RestMax.D(),
		Sites: map[string]sched.Site{},
	}}
	if len(c.MTA.Retry) > 0 { // who wants the next attempt sooner does not want the site to rest for longer
		p.policy.RestMin = min(p.policy.RestMin, c.MTA.Retry[0].D())
	}
	exchangers := map[string][]string{}
	for _, preset := range sites.Presets() {
		exchangers[preset.Name] = preset.Exchangers
		p.policy.Sites[preset.Name] = sched.Site{
			// A preset never gives more than the operator gives to all.
			Concurrency: min(preset.Concurrency, c.MTA.ConcurrencyPerDestination), Initial: preset.Initial,
			Connections: sched.Rate{N: preset.Connections, Per: preset.Per}, Messages: sched.Rate{N: preset.Messages, Per: preset.Per}}
	}
	for name, s := range c.Sites {
		if len(s.Exchangers) > 0 {
			exchangers[name] = s.Exchangers
		}
		preset := p.policy.Sites[name]
		p.policy.Sites[name] = sched.Site{
			Concurrency: cmp.Or(s.DestinationConcurrencyLimit, preset.Concurrency), Initial: cmp.Or(s.InitialDestinationConcurrency, preset.Initial),
			Connections: rateOf(s.ConnectionRateLimit, s.RateTimeUnit.D(), preset.Connections), Messages: rateOf(s.MessageRateLimit, s.RateTimeUnit.D(), preset.Messages)}
	}
	p.names = sites.New(exchangers)
	p.policy.SiteOf = p.ofNextHop
	p.policy.Programs = map[string]int{}
	for name, pipe := range c.Pipes {
		p.policy.Programs[name] = pipe.DestinationConcurrencyLimit
	}
	return p
}

// rateOf is a limit of the configuration: -1 is none, 0 the preset's.
func rateOf(n int, per time.Duration, preset sched.Rate) sched.Rate {
	switch {
	case n < 0:
		return sched.Rate{}
	case n == 0:
		return preset
	}
	return sched.Rate{N: n, Per: per}
}

// ofNextHop is the site of a next hop that is named: that of its first host, if it has a name, else the next hop is its own.
func (p *sitePolicy) ofNextHop(t flow.Transport, route string) string {
	hops, err := flow.ParseNextHop(t, route)
	if err != nil {
		return route
	}
	return cmp.Or(p.names.Named(hops[0].Host), route)
}

// useSites puts another policy in force. Which site a domain belongs to may be known for an hour by its old name.
func (n *Node) useSites(p *sitePolicy) {
	n.sites.Store(p)
	n.nameSites(p)
	n.queue.SetPolicy(p.policy)
}

// siteOf is the site of mail exchangers.
func (n *Node) siteOf(exchangers []string) string {
	return n.sites.Load().names.Of(exchangers)
}

// retry is the schedule of attempts.
func retry(c *config.Config) queue.Retry {
	r := queue.Retry{Waits: durations(c.MTA.Retry), Expire: c.MTA.ExpireAfter.D(), ExpireBounce: c.MTA.BounceExpireAfter.D(), Warn: c.Queue.DelayWarningTime.D(),
		ByClass: map[flow.Class][]time.Duration{}}
	const m, h = time.Minute, time.Hour
	for _, s := range []struct {
		classes []flow.Class
		said    []config.Duration
		usual   []time.Duration
	}{
		// Who greylists lets pass after five minutes as a rule, and some after a quarter of an hour; jitter is 10 %.
		{[]flow.Class{flow.ClassGreylisted}, c.Queue.RetryGreylisted, []time.Duration{6 * m, 15 * m, 30 * m, h, 2 * h, 4 * h}},
		// The site's limit has gone down; the message itself only has to wait for its turn.
		{[]flow.Class{flow.ClassThrottled}, c.Queue.RetryThrottled, []time.Duration{10 * m, 20 * m, 40 * m, 80 * m, 160 * m, 4 * h}},
		// A bad name needs hours to mend, and knocking makes it worse.
		{[]flow.Class{flow.ClassBlocked}, c.Queue.RetryBlocked, []time.Duration{h, 2 * h, 4 * h}},
		// Somebody has to tidy up.
		{[]flow.Class{flow.ClassFull}, c.Queue.RetryFull, []time.Duration{30 * m, h, 2 * h, 4 * h, 8 * h}},
		// Somebody has to change a setting, there or here.
		{[]flow.Class{flow.ClassPolicy, flow.ClassContent, flow.ClassAuth}, c.Queue.RetryPolicy, []time.Duration{15 * m, 30 * m, h, 2 * h, 4 * h}},
	} {
		waits := durations(s.said)
		if len(waits) == 0 && !c.OwnRetry() {
			waits = s.usual
		}
		for _, class := range s.classes {
			if len(waits) > 0 {
				r.ByClass[class] = waits
			}
		}
	}
	return r
}

func durations(list []config.Duration) (out []time.Duration) {
	for _, d := range list {
		out = append(out, d.D())
	}
	return out
}
