package directory

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

const (
	// lanePatience is how long a login waits for its turn: less than mail programs wait for an answer.
	lanePatience = 20 * time.Second
	// laneRest is how long one waits who is sent away for want of room, before it hears so. It costs us nothing but time, and
	// keeps those who come again at once from taking the processors with connecting.
	laneRest = 3 * time.Second
	// defaultQueue is how many wait at most. One who waits costs little more than the connection that is there anyway.
	defaultQueue = 1024
)

// What one turn costs each of its parties, in virtual time: a network gets as much as turnCost/networkCost of its places.
const (
	turnCost    = 16
	networkCost = 1
)

// lane bounds how many passwords are hashed at once and how many wait for it, and shares its time fairly: between the
// places that logins come from, between their networks, and between the names that they are for (start-time fair queueing;
// Goyal, Vin and Cheng, 1996). Each party's turns begin at virtual times, each a cost behind the one before, but not before
// the present; a turn begins when the last of its parties lets it, and the earliest is next. So a storm from one place, or
// against one account, queues behind itself. A party pays for its own turns only: else whoever logs in to a name that is
// being guessed would put off everybody in his office, and a guesser far back in the order the names that he tries. When too
// many wait the last in this order is sent away, not the one who came last.
//
// It is safe for concurrent use.
type lane struct {
	mu      sync.Mutex
	free    int // slots
	width   int
	most    int           // that wait
	pause   time.Duration // laneRest
	waiting []*turn
	now     uint64         // virtual time: the start of the latest turn that ran
	next    map[any]uint64 // when the next turn of a party may begin; who is not there: now
	refused uint64
}

// party is who a turn is for.
type party struct {
	site netip.Prefix // an IPv4 address, an IPv6 /64; zero: no network's
	name string       // of the account, whether there is such a one or not; empty: nobody's
	home bool         // the account has logged in from this place before
}

type turn struct {
	party
	start uint64
	ready chan bool // capacity 1: the turn has come, or it never will
}

func newLane(width, queue int) *lane {
	return &lane{free: width, width: width, most: queue, pause: laneRest, next: map[any]uint64{}}
}

// run runs fn when there is a slot. ErrBusy when too many wait, or for too long.
func (l *lane) run(ctx context.Context, who party, fn func()) error {
	t := l.enter(who)
	if t == nil {
		return l.rest(ctx)
	}
	patience := time.NewTimer(lanePatience)
	defer patience.Stop()
	var err error
	select {
	case ok := <-t.ready:
		if !ok {
			return l.rest(ctx)
		}
	case <-ctx.Done():
		err = ErrBusy.With("hashing lane", ctx.Err())
	case <-patience.C:
		err = ErrBusy
	}
	if err != nil && l.leave(t) {
		return err
	}
	defer l.done() // also when the turn came just as patience ended
	if err == nil {
		fn()
	}
	return err
}

// rest is the way of those who are sent away.
func (l *lane) rest(ctx context.Context) error {
	select {
	case <-time.After(l.pause):
	case <-ctx.Done():
	}
	return ErrBusy
}

// enter takes a place in the order; nil: there is none.
func (l *lane) enter(who party) *turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &turn{party: who, start: l.now, ready: make(chan bool, 1)}
	keys := who.keys()
	for _, k := range keys {
		t.start = max(t.start, l.next[k.key])
	}
	if l.free == 0 && len(l.waiting) >= l.most {
		l.refused++
		i := l.lastWaiting()
		if i < 0 || l.waiting[i].start <= t.start {
			return nil
		}
		out := l.remove(i)
		out.ready <- false
	}
	for _, k := range keys {
		l.next[k.key] = max(l.now, l.next[k.key]) + k.cost
	}
	if l.free > 0 && len(l.waiting) == 0 {
		l.begin(t)
	} else {
		l.waiting = append(l.waiting, t)
	}
	return t
}

// begin gives t a slot; mu is held.
func (l *lane) begin(t *turn) {
	l.free--
	l.now = max(l.now, t.start)
	t.ready <- true
}

// done gives a slot to the next in order.
func (l *lane) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free++
	if len(l.waiting) > 0 {
		first := 0
		for i, t := range l.waiting {
			if t.start < l.waiting[first].start {
				first = i
			}
		}
		t := l.waiting[first]
		l.waiting = append(l.waiting[:first], l.waiting[first+1:]...) // the rest keeps the order of arrival
		l.begin(t)
	}
	if len(l.next) > 4*(l.most+l.width) || l.free == l.width {
		for key, at := range l.next {
			if at <= l.now || l.free == l.width {
				delete(l.next, key)
			}
		}
	}
}

// leave ends t's wait. It returns false if the turn has come meanwhile.
func (l *lane) leave(t *turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == t {
			l.refused++
			l.remove(i)
			return true
		}
	}
	return !<-t.ready
}

// lastWaiting is the latest in order, -1 if nobody waits; mu is held.
func (l *lane) lastWaiting() int {
	last := -1
	for i, t := range l.waiting {
		if last < 0 || t.start >= l.waiting[last].start {
			last = i
		}
	}
	return last
}

// remove takes one who waits out, and what it had of its parties' time with it; mu is held.
func (l *lane) remove(i int) *turn {
	t := l.waiting[i]
	l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
	for _, k := range t.keys() {
		if l.next[k.key] >= l.now+k.cost {
			l.next[k.key] -= k.cost
		}
	}
	return t
}

// key is a party as the lane knows it, and what a turn costs it.
type key struct {
	key  any // a name, a party at home, or a Prefix: those of places and networks differ in their bits
	cost uint64
}

func (p party) keys() []key {
	keys := make([]key, 0, 3)
	if p.site.IsValid() {
		keys = append(keys, key{p.site, turnCost}, key{network(p.site), networkCost})
	}
	switch {
	case p.home: // guesses from elsewhere do not keep it waiting
		keys = append(keys, key{p, turnCost})
	case p.name != "":
		keys = append(keys, key{p.name, turnCost})
	}
	return keys
}

// network is what one customer of a provider often has: an IPv4 /24, an IPv6 /48.
func network(site netip.Prefix) netip.Prefix {
	bits := 24
	if site.Addr().Is6() {
		bits = 48
	}
	p, _ := site.Addr().Prefix(bits)
	return p
}

// Load is how the lane of logins stands.
type Load struct {
	Checking int    // passwords
	Waiting  int    // for their turn
	Refused  uint64 // since the start, for want of room or time
}

func (l *lane) load() Load {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Load{Checking: l.width - l.free, Waiting: len(l.waiting), Refused: l.refused}
}

// Load returns how the lane of logins stands.
func (d *Directory) Load() Load { return d.lane.load() }
