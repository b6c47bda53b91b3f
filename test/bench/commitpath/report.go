package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

func median[T int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

// pick returns one figure of every run.
func pick[T int64 | float64 | time.Duration](runs []result, figure func(result) T) []T {
	out := make([]T, len(runs))
	for i, r := range runs {
		out[i] = figure(r)
	}
	return out
}

// rounds holds the runs of one table: [round][shape], nil where a run was discarded.
type rounds [][]*result

// of returns the runs of shape i that count.
func (rs rounds) of(i int) []result {
	var out []result
	for _, round := range rs {
		if round[i] != nil {
			out = append(out, *round[i])
		}
	}
	return out
}

// ratios compares shape i with shape 0 within each round.
func (rs rounds) ratios(i int, figure func(result) float64) []float64 {
	var out []float64
	for _, round := range rs {
		if round[i] != nil && round[0] != nil && !round[i].probe.differs(round[0].probe, round[i].sessions) {
			out = append(out, figure(*round[i])/figure(*round[0]))
		}
	}
	return out
}

// table prints medians, and ratios to the first shape: each is the median over the rounds of (this / first) in the
// same round.
func table(w io.Writer, shapes []shape, sessions int, rs rounds) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\n%d sessions\truns\tpairs\tmsg/s\t×\tCPU µs\t×\tp50 ms\t×\tp99 ms\tp50/probe\tpack syncs\tcommits\tckpt\tKiB\tmsg/sync\tfn/commit\tWAL MiB\t\n", sessions)
	for i, s := range shapes {
		runs := rs.of(i)
		if len(runs) == 0 {
			fmt.Fprintf(t, "%s\tall discarded\t\n", s.name)
			continue
		}
		fl := func(f func(result) float64) float64 { return median(pick(runs, f)) }
		rate := func(r result) float64 { return r.rate }
		cpu := func(r result) float64 { return float64(r.cpu.Nanoseconds()) / 1e3 }
		p50 := func(r result) float64 { return r.p50.Seconds() * 1e3 }
		fmt.Fprintf(t, "%s\t%d\t%d\t%.0f\t%s\t%.0f\t%s\t%.2f\t%s\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\t%.1f\t%.1f\t%.1f\t%.1f\t\n",
			s.name, len(runs), len(rs.ratios(i, rate)), fl(rate), ratio(rs.ratios(i, rate)), fl(cpu), ratio(rs.ratios(i, cpu)),
			fl(p50), ratio(rs.ratios(i, p50)), fl(func(r result) float64 { return r.p99.Seconds() * 1e3 }),
			fl(func(r result) float64 { return r.p50.Seconds() / r.probe.one.Seconds() }),
			fl(func(r result) float64 { return r.packSync }), fl(func(r result) float64 { return r.dbSync }),
			fl(func(r result) float64 { return r.ckptSync }), fl(func(r result) float64 { return r.bytes }),
			fl(func(r result) float64 { return r.perGroup }),
			fl(func(r result) float64 { return r.perTx }), fl(func(r result) float64 { return float64(r.maxWAL) / (1 << 20) }))
	}
	return t.Flush()
}

// ratio prints the median of the ratios, or a dash if no round has a pair.
func ratio(of []float64) string {
	if len(of) == 0 {
		return "-"
	}
	return strconv.FormatFloat(median(of), 'f', 2, 64)
}

// probes prints what the disk did meanwhile.
func probes(w io.Writer, all []result, discarded int) {
	one := pick(all, func(r result) time.Duration { return r.probe.one })
	fifty := pick(all, func(r result) time.Duration { return r.probe.fifty })
	fmt.Fprintf(w, "\ndisk: append + fdatasync of 10 KiB median %v (%v to %v), of 50 × 10 KiB %v (%v to %v); %d runs kept, %d discarded\n",
		median(one), slices.Min(one), slices.Max(one), median(fifty), slices.Min(fifty), slices.Max(fifty), len(all), discarded)
}
