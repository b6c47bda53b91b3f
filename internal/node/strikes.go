package node

import (
	"strings"

	"github.com/postrider/postrider/internal/decide/rate"
	"github.com/postrider/postrider/internal/obs"
)

// strikes bans clients whose sessions were ended for too many errors, again and again, unless an account of ours is
// at home there.
type strikes struct{ *Node }

var _ obs.Events = strikes{}

// tooManyErrors is how the engines say so.
const tooManyErrors = "too many errors"

// Emit implements obs.Events.
func (s strikes) Emit(e obs.Event) {
	d, ok := e.(obs.Disconnect)
	if !ok || !strings.HasPrefix(d.Reason, tooManyErrors) {
		return
	}
	c, from := &s.config.Load().Bans, d.Addr.Addr()
	if !c.Enabled || c.MaxErrorSessions == 0 || !from.IsValid() || s.spared(from) != "" {
		return
	}
	key, limit := rate.Key{Measure: "bans.max_error_sessions", Site: site(from)}, rate.Limit{Most: int64(c.MaxErrorSessions), Per: c.Window.D()}
	if s.rates.clients.Add(key, 1, limit, s.opt.Now()) >= limit.Most && !s.guard.Home(key.Site, s.opt.Now()) {
		s.ban(key.Site, "too many sessions with errors", c.Time.D())
	}
}
