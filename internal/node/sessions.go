package node

import (
	"context"
	"net/netip"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// saslServer answers the logins of a service and puts each into the log. service "" is the one that the engine names.
func (n *Node) saslServer(service string) *sasl.Server {
	return sasl.NewServer(&authenticator{n.directory, service}, sasl.Options{Report: func(ctx context.Context, r sasl.Result) {
		n.loggedIn(service, sasl.OriginOf(ctx), r)
	}})
}

// loggedIn puts the end of an exchange into the log. What was our own failure is no failed login: tools that count those
// lock clients out.
func (n *Node) loggedIn(service string, o sasl.Origin, r sasl.Result) {
	if service == "" {
		service = o.Service
	}
	p := obs.Peer{Service: service, Session: obs.SessionID(service, o.Session), Addr: plain(o.Remote), Local: o.Local.Addr().Unmap(), TLS: o.TLS}
	switch {
	case r.Err == nil:
		n.events.Emit(obs.Login{Peer: p, Mech: r.Mechanism, Account: r.Identity.Name})
	case status.IsTemporary(r.Err):
		n.log.Warn("a login could not be checked", obs.KeyService, service, obs.KeySession, p.Session, obs.KeyClient, p.Addr.Addr().String(),
			obs.KeyAccount, r.Name, obs.KeyError, r.Err)
	default:
		n.events.Emit(obs.AuthFailed{Peer: p, Mech: r.Mechanism, Account: r.Name, Attempts: o.Failures + 1, Error: r.Err})
	}
}

// readers puts the sessions of mail readers into the log.
type readers struct{ events obs.Events }

var _ imap.Observer = readers{}

// Connected implements imap.Observer.
func (r readers) Connected(p imap.Peer, _ func(string)) { r.events.Emit(obs.Connect{Peer: readerPeer(p)}) }

// LoggedIn implements imap.Observer.
func (r readers) LoggedIn(imap.Peer) error { return nil }

// Ended implements imap.Observer.
func (r readers) Ended(p imap.Peer, s imap.Stats) {
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

// plain strips the zone and the v4-in-v6 form.
func plain(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
