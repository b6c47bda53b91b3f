package queue

import "time"

// Retry is the schedule of attempts: the first wait, doubled after each failed attempt, up to a longest wait.
type Retry struct {
	First  time.Duration // default 5 minutes
	Max    time.Duration // default 1 hour 10 minutes, Postfix's maximal_backoff_time rounded
	Expire time.Duration // after this long in the queue undelivered recipients bounce; default 5 days (RFC 5321 §4.5.4.1)
}

// DefaultRetry follows RFC 5321 §4.5.4.1: give up after at least 4–5 days. The first retry is quick because most
// temporary failures are greylisting.
func DefaultRetry() Retry {
	return Retry{First: 5 * time.Minute, Max: 70 * time.Minute, Expire: 5 * 24 * time.Hour}
}

// Wait is the time until the next attempt after attempts failed ones (≥ 1). jitter in [0, 1) spreads it over ±10 %, so
// that jobs that failed together do not come back together.
func (r Retry) Wait(attempts int, jitter float64) time.Duration {
	wait := r.First
	for i := 1; i < attempts && wait < r.Max; i++ {
		wait *= 2
	}
	wait = min(wait, r.Max)
	return time.Duration(float64(wait) * (0.9 + 0.2*jitter))
}
