package compare

import (
	"math"
	"slices"
)

// row is the medians of one system at one number of sessions.
type row struct {
	system                 string
	sessions               int
	used, discarded, noisy int // runs that stand behind it; runs that do not; runs used although they should not be
	rate, accepted         float64
	p50, p99               float64
	cpu                    float64
	memory, idle           float64 // MiB
	syncs                  float64 // NaN: not traced
	others                 float64
	probe                  float64 // ms
	p50Probes, p99Probes   float64 // of the time to the reply over the run's own probe
	lost, extra            int64
	refusals               map[string]int64
	failed                 []string // errors
}

// summarize makes the row of a system. Where every run was discarded they are all used, and the row says so.
func (o *Outcome) summarize(system string, sessions int) row {
	r := row{system: system, sessions: sessions, syncs: math.NaN(), refusals: map[string]int64{}}
	var runs, discarded []Run
	for _, run := range o.Runs {
		if run.System != system || run.Sessions != sessions {
			continue
		}
		r.lost += run.Lost
		r.extra += run.Extra
		for words, n := range run.Load.Errors {
			r.refusals[words] += n
		}
		switch {
		case run.Error != "":
			r.failed = append(r.failed, run.Error)
		case run.counts():
			runs = append(runs, run)
		default:
			discarded = append(discarded, run)
		}
	}
	r.discarded = len(discarded)
	if len(runs) == 0 {
		runs, r.noisy, r.discarded = discarded, len(discarded), 0
	}
	r.used = len(runs)
	of := func(f func(Run) float64) float64 { return median(runs, f) }
	r.rate = of(func(x Run) float64 { return x.Rate })
	r.accepted = of(func(x Run) float64 { return x.Load.Rate })
	r.p50 = of(func(x Run) float64 { return x.Load.Data.P50 })
	r.p99 = of(func(x Run) float64 { return x.Load.Data.P99 })
	r.cpu = of(func(x Run) float64 { return x.CPU })
	r.memory = of(func(x Run) float64 { return float64(x.Memory) / (1 << 20) })
	r.idle = of(func(x Run) float64 { return float64(x.Idle) / (1 << 20) })
	r.others = of(func(x Run) float64 { return x.Others })
	r.probe = of(Run.probe)
	r.p50Probes = of(func(x Run) float64 { return x.Load.Data.P50 / x.probe() })
	r.p99Probes = of(func(x Run) float64 { return x.Load.Data.P99 / x.probe() })
	for _, t := range o.Traces {
		if t.System == system && t.Sessions == sessions && t.Error == "" {
			r.syncs = t.PerMessage()
		}
	}
	return r
}

// probe is what an append with a sync took around this run, in ms.
func (r Run) probe() float64 { return (r.Before.P50 + r.After.P50) / 2 }

// median returns NaN for no runs.
func median(runs []Run, f func(Run) float64) float64 {
	if len(runs) == 0 {
		return math.NaN()
	}
	var v []float64
	for _, r := range runs {
		v = append(v, f(r))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// best returns the row of the peer (any system but the first) that delivered fastest; ok is false without one.
func (o *Outcome) best(sessions int) (best row, ok bool) {
	for _, system := range o.Systems[1:] {
		r := o.summarize(system, sessions)
		if r.used > 0 && (!ok || r.rate > best.rate) {
			best, ok = r, true
		}
	}
	return best, ok
}

// paired returns, for each pair in which both systems have a run that counts, the first's rate over the second's.
func (o *Outcome) paired(first, second string, sessions int) []float64 {
	var ratios []float64
	for pair := 1; pair <= o.Pairs; pair++ {
		a, okA := o.kept(first, sessions, pair)
		b, okB := o.kept(second, sessions, pair)
		if okA && okB && b.Rate > 0 {
			ratios = append(ratios, a.Rate/b.Rate)
		}
	}
	return ratios
}

// ahead is how many times more the first system delivers than another: the median over pairs, whose runs were done one after
// the other, so that what slows the machine for a while is in both; without a quiet pair the ratio of the medians.
func (o *Outcome) ahead(other row) float64 {
	if ratios := o.paired(o.Systems[0], other.system, other.sessions); len(ratios) > 0 {
		return middle(ratios)
	}
	return o.summarize(o.Systems[0], other.sessions).rate / other.rate
}

func (o *Outcome) kept(system string, sessions, pair int) (Run, bool) {
	for _, r := range o.Runs {
		if r.System == system && r.Sessions == sessions && r.Pair == pair && r.counts() {
			return r, true
		}
	}
	return Run{}, false
}
