package queue

import (
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
)

// Retry is the schedule of attempts.
type Retry struct {
	// Waits are the times before the second, third, … attempt; the last one repeats.
	Waits []time.Duration
	// ByClass are other waits for outcomes of a class.
	ByClass map[flow.Class][]time.Duration
	// Warn is how long mail waits before its sender is told that it is late; 0: never.
	Warn time.Duration
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
	return r.wait(flow.ClassNone, attempts, jitter)
}

// wait is Wait after an outcome of a class.
func (r Retry) wait(class flow.Class, attempts int, jitter float64) time.Duration {
	waits := r.Waits
	if w := r.ByClass[class]; len(w) > 0 {
		waits = w
	}
	wait := waits[min(max(attempts, 1), len(waits))-1]
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
	for _, waits := range r.ByClass {
		longest = max(longest, slices.Max(append(waits, 0)))
	}
	return now.Add(2 * longest)
}

// expires is when a job's recipients fail that are not delivered. What was to be released later has its time from then on
// (RFC 4865 §4.2), and DELIVERBY may shorten it (RFC 2852 §4.1). q.mu is held.
func (q *Queue) expires(j *flow.Job, bounce bool) time.Time {
	from := j.Received
	if j.NotBefore.After(from) {
		from = j.NotBefore
	}
	at := from.Add(q.retry.expiry(bounce))
	if j.DeliverByReturn && !j.DeliverBy.IsZero() && j.DeliverBy.Before(at) {
		return j.DeliverBy
	}
	return at
}

// hasExpired tells whether a recipient's copy from a sender has waited long enough.
func (q *Queue) hasExpired(j *flow.Job, from address.Address, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.clock.off(now) > clockMercy { // it was set forward a moment ago
		return false
	}
	return !now.Before(q.expires(j, from.IsZero())) && !now.Before(q.mercy)
}

// What a recipient's sender was told, in job_recipient.warned.
const (
	warnedDelay uint8 = 1 << iota // that it is late
	warnedBy                      // that DELIVERBY's time is over
)

// warn tells senders that mail is late, once each, and returns of which recipients. Where it cannot be told now it is at the
// next attempt.
func (q *Queue) warn(t *Task, rcpts []flow.Recipient, outcomes []flow.Outcome, now time.Time) map[int]uint8 {
	due := map[int]uint8{}
	n := &Notice{Job: t.Job}
	q.mu.Lock()
	for i := range rcpts {
		r := t.item.find(rcpts[i].No)
		if r == nil || outcomes[i].Result.Final() {
			continue
		}
		if bits := q.late(t.Job, &rcpts[i], now) &^ r.warned; bits != 0 {
			due[r.no] = bits
			n.Warning |= bits
			n.Recipients, n.Outcomes = append(n.Recipients, rcpts[i]), append(n.Outcomes, outcomes[i])
		}
	}
	q.mu.Unlock()
	if len(due) == 0 {
		return nil
	}
	if err := q.report(n); err != nil {
		q.opt.Log.Error("the warning of a delay could not be made; it comes with the next attempt", "queue_id", t.Job.ID.String(), "error", err)
		return nil
	}
	return due
}

// late tells what a recipient's sender is to be told now. q.mu is held.
func (q *Queue) late(j *flow.Job, r *flow.Recipient, now time.Time) (bits uint8) {
	if j.Sender(r).IsZero() || r.Notify&envelope.NotifyNever != 0 {
		return 0
	}
	asked := r.Notify == 0 || r.Notify&envelope.NotifyDelay != 0
	begun := j.Received
	if j.NotBefore.After(begun) {
		begun = j.NotBefore
	}
	if q.retry.Warn > 0 && asked && !j.Bulk && now.Sub(begun) >= q.retry.Warn {
		bits |= warnedDelay
	}
	if !j.DeliverBy.IsZero() && !j.DeliverByReturn && !now.Before(j.DeliverBy) { // RFC 2852 §4.1.4: mode N
		bits |= warnedBy
	}
	return bits
}
