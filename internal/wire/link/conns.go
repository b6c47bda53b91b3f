package link

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of Conns. One Network gets half of Total at most, unless PerSite is more.
type Limits struct {
	Total   int
	PerSite int // see Site
	Shared  *Shared
}

func (l *Limits) perNetwork() int { return max(l.Total/2, l.PerSite) }

// Refusal is why a connection is not taken, in words for its client; empty: it is.
type Refusal string

// The refusals.
const (
	Closing  Refusal = "Server is shutting down"
	Full     Refusal = "Too many connections; try again later"
	SiteFull Refusal = "Too many connections from your address, or network"
	Banned   Refusal = "Connections from your address are not accepted for now"
)

// place is what a connection takes.
type place struct {
	site, network netip.Prefix // zero: no limit for one holds
	shared        *Shared
}

// Conns are the connections of a server, each with the site it counts for. The zero value is empty. It is safe for
// concurrent use; its functions stop and cutOff are called under its lock and must not block.
type Conns[C comparable] struct {
	mu      sync.Mutex
	conns   map[C]place
	per     map[netip.Prefix]int // site, or network: they differ in their bits
	closing bool
	group   sync.WaitGroup
	turned  atomic.Int32 // in TurnAway, under TLS

	refused uint64 // for want of room
	untold  int    // of them, not in the log yet
	told    time.Time
}

// Admit counts a connection in, or says why not. What is not IP has no limit of its own.
func (s *Conns[C]) Admit(c C, from netip.Addr, l Limits) Refusal {
	at := place{site: Site(from), network: Network(from), shared: l.Shared}
	if l.Shared.exempts(from) {
		at.site, at.network = netip.Prefix{}, netip.Prefix{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var why Refusal
	switch {
	case s.closing:
		return Closing
	case l.Shared.bans(from):
		why = Banned
	case at.site.IsValid() && s.per[at.site] >= l.PerSite, at.network.IsValid() && s.per[at.network] >= l.perNetwork():
		why = SiteFull
	case len(s.conns) >= l.Total || !l.Shared.take():
		why = Full
	}
	if why != "" {
		s.refused++
		s.untold++
		return why
	}
	if s.conns == nil {
		s.conns, s.per = map[C]place{}, map[netip.Prefix]int{}
	}
	s.conns[c] = at
	s.per[at.site]++
	s.per[at.network]++
	s.group.Add(1)
	return ""
}

// Dismiss counts an admitted connection out.
func (s *Conns[C]) Dismiss(c C) {
	s.mu.Lock()
	at := s.conns[c]
	at.shared.give()
	delete(s.conns, c)
	for _, from := range []netip.Prefix{at.site, at.network} {
		if s.per[from]--; s.per[from] == 0 {
			delete(s.per, from)
		}
	}
	s.mu.Unlock()
	s.group.Done()
}

// Refused is how many there was no room for.
func (s *Conns[C]) Refused() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Tell returns how many there was no room for since it last said so; 0, that is: put nothing into the log, if that is not
// long ago.
func (s *Conns[C]) Tell(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told.IsZero() && now.Sub(s.told) < tellEvery {
		return 0
	}
	n := s.untold
	s.told, s.untold = now, 0
	return n
}

// Len is the number of connections.
func (s *Conns[C]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown admits nobody any more, calls stop for each connection and returns when all have been dismissed. When ctx ends
// first it calls cutOff for the rest, waits for them too and returns ctx's error.
func (s *Conns[C]) Shutdown(ctx context.Context, stop, cutOff func(C)) error {
	s.mu.Lock()
	s.closing = true
	for c := range s.conns {
		stop(c)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		cutOff(c)
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}
