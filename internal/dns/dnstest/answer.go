package dnstest

import (
	"strings"

	wire "github.com/miekg/dns"
)

// respond returns the packets that answer one query, none for silence.
func (s *Server) respond(query []byte, network string) [][]byte {
	q := new(wire.Msg)
	if err := q.Unpack(query); err != nil || len(q.Question) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fold(q.Question[0].Name)
	s.queries[name+" "+wire.TypeToString[q.Question[0].Qtype]]++
	s.networks[network]++
	fault, ok := s.faults[name]
	if !ok {
		fault = s.faults[""]
	}
	m := s.answer(q)
	switch fault {
	case Silent:
		return nil
	case Garbage:
		return [][]byte{[]byte("\x00garbage that is no message at all\xff\xff\xff")}
	case WrongID:
		m.Id++
	case ServFail:
		m = failure(q, wire.RcodeServerFailure)
	case Refused:
		m = failure(q, wire.RcodeRefused)
	case NoEDNS:
		if q.IsEdns0() != nil {
			m = failure(q, wire.RcodeFormatError)
		}
	case Truncated, CutOff:
		if network == "udp" || fault == CutOff {
			m.Answer, m.Truncated = nil, true
		}
	case Lame:
		m = failure(q, wire.RcodeSuccess)
		m.Ns = []wire.RR{&wire.NS{Hdr: wire.RR_Header{Name: "test.", Rrtype: wire.TypeNS, Class: wire.ClassINET, Ttl: 60}, Ns: "elsewhere.test."}}
	case NoSOA:
		m.Ns = nil
	case Spoofed:
		other := m.Copy()
		other.Id++
		elsewhere := m.Copy()
		elsewhere.Question[0].Name = "elsewhere.test."
		return packAll(other, elsewhere, m)
	}
	return packAll(m)
}

func packAll(ms ...*wire.Msg) [][]byte {
	var packets [][]byte
	for _, m := range ms {
		if b, err := m.Pack(); err == nil {
			packets = append(packets, b)
		}
	}
	return packets
}

func failure(q *wire.Msg, rcode int) *wire.Msg {
	m := new(wire.Msg)
	m.SetRcode(q, rcode)
	return m
}

// answer makes the true response from the zone, as a recursive resolver would.
func (s *Server) answer(q *wire.Msg) *wire.Msg {
	m := new(wire.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	m.AuthenticatedData = s.authentic && q.AuthenticatedData
	qtype := q.Question[0].Qtype
	name := fold(q.Question[0].Name)
	only := s.faults[name] == CNAMEOnly
	for range 20 {
		var alias *wire.CNAME
		for _, rr := range s.records[name] {
			if rr.Header().Rrtype == qtype {
				m.Answer = append(m.Answer, rr)
			} else if c, ok := rr.(*wire.CNAME); ok {
				alias = c
			}
		}
		if len(m.Answer) > 0 && m.Answer[len(m.Answer)-1].Header().Rrtype == qtype {
			return m
		}
		if alias == nil {
			break
		}
		m.Answer = append(m.Answer, alias)
		if name = fold(alias.Target); only {
			return m
		}
	}
	if !s.exists(name) {
		m.Rcode = wire.RcodeNameError
	}
	m.Ns = []wire.RR{s.soa}
	return m
}

// exists tells whether a name has records or names below it (RFC 8020).
func (s *Server) exists(name string) bool {
	if _, ok := s.records[name]; ok {
		return true
	}
	for other := range s.records {
		if strings.HasSuffix(other, "."+name) {
			return true
		}
	}
	return false
}
