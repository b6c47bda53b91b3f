package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// diskProbe says what the disk does just now: the median time of append + fdatasync.
type diskProbe struct {
	one   time.Duration // 10 KiB
	fifty time.Duration // 50 × 10 KiB
}

// The probe writes a fixed amount, after the leveller has spent what the disk had saved up.
const (
	probeOnes    = 150 // 1.5 MiB
	probeFifties = 60  // 30 MiB
)

func probe(dir string) (diskProbe, error) {
	f, err := os.CreateTemp(dir, "probe") // removed with dir, by bench.run
	if err != nil {
		return diskProbe{}, err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return diskProbe{}, err
	}
	one, err := appendMedian(f, bodySize, probeOnes)
	if err != nil {
		return diskProbe{}, err
	}
	fifty, err := appendMedian(f, 50*bodySize, probeFifties)
	return diskProbe{one, fifty}, err
}

func appendMedian(f *os.File, size, times int) (time.Duration, error) {
	b := make([]byte, size)
	fill(b, uint64(size))
	took := make([]time.Duration, times)
	for i := range took {
		begin := time.Now()
		if _, err := f.Write(b); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		took[i] = time.Since(begin)
	}
	return median(took), nil
}

// differs says that two probes are too far apart for what ran between them to count. It looks at the probe that
// resembles the load: a few sessions make small syncs, many make large ones.
func (a diskProbe) differs(b diskProbe, sessions int) bool {
	if sessions < 10 {
		return apart(a.one, b.one)
	}
	return apart(a.fifty, b.fifty)
}

func apart(a, b time.Duration) bool {
	return float64(max(a, b)) > 1.5*float64(min(a, b))
}
