package node

import (
	"crypto/tls"

	"github.com/postrider/postrider/internal/agent/popd"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/pop3"
)

// newPOP3 makes the engine over the mailstore. Its agent holds the locks of maildrops, so there is one for the node's life.
func (n *Node) newPOP3(c *config.Config, tlsConfig *tls.Config) *pop3.Server {
	agent := &popd.Agent{Store: n.store, Log: n.log.Logger}
	return pop3.New(agent, n.log.Logger.With(obs.KeyComponent, "pop3"), n.pop3Config(c, tlsConfig))
}

func (n *Node) pop3Config(c *config.Config, tlsConfig *tls.Config) pop3.Config {
	return pop3.Config{
		Hostname: c.Hostname, TLS: tlsConfig, SASL: n.saslServer(""), Observer: fetchers{n}, Shared: n.shared,
		MaxConns: c.POP3.MaxConnections, MaxConnsPerIP: c.POP3.MaxConnectionsPerAddress, MaxErrors: c.POP3.MaxErrors,
		LoginTimeout: c.POP3.LoginTimeout.D(), IdleTimeout: c.POP3.IdleTimeout.D(), LoginDelay: c.POP3.LoginDelay.D(),
	}
}

// fetchers puts the sessions of POP3 into the registry and into the log.
type fetchers struct{ *Node }

var _ pop3.Observer = fetchers{}

// Connected implements pop3.Observer.
func (f fetchers) Connected(p pop3.Peer, kick func(string)) {
	f.begin(fetcherPeer(p), kick, func() activity {
		a := p.Activity()
		return activity{command: a.Command, commands: a.Commands, in: a.In, out: a.Out, tls: a.TLS}
	})
	f.events.Emit(obs.Connect{Peer: fetcherPeer(p)})
}

// LoggedIn implements pop3.Observer.
func (f fetchers) LoggedIn(p pop3.Peer) error {
	if err := f.letIn(fetcherPeer(p), p.Identity); err != nil {
		return pop3.Coded("IN-USE", err) // RFC 2449 §8.1.2: the nearest that there is
	}
	return nil
}

// Ended implements pop3.Observer.
func (f fetchers) Ended(p pop3.Peer, s pop3.Stats) {
	f.registry.ended(fetcherPeer(p).Session)
	if !p.Identity.IsZero() {
		f.events.Emit(obs.Logout{Peer: fetcherPeer(p), Account: p.Identity.Name, Duration: s.Duration, In: s.In, Out: s.Out, Reason: string(s.Reason),
			Maildrop: &obs.Maildrop{Messages: s.Messages, Bytes: s.Bytes, Tops: s.Tops, TopBytes: s.TopBytes,
				Retrieved: s.Retrieved, RetrievedBytes: s.RetrievedBytes, Removed: s.Removed}})
		return
	}
	reason := ""
	if s.Reason != pop3.EndLogout {
		reason = string(s.Reason)
	}
	f.events.Emit(obs.Disconnect{Peer: fetcherPeer(p), Duration: s.Duration, Commands: s.Commands, Reason: reason})
}

func fetcherPeer(p pop3.Peer) obs.Peer {
	return obs.Peer{Service: p.Service, Session: obs.SessionID(p.Service, p.ID), Addr: plain(p.Remote), Local: p.Local.Addr().Unmap(), TLS: p.TLS}
}
