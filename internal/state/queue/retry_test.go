package queue

import (
	"testing"
	"time"
)

func TestRetryWait(t *testing.T) {
	r := DefaultRetry()
	for _, c := range []struct {
		attempts int
		want     time.Duration
	}{{1, 5 * time.Minute}, {2, 10 * time.Minute}, {3, 20 * time.Minute}, {9, 70 * time.Minute}, {1000, 70 * time.Minute}} {
		if got := r.Wait(c.attempts, 0.5); got != c.want {
			t.Errorf("after %d attempts %v, want %v", c.attempts, got, c.want)
		}
	}
	if lo, hi := r.Wait(1, 0), r.Wait(1, 0.999); lo >= hi || lo < 4*time.Minute || hi > 6*time.Minute {
		t.Errorf("jitter from %v to %v", lo, hi)
	}
}
