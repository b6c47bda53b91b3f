package node

import (
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/rate"
	"github.com/postrider/postrider/internal/obs"
)

// strikes bans clients for what their sessions were, again and again, unless an account of ours is at home there.
type strikes struct{ *Node }

var _ obs.Events = strikes{}

// tooManyErrors is how the engines say so.
const tooManyErrors = "too many errors"

// strike is what an event is to its client: a count, how many of it end in a ban, and why.
func strike(e obs.Event, c *config.Bans) (p obs.Peer, setting string, most int, reason string) {
	switch e := e.(type) {
	case obs.Disconnect:
		if strings.HasPrefix(e.Reason, tooManyErrors) {
			return e.Peer, "bans.max_error_sessions", c.MaxErrorSessions, "too many sessions with errors"
		}
	case obs.Screened:
		switch e.What {
		case obs.ScreenPregreet:
			return e.Peer, "bans.max_pregreet_sessions", c.MaxPregreetSessions, "too many sessions that began before the greeting"
		case obs.ScreenDNSBL:
			return e.Peer, "bans.max_dnsbl_sessions", c.MaxDNSBLSessions, "too many sessions of a client on DNS lists"
		}
	}
	return p, "", 0, ""
}

// Emit implements obs.Events.
func (s strikes) Emit(e obs.Event) {
	c := &s.config.Load().Bans
	p, setting, most, reason := strike(e, c)
	from := p.Addr.Addr()
	if !c.Enabled || most == 0 || !from.IsValid() || s.spared(from) != "" {
		return
	}
	key, limit := rate.Key{Measure: setting, Site: site(from)}, rate.Limit{Most: int64(most), Per: c.Window.D()}
	if s.rates.clients.Add(key, 1, limit, s.opt.Now()) >= limit.Most && !s.guard.Home(key.Site, s.opt.Now()) {
		s.ban(key.Site, reason, c.Time.D())
	}
}
