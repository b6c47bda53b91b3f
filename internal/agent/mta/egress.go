package mta

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// Pool is a set of our addresses that the mail of some senders leaves from.
type Pool struct {
	Name string
	// Domains of senders; ".domain" means those below it, "<>" the null sender. Empty: all whom no other pool names.
	Domains []string
	From    []Source
}

// Source is an address to connect from, with the name for EHLO that belongs to it.
type Source struct {
	Addr  netip.Addr
	Hello string // empty: Settings.Hello
}

// pool finds the pool of a sender, nil if there is none: of its domain, else of the nearest above it, else for all others.
func (s *Settings) pool(from address.Address) *Pool {
	if len(s.Egress) == 0 {
		return nil
	}
	domain := strings.ToLower(from.Domain)
	if from.IsZero() {
		domain = "<>"
	}
	for key, up := domain, strings.IndexByte(domain, '.'); ; up = strings.IndexByte(domain, '.') {
		if p := s.poolFor(func(p *Pool) bool { return slices.Contains(p.Domains, key) }); p != nil {
			return p
		}
		if up < 0 {
			return s.poolFor(func(p *Pool) bool { return len(p.Domains) == 0 })
		}
		key, domain = domain[up:], domain[up+1:]
	}
}

func (s *Settings) poolFor(is func(*Pool) bool) *Pool {
	if at := slices.IndexFunc(s.Egress, is); at >= 0 {
		return s.Egress[at]
	}
	return nil
}

// source is where a connection to an address is made from; ok is false where the sender's pool has no address of that
// family. turn counts, so that the addresses of a pool take turns. The loopback is reached from itself alone.
func (s *Settings) source(p *Pool, to netip.Addr, turn uint64) (from Source, ok bool) {
	from = Source{Addr: s.SourceIPv4, Hello: s.Hello}
	if to.Is6() {
		from.Addr = s.SourceIPv6
	}
	if p != nil && !to.IsLoopback() {
		var of []Source
		for _, one := range p.From {
			if one.Addr.Is4() == to.Is4() {
				of = append(of, one)
			}
		}
		if len(of) == 0 {
			return Source{}, false
		}
		if from = of[turn%uint64(len(of))]; from.Hello == "" {
			from.Hello = s.Hello
		}
	}
	if from.Addr.IsValid() && from.Addr.IsLoopback() != to.IsLoopback() {
		from.Addr = netip.Addr{}
	}
	return from, true
}
