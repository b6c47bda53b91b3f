//go:build linux

package gauge

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Usage is what the processes of a server used meanwhile.
type Usage struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	Before     int64   `json:"memory_before_bytes"` // proportional set size
	Peak       int64   `json:"memory_peak_bytes"`   // of the samples
	After      int64   `json:"memory_after_bytes"`
}

// Watcher measures until Stop. The zero value of the pointer is a watcher of nothing.
type Watcher struct {
	roots []int
	cpu   time.Duration
	use   Usage
	last  atomic.Int64 // the last sample
	done  chan struct{}
	wg    sync.WaitGroup
}

// Watch begins to measure the trees of processes below pids; without pids it returns nil. A process that does not run,
// or whose memory may not be read, is an error.
func Watch(pids []int) (*Watcher, error) {
	if len(pids) == 0 {
		return nil, nil
	}
	for _, pid := range pids {
		if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err != nil {
			return nil, fmt.Errorf("the server's process %d: %w", pid, err)
		}
	}
	w := &Watcher{roots: pids, done: make(chan struct{})}
	var err error
	if w.use.Before, err = Memory(pids); err == nil {
		w.cpu, err = CPU(pids)
	}
	if err != nil {
		return nil, err
	}
	w.use.Peak = w.use.Before
	w.last.Store(w.use.Before)
	w.wg.Go(w.sample)
	return w, nil
}

// Memory is the proportional set size at the last sample; a watcher of nothing says 0.
func (w *Watcher) Memory() int64 {
	if w == nil {
		return 0
	}
	return w.last.Load()
}

func (w *Watcher) sample() {
	Sample(time.Second, w.done, func() {
		if m, err := Memory(w.roots); err == nil {
			w.last.Store(m)
			w.use.Peak = max(w.use.Peak, m)
		}
	})
}

// Sample calls look each interval until done is closed, more rarely if it takes long: looking at thousands of processes
// must not take the CPU from what is measured.
func Sample(interval time.Duration, done <-chan struct{}, look func()) {
	const share = 20 // at most one part in so many of the time is spent in look
	t := time.NewTimer(interval)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			begin := time.Now()
			look()
			t.Reset(max(interval, share*time.Since(begin)))
		}
	}
}

// Stop ends the measuring; a watcher of nothing gives nil. It is an error if one of the processes has ended meanwhile.
func (w *Watcher) Stop() (*Usage, error) {
	if w == nil {
		return nil, nil
	}
	close(w.done)
	w.wg.Wait()
	cpu, err := CPU(w.roots)
	if err != nil {
		return nil, err
	}
	for _, pid := range w.roots {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			return nil, fmt.Errorf("the server's process %d has ended", pid)
		}
	}
	w.use.CPUSeconds = (cpu - w.cpu).Seconds()
	if w.use.After, err = Memory(w.roots); err != nil {
		return nil, err
	}
	w.use.Peak = max(w.use.Peak, w.use.After)
	return &w.use, nil
}
