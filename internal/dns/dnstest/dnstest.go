// Package dnstest is a DNS server for tests: it answers recursively from the text of a zone and can be made to fail as
// real servers do.
//
// It serves over real sockets on a loopback port (Listen) or, for tests under testing/synctest, over pipes (Dial, to be
// used as dns.Options.Dial). Only tests import it.
//
//	dnstest.go  Server, its zone and its faults
//	answer.go   from question to response
//	serve.go    sockets and pipes
package dnstest

import (
	"maps"
	"strings"
	"sync"
	"testing"

	wire "github.com/miekg/dns"
)

// Fault is a way to answer badly.
type Fault int

// The faults.
const (
	None      Fault = iota
	Silent          // no answer at all
	ServFail        // RCODE 2
	Refused         // RCODE 5
	Truncated       // over UDP: TC and no records; over TCP: the answer
	CutOff          // TC over TCP too
	Garbage         // bytes that are no message
	WrongID         // the right answer with another id
	Spoofed         // first an answer with a wrong id, another with a wrong question, then the right one
	Lame            // a referral to elsewhere
	NoEDNS          // FORMERR for a query with EDNS
	NoSOA           // absence without SOA
	CNAMEOnly       // aliases without what they lead to
)

// Server is a DNS server. Its methods may be called at any time, from any goroutine.
type Server struct {
	mu        sync.Mutex // guards all below
	records   map[string][]wire.RR
	soa       *wire.SOA
	faults    map[string]Fault // by name in lower case without final dot; "" is all names
	authentic bool
	queries   map[string]int // "name TYPE" → times asked
	networks  map[string]int // "udp", "tcp" → times asked
}

// New makes a server of a zone: the text of a zone file, every name ending in a dot. A record that does not parse fails
// the test.
func New(tb testing.TB, zone string) *Server {
	tb.Helper()
	s := &Server{faults: map[string]Fault{}, queries: map[string]int{}, networks: map[string]int{}}
	s.SetZone(tb, zone)
	return s
}

// SetZone replaces all records.
func (s *Server) SetZone(tb testing.TB, zone string) {
	tb.Helper()
	records := map[string][]wire.RR{}
	var soa *wire.SOA
	p := wire.NewZoneParser(strings.NewReader(zone), ".", "zone")
	p.SetDefaultTTL(300)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if x, isSOA := rr.(*wire.SOA); isSOA {
			soa = x
			continue
		}
		key := fold(rr.Header().Name)
		records[key] = append(records[key], rr)
	}
	if err := p.Err(); err != nil {
		tb.Fatal(err)
	}
	if soa == nil {
		soa = &wire.SOA{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: 60}, Ns: "ns.test.", Mbox: "hostmaster.test.", Serial: 1, Minttl: 60}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.soa = records, soa
}

// SetFault makes questions about name fail; name "" means all names that have no fault of their own.
func (s *Server) SetFault(name string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[fold(name)] = f
}

// SetAuthentic makes the server vouch for its answers with AD, if the query asks for it.
func (s *Server) SetAuthentic(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authentic = on
}

// Queries returns how often each "name TYPE" was asked so far.
func (s *Server) Queries() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.queries)
}

// Networks returns how many questions came over "udp" and "tcp".
func (s *Server) Networks() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.networks)
}

func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
