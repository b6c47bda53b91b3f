// Package mx is the MTA's receiving side (RFC 5598 §4.3.2): it takes mail from the internet on port 25, and by LMTP from
// a relay of our own, for recipients of our domains only.
//
// Recipients are known at RCPT: an unknown one is refused there, as is a full mailbox (452 4.2.2), and whatever is not
// ours (no relay). postmaster@ and abuse@ of our domains are always accepted (RFC 5321 §4.5.1, RFC 2142). The Plan is
// complete before the reply to the end of data; that reply is 250 only when the message is durable.
//
// Files: mx.go (the backend of the engine) · session.go (a connection) · data.go (a message).
package mx

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/decide/accept"
	"github.com/postrider/postrider/internal/decide/filter"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// Admission bounds what may wait for delivery.
type Admission interface {
	// Admit returns nil when one more message may be taken; it may wait a while.
	Admit(ctx context.Context) error
}

// Settings are what a reload may change.
type Settings struct {
	Hostname    string
	Service     string // the listener's name, for the log: "smtp" or "lmtp"
	MaxReceived int    // Received fields that make a loop (RFC 5321 §6.3)
	Router      *route.Router
	SoftBounce  bool // refuse for now only (access.soft_bounce)
	Filtered    bool // what comes has been accepted before, and passed through a filter
}

// Agent implements smtp.Backend.
type Agent struct {
	Settings  Settings
	Intake    *intake.Intake
	Admission Admission
	Quota     route.Quota
	Gate      gate.Gate
	Filter    filter.Filter
	Proxy     accept.Proxy // a filter before the queue; nil: none
	Script    sieve.Script
	IDs       *queueid.Source
	Now       func() time.Time
	Events    obs.Events
	Log       *slog.Logger
	// Explain, when set, makes sessions that are only thought of: nothing is remembered, and it hears of every rule.
	Explain func(gate.Note)
	Traced  bool // what rules find is told to Events (obs.Judged)
}

// Connect begins a session.
func (a *Agent) Connect(ctx context.Context, p *smtp.Peer) (smtp.Session, error) {
	s := &session{agent: a, peer: p}
	s.conn = &gate.Conn{Service: a.Settings.Service, Session: s.obs().Session, Local: p.Local, Early: p.Early, Ahead: p.Ahead}
	s.conn.Dry, s.conn.Note = a.Explain != nil, a.Explain
	s.heard.On = a.Traced
	s.heard.Listen(s.conn)
	s.known(false)
	a.Events.Emit(obs.Connect{Peer: s.obs()})
	var err error
	if s.gate, err = a.Gate.Connect(ctx, s.conn); err != nil {
		return nil, s.rejected("CONNECT", nil, "", gate.ReasonOf(err, obs.ReasonPolicy), err)
	}
	return s, nil
}

// addrPort strips the zone and the v4-in-v6 form, so that one client has one address in logs and limits.
func addrPort(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
