// Package msa is the message submission agent (RFC 6409): it takes mail from our users on ports 587 and 465, after AUTH,
// for anybody.
//
// The sender must be the account's (its address, an alias of it, with or without an extension), in MAIL and in the From
// field. The message is completed, never rewritten: a missing Date, Message-ID or From is added in front, Bcc is left out,
// both by the recipe; the bytes that the client sent are stored as they came.
//
// Files: msa.go (the backend of the engine) · session.go (a connection) · data.go (a message) · complete.go (the header).
package msa

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
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// Senders tells whose an address is.
type Senders interface {
	// OwnsAddress tells whether the account may send as a.
	OwnsAddress(ctx context.Context, account int64, a address.Address) (bool, error)
}

// Admission bounds what may wait for delivery.
type Admission interface {
	// Admit returns nil when one more message may be taken; it may wait a while.
	Admit(ctx context.Context) error
}

// Settings are what a reload may change.
type Settings struct {
	Hostname string
	Service  string // the listener's name, for the log: "submission" or "submissions"
	// Trusted tells clients that need not authenticate (submission.trusted_networks).
	Trusted func(netip.Addr) bool
	// Ownership: the sender must be the account's (submission.require_sender_ownership).
	Ownership   bool
	MaxReceived int
	Router      *route.Router
	SoftBounce  bool // refuse for now only (access.soft_bounce)
}

// Agent implements smtp.Backend.
type Agent struct {
	Settings  Settings
	Intake    *intake.Intake
	Admission Admission
	Quota     route.Quota
	Senders   Senders
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
