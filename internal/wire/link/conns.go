package link

import (
	"context"
	"net/netip"
	"sync"
)

// Limits of Conns.
type Limits struct {
	Total   int
	PerSite int // see Site
}

// Refusal is why a connection is not taken, in words for its client; empty: it is.
type Refusal string

// The refusals.
const (
	Closing  Refusal = "Server is shutting down"
	Full     Refusal = "Too many connections; try again later"
	SiteFull Refusal = "Too many connections from your address"
)

// Conns are the connections of a server, each with the site it counts for. The zero value is empty. It is safe for
// concurrent use; its functions stop and cutOff are called under its lock and must not block.
type Conns[C comparable] struct {
	mu      sync.Mutex
	conns   map[C]netip.Prefix
	perSite map[netip.Prefix]int
	closing bool
	group   sync.WaitGroup
}

// Admit counts a connection in, or says why not. What is not IP has no limit of its own.
func (s *Conns[C]) Admit(c C, from netip.Addr, l Limits) Refusal {
	site := Site(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return Closing
	case len(s.conns) >= l.Total:
		return Full
	case site.IsValid() && s.perSite[site] >= l.PerSite:
		return SiteFull
	}
	if s.conns == nil {
		s.conns, s.perSite = map[C]netip.Prefix{}, map[netip.Prefix]int{}
	}
	s.conns[c] = site
	s.perSite[site]++
	s.group.Add(1)
	return ""
}

// Dismiss counts an admitted connection out.
func (s *Conns[C]) Dismiss(c C) {
	s.mu.Lock()
	site := s.conns[c]
	delete(s.conns, c)
	if s.perSite[site]--; s.perSite[site] == 0 {
		delete(s.perSite, site)
	}
	s.mu.Unlock()
	s.group.Done()
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
