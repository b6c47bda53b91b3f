//go:build linux

package gauge

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Probe is what an append with fdatasync costs: the floor under every durable acknowledgement.
type Probe struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

// ProbeDisk appends size bytes n times to a new file in dir, with one fdatasync each.
func ProbeDisk(dir string, size, n int) (p Probe, err error) {
	f, err := os.CreateTemp(dir, "probe")
	if err != nil {
		return p, err
	}
	defer func() {
		f.Close()
		if e := os.Remove(f.Name()); err == nil {
			err = e
		}
	}()
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(i*7 + i>>8)
	}
	times := make([]time.Duration, n)
	for i := range times {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return p, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return p, err
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Probe{P50: ms(times[n/2]), P99: ms(times[n*99/100])}, nil
}

// Ratio returns how many times slower the slower of two probes is.
func (p Probe) Ratio(q Probe) float64 {
	lo, hi := min(p.P50, q.P50), max(p.P50, q.P50)
	if lo <= 0 {
		return 1
	}
	return hi / lo
}
