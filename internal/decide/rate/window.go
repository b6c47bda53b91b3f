package rate

import "time"

// Window is a count over the last while, from two numbers: that of a window under way, and that of the one before, which
// counts for less and less while the new one goes on. Windows begin with the first event. The zero value is nothing.
type Window struct {
	Started     int64 // of Now's window, nanoseconds since 1970
	Now, Before int64
}

// slide brings a window up to date.
func (w *Window) slide(per time.Duration, now int64) {
	switch gone := now - w.Started; {
	case gone < 0: // the clock was put back: what was counted counts on from here
		w.Started = now
	case gone >= 2*int64(per):
		*w = Window{Started: now}
	case gone >= int64(per):
		w.Started, w.Before, w.Now = w.Started+int64(per), w.Now, 0
	}
}

// Used is the count over the last per, rounded up.
func (w *Window) Used(per time.Duration, now int64) int64 {
	if w.Now == 0 && w.Before == 0 {
		return 0
	}
	w.slide(per, now)
	rest := float64(int64(per)-(now-w.Started)) / float64(per)
	before := float64(w.Before) * rest
	n := int64(before)
	if float64(n) < before {
		n++
	}
	return w.Now + n
}

// Add counts n more; a negative n takes back.
func (w *Window) Add(n int64, per time.Duration, now int64) {
	w.slide(per, now)
	w.Now = max(w.Now+n, 0)
}
