package queue

import "time"

// Retry is the schedule of attempts.
type Retry struct {
	// Waits are the times before the second, third, … attempt; the last one repeats.
	Waits []time.Duration
	// Expire is how long recipients are tried before they bounce (RFC 5321 §4.5.4.1: at least 4 to 5 days).
	Expire time.Duration
	// ExpireBounce is the same for mail from the null reverse-path, which has nobody to return to.
	ExpireBounce time.Duration
}

// DefaultRetry begins quickly, because most temporary failures are greylisting, and ends where Postfix does by default.
func DefaultRetry() Retry {
	return Retry{Waits: []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 70 * time.Minute},
		Expire: 5 * 24 * time.Hour, ExpireBounce: 5 * 24 * time.Hour}
}

// Wait is the time until the next attempt after attempts failed ones (≥ 1). jitter in [0, 1) spreads it over ±10 %, so
// that jobs that failed together do not come back together.
func (r Retry) Wait(attempts int, jitter float64) time.Duration {
	wait := r.Waits[min(max(attempts, 1), len(r.Waits))-1]
	return time.Duration(float64(wait) * (0.9 + 0.2*jitter))
}

// expiry is how long mail is tried, by whether its reverse-path is null.
func (r Retry) expiry(bounce bool) time.Duration {
	if bounce {
		return r.ExpireBounce
	}
	return r.Expire
}

// latest is the time after which no attempt is due: one that is was planned before the clock was set back, and is due now.
func (r Retry) latest(now time.Time) time.Time {
	var longest time.Duration
	for _, w := range r.Waits {
		longest = max(longest, w)
	}
	return now.Add(2 * longest)
}
