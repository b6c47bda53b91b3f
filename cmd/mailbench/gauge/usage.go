//go:build linux

package gauge

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Usage is what the processes of a server used meanwhile.
type Usage struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	Before     int64   `json:"memory_before_bytes"` // proportional set size
	Peak       int64   `json:"memory_peak_bytes"`   // of a sample each second
	After      int64   `json:"memory_after_bytes"`
}

// Watcher measures until Stop. The zero value of the pointer is a watcher of nothing.
type Watcher struct {
	roots []int
	cpu   time.Duration
	use   Usage
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
	w.wg.Go(w.sample)
	return w, nil
}

func (w *Watcher) sample() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-t.C:
			if m, err := Memory(w.roots); err == nil {
				w.use.Peak = max(w.use.Peak, m)
			}
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
