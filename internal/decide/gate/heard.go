package gate

import (
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/obs"
)

// Heard collects, for the trace, what rules have found of a connection or message. The zero value is ready; it is not safe for
// concurrent use.
type Heard struct{ rules, routes []obs.Rule }

// maxHeard bounds the rules of one kind that are kept between two Takes; maxHeardText the bytes of one result.
const (
	maxHeard     = 200
	maxHeardText = 1000
)

// Note is for Conn.Note. Rules that found nothing are not kept.
func (h *Heard) Note(n Note) {
	if n.Result != "dunno" && len(h.rules) < maxHeard {
		h.rules = append(h.rules, obs.Rule{Stage: string(n.Stage), Rule: n.Rule, Result: n.Result[:min(len(n.Result), maxHeardText)]})
	}
}

// Route notes a rule that led a recipient somewhere.
func (h *Heard) Route(rule, key, result string) {
	if len(h.routes) < maxHeard {
		h.routes = append(h.routes, obs.Rule{Rule: rule, Key: key, Result: result[:min(len(result), maxHeardText)]})
	}
}

// Take returns what was heard since the last time; ok is false for nothing. With to, recipients, there is something to tell in
// any case.
func (h *Heard) Take(to []envelope.Recipient) (j obs.Judged, ok bool) {
	j.Rules, j.Routes = h.rules, h.routes
	for _, r := range to {
		j.To = append(j.To, r.To.String())
	}
	*h = Heard{}
	return j, len(j.Rules)+len(j.Routes)+len(j.To) > 0
}
