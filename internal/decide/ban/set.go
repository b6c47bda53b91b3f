package ban

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MaxBans is how many bans a Set holds.
const MaxBans = 100_000

// ErrFull says that there are MaxBans bans and none of them may go.
var ErrFull = errors.New("there are too many bans; remove some, or ban wider networks")

// Set is the bans that there are. The zero value is empty. It is safe for concurrent use.
type Set struct {
	active atomic.Int64 // len(bans): nobody waits for a lock while there is none

	mu   sync.RWMutex
	bans map[netip.Prefix]Ban
	// lengths4 and lengths6 are how many bans there are of each length: only these are looked for.
	lengths4 [33]int
	lengths6 [129]int
	max      int // 0: MaxBans
}

// Banned returns the ban that keeps an address out: the one of the longest network. It does not allocate.
func (s *Set) Banned(a netip.Addr, now time.Time) (Ban, bool) {
	if s.active.Load() == 0 || !a.IsValid() {
		return Ban{}, false
	}
	a = a.Unmap().WithZone("")
	s.mu.RLock()
	defer s.mu.RUnlock()
	lengths := s.lengthsOf(a)
	for bits := a.BitLen(); bits >= 0; bits-- {
		if lengths[bits] == 0 {
			continue
		}
		p, err := a.Prefix(bits)
		if err != nil {
			continue
		}
		if b, found := s.bans[p]; found && !b.Over(now) {
			return b, true
		}
	}
	return Ban{}, false
}

func (s *Set) lengthsOf(a netip.Addr) []int {
	if a.Is4() {
		return s.lengths4[:]
	}
	return s.lengths6[:]
}

// Put adds a ban. Of two bans of one network the operator's stays; of two automatic ones that which ends later. It returns
// what is in force now, whether that is the new one, and which others went for want of room.
func (s *Set) Put(b Ban, now time.Time) (inForce Ban, changed bool, displaced []netip.Prefix, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.bans[b.Network]
	if there && !old.Over(now) && b.Origin == Automatic && (old.Origin == Operator || !ends(b, old)) {
		return old, false, nil, nil
	}
	if most := s.most(); !there && len(s.bans) >= most {
		if displaced = s.makeRoom(most, now); len(s.bans) >= most {
			return Ban{}, false, displaced, ErrFull
		}
	}
	if s.bans == nil {
		s.bans = map[netip.Prefix]Ban{}
	}
	if !there {
		s.lengthsOf(b.Network.Addr())[b.Network.Bits()]++
	}
	s.bans[b.Network] = b
	s.active.Store(int64(len(s.bans)))
	return b, true, displaced, nil
}

func (s *Set) most() int {
	if s.max > 0 {
		return s.max
	}
	return MaxBans
}

// ends tells whether a ends later than b.
func ends(a, b Ban) bool {
	return !b.Until.IsZero() && (a.Until.IsZero() || a.Until.After(b.Until))
}

// makeRoom drops what is over, or else the automatic bans that end first, a hundredth of all at once so that a flood of bans
// does not look through all of them each time; mu is held.
func (s *Set) makeRoom(most int, now time.Time) []netip.Prefix {
	if gone := s.prune(now); len(gone) > 0 {
		return gone
	}
	var automatic []Ban
	for _, b := range s.bans {
		if b.Origin == Automatic {
			automatic = append(automatic, b)
		}
	}
	slices.SortFunc(automatic, func(a, b Ban) int {
		switch {
		case ends(a, b):
			return 1
		case ends(b, a):
			return -1
		}
		return 0
	})
	var gone []netip.Prefix
	for _, b := range automatic[:min(len(automatic), most/100+1)] {
		s.drop(b.Network)
		gone = append(gone, b.Network)
	}
	return gone
}

// drop forgets a ban; mu is held.
func (s *Set) drop(p netip.Prefix) {
	delete(s.bans, p)
	s.lengthsOf(p.Addr())[p.Bits()]--
	s.active.Store(int64(len(s.bans)))
}

// prune drops what is over; mu is held.
func (s *Set) prune(now time.Time) (gone []netip.Prefix) {
	for p, b := range s.bans {
		if b.Over(now) {
			gone = append(gone, p)
		}
	}
	for _, p := range gone {
		s.drop(p)
	}
	return gone
}

// Get returns the ban of just this network.
func (s *Set) Get(p netip.Prefix) (Ban, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, found := s.bans[p]
	return b, found
}

// Remove ends a ban; false: there was none of just this network.
func (s *Set) Remove(p netip.Prefix, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, found := s.bans[p]
	if found {
		s.drop(p)
	}
	return found && !b.Over(now)
}

// Prune forgets the bans that are over, and returns their networks.
func (s *Set) Prune(now time.Time) []netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prune(now)
}

// Len is how many bans there are, with those that are over and not pruned yet.
func (s *Set) Len() int { return int(s.active.Load()) }

// List returns the bans in force, by network.
func (s *Set) List(now time.Time) []Ban {
	s.mu.RLock()
	list := make([]Ban, 0, len(s.bans))
	for _, b := range s.bans {
		if !b.Over(now) {
			list = append(list, b)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b Ban) int { return a.Network.Compare(b.Network) })
	return list
}
