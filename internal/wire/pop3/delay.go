package pop3

import (
	"sync"
	"time"
)

// delays remembers when each account logged in last, for LOGIN-DELAY (RFC 2449 §6.5). A restart forgets.
type delays struct {
	mu    sync.Mutex
	last  map[int64]time.Time
	sweep int // at this many accounts those are forgotten whose delay is over
}

const sweepLeast = 1024

// early tells whether a login of the account now comes sooner than delay after its last.
func (d *delays) early(account int64, now time.Time, delay time.Duration) bool {
	if delay == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	last, ok := d.last[account]
	return ok && now.Sub(last) < delay
}

// note remembers a login.
func (d *delays) note(account int64, now time.Time, delay time.Duration) {
	if delay == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last, d.sweep = map[int64]time.Time{}, sweepLeast
	}
	if len(d.last) >= d.sweep {
		for a, t := range d.last {
			if now.Sub(t) >= delay {
				delete(d.last, a)
			}
		}
		d.sweep = max(sweepLeast, 2*len(d.last))
	}
	d.last[account] = now
}
