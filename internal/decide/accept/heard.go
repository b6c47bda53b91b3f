package accept

import (
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/obs"
)

// Heard collects what rules find of a session, and where they lead its recipients, if there is a trace to tell (On). It is not
// safe for concurrent use.
type Heard struct {
	On    bool
	heard gate.Heard
}

// Listen hears the rules of a connection, unless somebody else does: who explains leaves no trace.
func (h *Heard) Listen(c *gate.Conn) {
	if h.On && c.Note == nil {
		c.Note = h.heard.Note
	}
}

// Routes hears the rules of routing; nil: nobody wants to know.
func (h *Heard) Routes() func(route.Note) {
	if !h.On {
		return nil
	}
	return func(n route.Note) { h.heard.Route(n.Rule, n.Key, n.Result) }
}

// Take is gate.Heard's, with nothing where there is no trace.
func (h *Heard) Take(to []envelope.Recipient) (obs.Judged, bool) {
	if !h.On {
		return obs.Judged{}, false
	}
	return h.heard.Take(to)
}
