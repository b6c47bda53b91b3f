package compare

import (
	"fmt"
	"math"

	"github.com/postrider/postrider/cmd/mailbench/peer"
)

// metric is one column in which systems can be better or worse.
type metric struct {
	name string
	of   func(row) float64
	more bool // is better
	text string
}

func metrics() []metric {
	return []metric{
		{"messages a second in mailboxes", func(r row) float64 { return r.rate }, true, "%.0f"},
		{"messages a second accepted", func(r row) float64 { return r.accepted }, true, "%.0f"},
		{"p50 to the reply, ms", func(r row) float64 { return r.p50 }, false, "%.2f"},
		{"p99 to the reply, ms", func(r row) float64 { return r.p99 }, false, "%.2f"},
		{"CPU a message, ms", func(r row) float64 { return r.cpu }, false, "%.2f"},
		{"memory under load, MiB", func(r row) float64 { return r.memory }, false, "%.0f"},
		{"memory just started, MiB", func(r row) float64 { return r.idle }, false, "%.0f"},
		{"syncs a message", func(r row) float64 { return r.syncs }, false, "%.2f"},
	}
}

// behind lists where the first system is worse than the best of the others in that column.
func (o *Outcome) behind() []string {
	var list []string
	for _, sessions := range o.Sessions {
		ours := o.summarize(o.Systems[0], sessions)
		if ours.used == 0 {
			continue
		}
		for _, m := range metrics() {
			value := m.of(ours)
			best, who := math.NaN(), ""
			for _, system := range o.Systems[1:] {
				v := m.of(o.summarize(system, sessions))
				if !math.IsNaN(v) && (who == "" || (v > best) == m.more) {
					best, who = v, system
				}
			}
			if who != "" && !math.IsNaN(value) && value != best && (value > best) != m.more {
				list = append(list, fmt.Sprintf("%s, %s: "+m.text+", beside "+m.text+" (%s)", plural(sessions, "session"), m.name, value, best, who))
			}
		}
	}
	return list
}

// goal is one line of what this project wants to reach.
type goal struct{ what, want, have string }

// The goals for delivery, from the design: see docs/benchmarks.md as it is written.
const (
	goalRatio    = 10.0 // × the fastest peer, at the most sessions
	goalCPUMany  = 0.4  // ms a message at the most sessions
	goalCPUOne   = 1.0  // at one session
	goalP50Probe = 2.0  // × the disk probe, at one session
	goalP99Probe = 10.0
	goalIdle     = 60.0 // MiB
	goalWaiting  = 40.0 // KiB for an idle IMAP connection
	goalBig      = 1.0  // MiB for a large message in flight
	goalRelay    = 4.0  // × the messages of the fastest peer
	goalRelayCPU = 6.0  // times less CPU a message than the peer that needs least
)

// goals compares the first system with them, if it is ours.
func (o *Outcome) goals() []goal {
	if o.Systems[0] != peer.PostriderName {
		return nil
	}
	var list []goal
	add := func(what, want string, have float64, met bool, format string) {
		if math.IsNaN(have) {
			return
		}
		list = append(list, goal{what, want, fmt.Sprintf(format, have) + ": " + verdict(met)})
	}
	for _, sessions := range o.Sessions {
		r := o.summarize(o.Systems[0], sessions)
		if r.used == 0 {
			continue
		}
		if sessions >= 50 {
			if best, ok := o.best(sessions); ok {
				ratio := o.ahead(best)
				add(fmt.Sprintf("delivery beside the fastest peer, %d sessions", sessions), "≥ 10 ×", ratio, ratio >= goalRatio, "%.1f ×")
			}
			add(fmt.Sprintf("CPU a message, %d sessions", sessions), "≤ 0.4 ms", r.cpu, r.cpu <= goalCPUMany, "%.2f ms")
		}
		if sessions == 1 {
			add("CPU a message, 1 session", "≤ 1 ms", r.cpu, r.cpu <= goalCPUOne, "%.2f ms")
			p50, p99 := r.p50Probes, r.p99Probes
			add("p50 to the reply, 1 session, beside the disk probe", "≤ 2 ×", p50, p50 <= goalP50Probe, "%.1f ×")
			add("p99 to the reply, 1 session, beside the disk probe", "≤ 10 ×", p99, p99 <= goalP99Probe, "%.1f ×")
			add("memory just started", "< 60 MiB", r.idle, r.idle < goalIdle, "%.0f MiB")
		}
	}
	list = append(list, o.readGoals()...)
	for _, kind := range []string{kindSource, kindKept} {
		more := o.tryFigure(kind, relayed) / o.bestOther(kind, relayed)
		add(kind+": relayed messages a second beside the fastest peer", "≥ 4 ×", more, more >= goalRelay, "%.1f ×")
		less := o.bestOther(kind, cpuMessage) / o.tryFigure(kind, cpuMessage)
		add(kind+": CPU of a relayed message beside the thriftiest peer", "≤ 1/6", less, less >= goalRelayCPU, "1/%.1f")
	}
	waiting := o.tryFigure(kindIdleIMAP, "KiB/connection")
	if waiting <= 0 { // what was there before has shrunk by more: that measures nothing
		waiting = math.NaN()
	}
	add("memory of an idle IMAP connection by TLS", "≤ 40 KiB", waiting, waiting <= goalWaiting, "%.1f KiB")
	big := o.tryFigure(kindBig, inFlight)
	add(fmt.Sprintf("memory of a message of %.0f MiB in flight", mib(int64(o.BigSize))), "< 1 MiB", big, big < goalBig, "%.2f MiB")
	return list
}

// tryFigure is one figure of the first system in a kind of trials; NaN if it was not measured.
func (o *Outcome) tryFigure(kind, name string) float64 {
	for i, c := range columns(kind) {
		if c.name == name {
			return o.tryRow(o.Systems[0], kind).value[i]
		}
	}
	return math.NaN()
}

// bestOther is the best figure of the other systems in a kind of trials; NaN if there is none.
func (o *Outcome) bestOther(kind, name string) float64 {
	best := math.NaN()
	for i, c := range columns(kind) {
		if c.name != name {
			continue
		}
		for _, s := range o.Systems[1:] {
			if v := o.tryRow(s, kind).value[i]; !math.IsNaN(v) && (math.IsNaN(best) || (v > best) == c.more) {
				best = v
			}
		}
	}
	return best
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**not met**"
}
