package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in classes that are at most 1.6 % wide, from 1 µs to hours, in fixed memory. Many
// goroutines may add to it.
type Histogram struct {
	count [classes]atomic.Int64
	n     atomic.Int64
	sum   atomic.Int64 // µs
	max   atomic.Int64 // µs
}

const (
	mantissa = 6 // bits kept of a value
	classes  = 34 << mantissa
)

func class(us uint64) int {
	shift := max(bits.Len64(us)-mantissa-1, 0)
	return min(shift<<mantissa+int(us>>shift), classes-1)
}

// middle returns the value in the middle of a class, in µs.
func middle(c int) int64 {
	if c < 2<<mantissa {
		return int64(c)
	}
	shift := c>>mantissa - 1
	return int64(c-shift<<mantissa)<<shift + 1<<shift/2
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	us := max(d.Microseconds(), 0)
	h.count[class(uint64(us))].Add(1)
	h.n.Add(1)
	h.sum.Add(us)
	for {
		old := h.max.Load()
		if us <= old || h.max.CompareAndSwap(old, us) {
			return
		}
	}
}

// Count returns how many durations were added.
func (h *Histogram) Count() int64 { return h.n.Load() }

// Quantile returns the value that a share q of all samples does not exceed; 0 without samples.
func (h *Histogram) Quantile(q float64) time.Duration {
	want := int64(q*float64(h.n.Load()) + 0.999999)
	var seen int64
	for c := range h.count {
		if seen += h.count[c].Load(); seen >= max(want, 1) {
			return time.Duration(min(middle(c), h.max.Load())) * time.Microsecond
		}
	}
	return 0
}

// Latency sums up one kind of waiting time, in milliseconds.
type Latency struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

// Latency sums up what was added.
func (h *Histogram) Latency() Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	l := Latency{P50: ms(h.Quantile(0.5)), P99: ms(h.Quantile(0.99)), Max: float64(h.max.Load()) / 1000}
	if n := h.n.Load(); n > 0 {
		l.Mean = float64(h.sum.Load()) / float64(n) / 1000
	}
	return l
}
