// Package lockout makes guessing passwords slow, over all protocols together, without letting a stranger keep anybody out of
// the account that is his.
//
// Failed logins are counted in a window of time by address, by network (many addresses, or many accounts from one), and by
// account. What follows:
//
//   - The more there were, the further apart the next logins are let through to the check of their password: 1, 2, 4 … seconds,
//     up to Settings.MaxDelay. A login waits for its turn before its password is looked at, so neither many connections at once
//     nor hanging up early buys more guesses; who would wait longer than MaxDelay is told to come again.
//   - After Settings.PerSite an address, after PerNetwork a network, is locked out for Settings.Lock: its passwords are not
//     looked at. An account is never locked out.
//   - An address from which an account has logged in before is at home there. For that account it is neither slowed down nor
//     locked out, whatever others do, there or elsewhere; and failures there do not count for the address, so that one wrong
//     telephone does not lock out an office. (Only after pairFree different wrong passwords it is treated as a stranger.)
//   - The same wrong password for the same account is counted once in a window: a forgotten telephone guesses nothing.
//
// It is pure: the clock is the caller's, nothing blocks, and its memory is bounded (rate.Pool: a flood of newcomers displaces
// newcomers). Who waits, and how many may, is the caller's affair.
//
//	lockout.go  Guard and what it is asked
//	state.go    what it remembers
package lockout

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/decide/rate"
)

// Settings may differ from call to call: a reload changes them.
type Settings struct {
	Window     time.Duration // how long failures count
	Lock       time.Duration // how long who is locked out stays so
	MaxDelay   time.Duration // 0: nobody is slowed down
	PerSite    int           // failures of an address, that lock it out; 0: never
	PerNetwork int           // the same of a network
}

// Failures that slow nobody down, in a window: people mistype.
const (
	siteFree    = 3
	networkFree = 30
	accountFree = 10
	pairFree    = 50 // of an account from a place where it is at home
	firstDelay  = time.Second
)

// Try is a login.
type Try struct {
	Site    netip.Prefix // its address: an IPv4 address, an IPv6 /64; zero: nobody's, and nothing is counted
	Network netip.Prefix // its network; zero: none, or one of our own
	Account string       // the name, in a canonical form, whether there is such an account or not
}

// Verdict is whether a login may go on.
type Verdict struct {
	Wait    time.Duration // before its password is looked at
	Refused Reason        // empty: it may
}

// Reason is why a login is refused, without a look at its password.
type Reason string

// The reasons.
const (
	SiteLocked    Reason = "too many failed logins from the address"
	NetworkLocked Reason = "too many failed logins from the network"
	TooMany       Reason = "too many logins wait after failed ones"
)

// Guard remembers. It is safe for concurrent use.
type Guard struct {
	mu      sync.Mutex
	states  *rate.Pool[key, state]
	repeats *rate.Pool[uint64, int64] // until when
	homes   *rate.Pool[string, homes] // by account
	sites   *rate.Pool[netip.Prefix, int64]
}

// New makes a Guard that remembers so many addresses, accounts and the like, of each.
func New(most int) *Guard {
	return &Guard{states: rate.NewPool[key](most, (*state).weight), repeats: rate.NewPool[uint64](most, left),
		homes: rate.NewPool[string](most, (*homes).weight), sites: rate.NewPool[netip.Prefix](most, left)}
}

// Ask says whether a login may go on, and takes its turn if it may. It comes before the password is looked at.
func (g *Guard) Ask(t Try, s Settings, now time.Time) Verdict {
	if !t.Site.IsValid() {
		return Verdict{}
	}
	at := now.UnixNano()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.home(t, s, at) {
		return Verdict{}
	}
	if g.locked(key{kind: ofSite, site: t.Site}, at) {
		return Verdict{Refused: SiteLocked}
	}
	if g.locked(key{kind: ofNetwork, site: t.Network}, at) {
		return Verdict{Refused: NetworkLocked}
	}
	if s.MaxDelay == 0 {
		return Verdict{}
	}
	var turns [3]*state
	var wait time.Duration
	for i, p := range t.parties() {
		st := g.states.Get(p.key)
		if st == nil || delay(st.failures.Used(s.Window, at), p.free, s.MaxDelay) == 0 {
			continue
		}
		turns[i] = st
		wait = max(wait, time.Duration(st.next-at))
	}
	if wait > s.MaxDelay {
		return Verdict{Refused: TooMany}
	}
	for i, p := range t.parties() {
		if st := turns[i]; st != nil {
			st.next = max(st.next, at) + int64(delay(st.failures.Used(s.Window, at), p.free, s.MaxDelay))
		}
	}
	return Verdict{Wait: wait}
}

// Failed counts a login whose password was wrong. secret stands for name and password, and is 0 where the password is not
// known. ban: the address has now failed too often, and nobody is at home there.
func (g *Guard) Failed(t Try, secret uint64, s Settings, now time.Time) (ban bool) {
	if !t.Site.IsValid() {
		return false
	}
	at := now.UnixNano()
	g.mu.Lock()
	defer g.mu.Unlock()
	if secret != 0 {
		until := g.repeats.Get(secret)
		again := until != nil && *until > at
		*g.repeats.Make(secret, at) = at + int64(s.Window)
		if again {
			return false
		}
	}
	if g.home(t, s, at) {
		g.count(key{kind: ofPair, site: t.Site, name: t.Account}, s, at)
		return false
	}
	for _, p := range t.parties() {
		if p.key.kind != ofAccount && !p.key.site.IsValid() {
			continue
		}
		st := g.count(p.key, s, at)
		used := st.failures.Used(s.Window, at)
		if d := delay(used, p.free, s.MaxDelay); d > 0 {
			st.next = max(st.next, at+int64(d))
		}
		if p.key.kind == ofSite && s.PerSite > 0 && used >= int64(s.PerSite) {
			st.locked = at + int64(s.Lock)
			home := g.sites.Get(t.Site)
			ban = home == nil || *home <= at
		}
		if p.key.kind == ofNetwork && s.PerNetwork > 0 && used >= int64(s.PerNetwork) {
			st.locked = at + int64(s.Lock)
		}
	}
	return ban
}

// Succeeded remembers that an account is at home at an address.
func (g *Guard) Succeeded(t Try, now time.Time) {
	if !t.Site.IsValid() || t.Account == "" {
		return
	}
	at := now.UnixNano()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.homes.Make(t.Account, at).settle(t.Site, at+int64(homeFor))
	until := g.sites.Make(t.Site, at)
	*until = max(*until, at+int64(homeFor))
}

// Home tells whether some account is at home at an address.
func (g *Guard) Home(site netip.Prefix, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until := g.sites.Get(site)
	return until != nil && *until > now.UnixNano()
}

// Forgive forgets the failures of the addresses of a network, and of the network itself. freed: some of it was locked out.
func (g *Guard) Forgive(p netip.Prefix, now time.Time) (freed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var gone []key
	g.states.Each(func(k key, st *state) {
		if k.site.IsValid() && p.Overlaps(k.site) {
			gone = append(gone, k)
			freed = freed || st.locked > now.UnixNano()
		}
	})
	for _, k := range gone {
		g.states.Drop(k)
	}
	return freed
}

// Failing is somebody for whom failures are counted.
type Failing struct {
	Site     netip.Prefix // an address or a network; zero: an account
	Account  string
	Failures int64
	Locked   time.Time // until when; zero: it is not locked out
}

// Failing lists all of them, those with the most failures first.
func (g *Guard) Failing(s Settings, now time.Time) (list []Failing) {
	at := now.UnixNano()
	g.mu.Lock()
	g.states.Each(func(k key, st *state) {
		f := Failing{Site: k.site, Account: k.name, Failures: st.failures.Used(s.Window, at)}
		if st.locked > at {
			f.Locked = time.Unix(0, st.locked)
		}
		if k.kind != ofPair && (f.Failures > 0 || st.locked > at) {
			list = append(list, f)
		}
	})
	g.mu.Unlock()
	slices.SortFunc(list, func(a, b Failing) int {
		return cmp.Or(cmp.Compare(b.Failures, a.Failures), a.Site.Compare(b.Site), cmp.Compare(a.Account, b.Account))
	})
	return list
}

// Locked is how many addresses and networks are locked out.
func (g *Guard) Locked(now time.Time) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := now.UnixNano()
	g.states.Each(func(_ key, s *state) {
		if s.locked > at {
			n++
		}
	})
	return n
}
