package pickup

import (
	"sync"
	"time"
)

// rates bounds the messages of each user: at most n in any moment's burst, and n an hour in the long run (the generic
// cell rate algorithm). It is a pure structure with a lock; the time is its caller's.
type rates struct {
	mu   sync.Mutex
	full map[uint32]time.Time // when the user's allowance will be whole again
}

// maxIdle is how many users are remembered before those whose allowance is whole are forgotten.
const maxIdle = 1000

// take tells whether one more message of a user may be taken now, and counts it. n is per hour; 0: no limit.
func (r *rates) take(uid uint32, n int, now time.Time) bool {
	if n <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full == nil {
		r.full = map[uint32]time.Time{}
	}
	if len(r.full) > maxIdle {
		for u, at := range r.full {
			if !at.After(now) {
				delete(r.full, u)
			}
		}
	}
	at := r.full[uid]
	if at.Before(now) {
		at = now
	}
	if at = at.Add(time.Hour / time.Duration(n)); at.Sub(now) > time.Hour {
		return false
	}
	r.full[uid] = at
	return true
}

// has tells whether take would, and counts nothing.
func (r *rates) has(uid uint32, n int, now time.Time) bool {
	if n <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full[uid].Add(time.Hour/time.Duration(n)).Sub(now) <= time.Hour
}

// giveBack undoes a take.
func (r *rates) giveBack(uid uint32, n int) {
	if n <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.full[uid]; ok {
		r.full[uid] = at.Add(-time.Hour / time.Duration(n))
	}
}
