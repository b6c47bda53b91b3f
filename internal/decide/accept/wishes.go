package accept

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
)

// Wish puts into a job what its sender asked for besides delivery: when (RFC 4865, RFC 2852), how soon (RFC 6710), how safely
// (RFC 8689), and from whom each copy is to come (VERP).
func Wish(job *flow.Job, e *envelope.Envelope) {
	job.NotBefore, job.Priority, job.RequireTLS = e.HoldUntil, e.Priority, e.RequireTLS
	job.DeliverBy, job.DeliverByReturn = e.DeliverBy, e.DeliverByReturn
	if e.VERP != "" && !job.From.IsZero() {
		verp(job, e.VERP)
	}
}

// verp gives each recipient's copy a reverse-path of its own: list@here for user@there becomes list+user=there@here. A bounce to
// it tells who failed, whatever its text says. The recipient is the one that the sender knows. Copies that have a sender already
// (a list's owner, a forwarder) keep it; so do those whose address would be longer than a local part may be.
func verp(job *flow.Job, delimiters string) {
	for i := range job.Recipients {
		r := &job.Recipients[i]
		to := r.Original
		if to.IsZero() {
			to = r.To
		}
		a := address.Address{Local: job.From.Local + delimiters[:1] + to.Local + delimiters[1:] + to.Domain, Domain: job.From.Domain}
		if r.Sender == nil && r.Transport != flow.Drop && len(a.Local) <= maxLocal && len(a.Path()) <= maxPath {
			r.Sender = &a
		}
	}
}

// maxLocal is what other servers take: RFC 5321 §4.5.3.1.1 asks for 64, which VERP does not keep to. The whole path has 256 (§4.5.3.1.3).
const (
	maxLocal = 180
	maxPath  = 256
)

// manyRecipients make a message bulk mail, whatever its header says.
const manyRecipients = 50

// bulk tells whether a message is one of many alike: a list's, a newsletter's. It waits for mail that people wait for.
func bulk(h *header.Header, recipients int) bool {
	if recipients >= manyRecipients {
		return true
	}
	for _, f := range h.Fields {
		switch strings.ToLower(string(h.Name(f))) {
		case "list-id", "list-unsubscribe": // RFC 2919 §2, RFC 2369 §3.2
			return true
		case "precedence": // RFC 3834 §3.1.8: of no standard, and everywhere
			switch strings.ToLower(strings.TrimSpace(h.Value(f))) {
			case "bulk", "list", "junk":
				return true
			}
		}
	}
	return false
}

// expand sees to the reports of success for addresses that lead to several final recipients (RFC 3461 §5.2.7.3): the sender hears
// once that the address was expanded, and not of each member, whom he does not know. Failures and delays of members he hears of.
func expand(job *flow.Job) {
	members := map[address.Address]int{}
	for i := range job.Recipients {
		members[job.Recipients[i].Original]++
	}
	for i := range job.Recipients[:len(job.Recipients):len(job.Recipients)] {
		r := &job.Recipients[i]
		n := members[r.Original]
		if r.Notify&envelope.NotifySuccess == 0 || n == 1 {
			continue
		}
		if n > 1 {
			members[r.Original] = -1 // told
			job.Recipients = append(job.Recipients, flow.Recipient{No: len(job.Recipients), To: r.Original, Original: r.Original,
				Notify: envelope.NotifySuccess, ORcpt: r.ORcpt, Transport: flow.Drop, NextHop: flow.Expanded})
			r = &job.Recipients[i]
		}
		if r.Notify &^= envelope.NotifySuccess; r.Notify == 0 {
			r.Notify = envelope.NotifyNever // nothing else was asked for, and nothing would mean the usual
		}
	}
}
