package dns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// Limits on what a response may make us do.
const (
	maxChain       = 8             // aliases followed for one question
	maxNegativeTTL = 3 * time.Hour // RFC 2308 §5
	maxRecords     = 1000          // of one answer; more is taken for nonsense
)

// result is what is known about a question: records, or a certain absence.
type result struct {
	records   []wire.RR // of the type asked, at the canonical name
	canonical string    // name at the end of the aliases
	authentic bool      // the resolver's AD bit
	absence   Kind      // NXDomain or NoData; 0 if there are records
	ttl       time.Duration
	aliasTo   string // an alias whose target the response left open: ask for it
}

// Failures of one server that send us to the next.
var (
	errMismatch = errors.New("not the answer to our question")
	errLame     = errors.New("referral instead of an answer")
	errLoop     = errors.New("aliases form a loop or too long a chain")
	errTooMany  = errors.New("too many records")
)

// rcodeError is a response code that is no answer.
type rcodeError int

func (e rcodeError) Error() string {
	if s, ok := wire.RcodeToString[int(e)]; ok {
		return s
	}
	return fmt.Sprintf("RCODE %d", int(e))
}

// matches tells whether a response belongs to our query. Whatever does not is ignored rather than an error: a stranger
// may have sent it (RFC 5452 §9.1).
func matches(resp *wire.Msg, id uint16, q question) bool {
	if !resp.Response || resp.Id != id || resp.Opcode != wire.OpcodeQuery {
		return false
	}
	if len(resp.Question) != 1 {
		// Some servers refuse without repeating the question.
		return len(resp.Question) == 0 && resp.Rcode != wire.RcodeSuccess && resp.Rcode != wire.RcodeNameError
	}
	got := resp.Question[0]
	return got.Qtype == q.qtype && got.Qclass == wire.ClassINET && strings.EqualFold(strings.TrimSuffix(got.Name, "."), q.name)
}

// interpret reads a response that matches. An error means that this server gave no answer.
func interpret(resp *wire.Msg, q question) (result, error) {
	if resp.Rcode != wire.RcodeSuccess && resp.Rcode != wire.RcodeNameError {
		return result{}, rcodeError(resp.Rcode)
	}
	if len(resp.Answer) > maxRecords {
		return result{}, errTooMany
	}
	r := result{canonical: q.name, authentic: resp.AuthenticatedData, ttl: -1}
	if err := r.follow(resp.Answer, q.qtype); err != nil {
		return result{}, err
	}
	for _, rr := range resp.Answer {
		if h := rr.Header(); h.Rrtype == q.qtype && h.Class == wire.ClassINET && owner(h) == r.canonical {
			r.records = append(r.records, rr)
			r.atMost(h.Ttl)
		}
	}
	if len(r.records) > 0 && resp.Rcode == wire.RcodeSuccess {
		return r, nil
	}
	return r.absent(resp, q)
}

// follow walks the aliases of an answer from the name asked, RFC 1034 §3.6.2.
func (r *result) follow(answer []wire.RR, qtype uint16) error {
	if qtype == wire.TypeCNAME {
		return nil
	}
	for range maxChain {
		i := slices.IndexFunc(answer, func(rr wire.RR) bool {
			return rr.Header().Rrtype == wire.TypeCNAME && owner(rr.Header()) == r.canonical
		})
		if i < 0 {
			return nil
		}
		alias, ok := answer[i].(*wire.CNAME)
		if !ok {
			return errMismatch
		}
		target, ok := canonical(alias.Target)
		if !ok {
			return fmt.Errorf("alias to %q: %w", alias.Target, errMismatch)
		}
		r.atMost(alias.Hdr.Ttl)
		r.canonical = target
	}
	return errLoop
}

// absent decides what a response without records means: RFC 2308 §2.
func (r result) absent(resp *wire.Msg, q question) (result, error) {
	r.records = nil
	var soa *wire.SOA
	referral := false
	for _, rr := range resp.Ns {
		switch rr := rr.(type) {
		case *wire.SOA:
			soa = rr
		case *wire.NS:
			referral = true
		}
	}
	if soa == nil && resp.Rcode == wire.RcodeSuccess {
		if r.canonical != q.name {
			r.aliasTo = r.canonical
			return r, nil
		}
		if referral {
			return result{}, errLame // RFC 2308 §2.2.1: NS without SOA is a referral
		}
	}
	r.absence = NoData
	if resp.Rcode == wire.RcodeNameError {
		r.absence = NXDomain
	}
	if soa == nil {
		r.ttl = 0 // RFC 2308 §5: without SOA it must not be cached
		return r, nil
	}
	r.atMost(min(soa.Hdr.Ttl, soa.Minttl))
	r.ttl = min(r.ttl, maxNegativeTTL)
	return r, nil
}

// atMost lowers the time that the result may be kept. RFC 2181 §8: a TTL with its top bit set is 0.
func (r *result) atMost(ttl uint32) {
	if ttl > 1<<31-1 {
		ttl = 0
	}
	if d := time.Duration(ttl) * time.Second; r.ttl < 0 || d < r.ttl {
		r.ttl = d
	}
}

func owner(h *wire.RR_Header) string { return strings.ToLower(strings.TrimSuffix(h.Name, ".")) }
