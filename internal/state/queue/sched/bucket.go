package sched

import "time"

// bucket is a token bucket: a tenth of a rate's number may come at once, the rest evenly. Without a rate it is never empty.
type bucket struct {
	rate   Rate
	tokens float64
	last   time.Time
}

func (b *bucket) size() float64 { return max(1, float64(b.rate.N)/10) }

// set changes the rate; a bucket is full at first.
func (b *bucket) set(r Rate, now time.Time) {
	if r.N <= 0 || r.Per <= 0 {
		r = Rate{}
	}
	if r == b.rate {
		return
	}
	b.rate = r
	b.tokens, b.last = b.size(), now
}

func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.last); passed > 0 {
		b.tokens = min(b.size(), b.tokens+passed.Seconds()/b.rate.Per.Seconds()*float64(b.rate.N))
	}
	b.last = now // also where the clock went back
}

// limited tells whether there is a rate.
func (b *bucket) limited() bool { return b.rate.N > 0 }

// left is how many tokens there are; next is when there is one.
func (b *bucket) left(now time.Time) (n int, next time.Time) {
	b.fill(now)
	if b.tokens >= 1 {
		return int(b.tokens), now
	}
	wait := (1 - b.tokens) / float64(b.rate.N) * float64(b.rate.Per)
	return 0, now.Add(time.Duration(wait) + time.Microsecond)
}

// take takes n tokens, or gives back.
func (b *bucket) take(n float64) {
	if b.limited() {
		b.tokens = min(b.size(), b.tokens-n)
	}
}
