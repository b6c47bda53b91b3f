package node

import (
	"context"
	"errors"
	"net/netip"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// saslServer answers the logins of a service. Failed ones it puts into the log; the others stand there once their session
// was let in, see letIn. service "" is the one that the engine names.
func (n *Node) saslServer(service string) *sasl.Server {
	a := &authenticator{n.directory, &n.config, service, n}
	return sasl.NewServer(a, sasl.Options{External: n.external, Report: func(ctx context.Context, r sasl.Result) {
		n.scramEnded(ctx, a, r)
		n.authenticated(service, sasl.OriginOf(ctx), r)
	}})
}

// authenticated hears the end of an exchange. What was our own failure is no failed login: tools that count those lock
// clients out.
func (n *Node) authenticated(service string, o sasl.Origin, r sasl.Result) {
	if service == "" {
		service = o.Service
	}
	p := obs.Peer{Service: service, Session: obs.SessionID(service, o.Session), Addr: plain(o.Remote), Local: o.Local.Addr().Unmap(), TLS: o.TLS}
	switch {
	case r.Err == nil:
		n.registry.proven(p.Session, r.Mechanism)
	case r.Err == errLockedOut: // mayTry has told
	case status.IsTemporary(r.Err):
		if times := n.registry.unchecked.happened(n.opt.Now()); times > 0 {
			n.log.Warn("a login could not be checked", obs.KeyService, service, obs.KeySession, p.Session, obs.KeyClient, p.Addr.Addr().String(),
				obs.KeyAccount, r.Name, obs.KeyError, r.Err, "times", times)
		}
	default:
		n.events.Emit(obs.AuthFailed{Peer: p, Mech: r.Mechanism, Account: r.Name, Attempts: o.Failures + 1, Error: r.Err})
	}
}

// begin puts a session into the registry.
func (n *Node) begin(p obs.Peer, kick func(string), act func() activity) {
	n.registry.connected(&session{id: p.Session, service: p.Service, client: p.Addr, since: n.opt.Now(), kick: kick, activity: act})
}

// letIn decides on a session whose client has proven who it is: is there room for one more of this account? An error is
// for the client.
func (n *Node) letIn(p obs.Peer, who sasl.Identity) *status.Error {
	c, now := n.config.Load(), n.opt.Now()
	l := limits{perAccountAndAddress: c.Auth.MaxConnectionsPerAccountAndAddress}
	if n.exempt(p.Addr.Addr()) {
		l.perAccountAndAddress = 0
	}
	if family(p.Service) == "imap" {
		l.perAccount = c.IMAP.MaxConnectionsPerAccount
	}
	mech, err := n.registry.loggedIn(p.Session, who, l, now)
	var full *tooMany
	if errors.As(err, &full) {
		if full.tell {
			n.log.Warn("a login was refused: too many connections of the account", obs.KeyService, p.Service, obs.KeySession, p.Session,
				obs.KeyClient, p.Addr.Addr().String(), obs.KeyAccount, who.Name, "setting", full.setting(), "limit", full.most, "refused", full.refused)
		}
		return full.err
	}
	n.events.Emit(obs.Login{Peer: p, Mech: mech, Account: who.Name, Master: who.Master})
	if who.Master == "" {
		n.logins.note(directory.LastLogin{Account: who.Account, Service: p.Service, At: now, Client: p.Addr.Addr().String()})
	}
	return nil
}

// readers puts the sessions of mail readers into the registry and into the log.
type readers struct{ *Node }

var _ imap.Observer = readers{}

// Connected implements imap.Observer.
func (r readers) Connected(p imap.Peer, kick func(string)) {
	r.begin(readerPeer(p), kick, func() activity {
		a := p.Activity()
		return activity{command: a.Command, commands: a.Commands, in: a.In, out: a.Out, tls: a.TLS}
	})
	r.events.Emit(obs.Connect{Peer: readerPeer(p)})
}

// LoggedIn implements imap.Observer.
func (r readers) LoggedIn(p imap.Peer) error {
	if err := r.letIn(readerPeer(p), p.Identity); err != nil {
		return imap.Coded("LIMIT", err) // RFC 5530 §3
	}
	return nil
}

// Ended implements imap.Observer.
func (r readers) Ended(p imap.Peer, s imap.Stats) {
	r.registry.ended(readerPeer(p).Session)
	if !p.Identity.IsZero() {
		r.events.Emit(obs.Logout{Peer: readerPeer(p), Account: p.Identity.Name, Duration: s.Duration, In: s.In, Out: s.Out, Reason: string(s.Reason)})
		return
	}
	reason := ""
	if s.Reason != imap.EndLogout {
		reason = string(s.Reason)
	}
	r.events.Emit(obs.Disconnect{Peer: readerPeer(p), Duration: s.Duration, Commands: s.Commands, Reason: reason})
}

func readerPeer(p imap.Peer) obs.Peer {
	return obs.Peer{Service: p.Service, Session: obs.SessionID(p.Service, p.ID), Addr: plain(p.Remote), Local: p.Local.Addr().Unmap(), TLS: p.TLS}
}

// senders puts the SMTP sessions of a service into the registry. What they do the agents put into the log.
type senders struct {
	*Node
	service string
}

var _ smtp.Register = senders{}

// Connected implements smtp.Register.
func (s senders) Connected(p *smtp.Peer, kick func(string)) {
	act := p.Activity
	s.begin(s.peer(p), kick, func() activity {
		a := act()
		return activity{command: a.Command, commands: a.Commands, in: a.Octets, tls: a.TLS}
	})
}

// LoggedIn implements smtp.Register.
func (s senders) LoggedIn(p *smtp.Peer) error {
	if err := s.letIn(s.peer(p), p.Identity); err != nil {
		return err
	}
	return nil
}

// Ended implements smtp.Register.
func (s senders) Ended(p *smtp.Peer) { s.registry.ended(obs.SessionID(s.service, p.ID)) }

func (s senders) peer(p *smtp.Peer) obs.Peer {
	return obs.Peer{Service: s.service, Session: obs.SessionID(s.service, p.ID), Addr: plain(p.Remote), Local: p.Local.Addr().Unmap(), TLS: p.TLSText()}
}

// plain strips the zone and the v4-in-v6 form.
func plain(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
