package screen

import (
	"net/netip"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/decide/recall"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// Action is what is done with a client that fails a test.
type Action string

// The actions.
const (
	Ignore  Action = "ignore"  // nothing; the test is repeated the next time
	Enforce Action = "enforce" // its recipients are refused with 550, so that the log has helo, sender and recipient
	Drop    Action = "drop"    // 521, and the connection is closed
)

// Rule is how one test is made.
type Rule struct {
	On     bool
	Action Action
	TTL    time.Duration // how long it need not be repeated; that of Lists comes from the answers
}

// Settings are what a reload may change. Names are postscreen's without their prefix.
type Settings struct {
	GreetWait          time.Duration // how long a client is watched before it is greeted
	Rules              [tests]Rule
	DenylistAction     Action
	Threshold          int                        // score from which Lists are failed
	AllowlistThreshold int                        // score down to which a client passes Greet without waiting; 0: none does
	MinTTL, MaxTTL     time.Duration              // bounds of Lists' TTL
	Retention          time.Duration              // how long a client is remembered after its tests are over
	Waiting            int                        // clients that may wait at a time
	WaitingPerClient   int                        // of one address, or IPv6 /64
	Acquaintance       time.Duration              // how long a network that we sent mail to, or where somebody logged in, is known; 0: not at all
	ListName           func(domain string) string // what a list is called in replies; nil: by its domain
}

// Screen knows clients. It is safe for concurrent use.
type Screen struct {
	tell func(obs.Screened)

	mu      sync.Mutex // guards all below
	set     *Settings
	passed  recall.Memory // by Site
	known   recall.Memory // networks, by network
	waiting int
	sites   map[netip.Prefix]int // who waits
}

// The kinds of what is written behind.
const (
	KindPassed = "screen"
	KindKnown  = "known"
)

// New makes a Screen that remembers at most so many clients. tell hears of outcomes; it must not block.
func New(set *Settings, remembered int, tell func(obs.Screened)) *Screen {
	return &Screen{set: set, tell: tell, sites: map[netip.Prefix]int{}, passed: recall.Memory{Max: remembered}, known: recall.Memory{Max: remembered}}
}

// Configure changes the settings for clients to come.
func (s *Screen) Configure(set *Settings, remembered int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.passed.Max, s.known.Max = set, remembered, remembered
}

// Meet makes a client's network known: we sent mail there, or somebody logged in from there.
func (s *Screen) Meet(now time.Time, a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set.Acquaintance <= 0 || !a.IsValid() || a.IsLoopback() {
		return
	}
	key := network(a).String()
	until := now.Add(s.set.Acquaintance)
	if _, old, ok := s.known.Get(now, key); ok && old.Sub(now) > s.set.Acquaintance*9/10 {
		return // nothing to write down again for each message
	}
	s.known.Put(now, recall.Item{Key: key, Until: until})
}

// Knows tells whether a client's network is known.
func (s *Screen) Knows(now time.Time, a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knows(now, a)
}

func (s *Screen) knows(now time.Time, a netip.Addr) bool {
	if s.set.Acquaintance <= 0 {
		return false
	}
	_, _, ok := s.known.Get(now, network(a).String())
	return ok
}

// Restore is an entry that was written down.
func (s *Screen) Restore(now time.Time, kind string, i recall.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.memory(kind); m != nil {
		m.Restore(now, i)
	}
}

// Drain returns what changed of a kind; Undrain takes it back if it could not be written.
func (s *Screen) Drain(now time.Time, kind string) (put []recall.Item, removed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memory(kind)
	m.Sweep(now)
	return m.Drain()
}

// Undrain takes back what Drain gave.
func (s *Screen) Undrain(kind string, put []recall.Item, removed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory(kind).Undrain(put, removed)
}

func (s *Screen) memory(kind string) *recall.Memory {
	switch kind {
	case KindPassed:
		return &s.passed
	case KindKnown:
		return &s.known
	}
	return nil
}

// Sizes are how many clients are remembered, networks known, and clients waiting.
func (s *Screen) Sizes() (passed, known, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed.Len(), s.known.Len(), s.waiting
}

// enter lets a client wait, unless too many do.
func (s *Screen) enter(site netip.Prefix) *status.Error {
	switch {
	case s.set.Waiting > 0 && s.waiting >= s.set.Waiting:
		return errBusy
	case s.set.WaitingPerClient > 0 && s.sites[site] >= s.set.WaitingPerClient:
		return errCrowded
	}
	s.waiting++
	s.sites[site]++
	return nil
}

func (s *Screen) leave(site netip.Prefix) {
	s.waiting--
	if s.sites[site]--; s.sites[site] <= 0 {
		delete(s.sites, site)
	}
}
