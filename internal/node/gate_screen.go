package node

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/screen"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// trial is a connection whose tests are not over.
type trial struct {
	client *screen.Client
	rule   string        // of the access list, that decided
	denied bool          // by it
	scored chan struct{} // closed when the lists have answered; nil: they are not asked
	cancel context.CancelFunc
	end    sync.Once
}

// screenConnections has the engine of a service make strangers wait, and tell what they do.
func (n *Node) screenConnections(c *config.Config, service string, e *smtp.Config) {
	if service == "smtp" && c.Screen.Enabled {
		e.GreetPause = n.strangers.pause
		e.Observer = screenObserver{n.strangers}
	}
}

// pause begins the tests of a connection.
func (s *strangers) pause(p *smtp.Peer, release func()) (time.Duration, func([]byte, error)) {
	addr := netip.AddrPortFrom(p.Remote.Addr().Unmap().WithZone(""), p.Remote.Port())
	peer := obs.Peer{Service: "smtp", Session: obs.SessionID("smtp", p.ID), Addr: addr, Local: p.Local.Addr().Unmap()}
	v := s.trial(context.Background(), peer, false)
	if v == nil {
		return 0, nil
	}
	s.live.Store(peer.Session, v)
	if v.client.AsksLists() {
		var ctx context.Context
		ctx, v.cancel = context.WithCancel(context.Background()) // the engine has no context for a pause
		v.scored = make(chan struct{})
		go func() { // ends with the lists' time, or with the connection
			defer close(v.scored)
			if s.ask(ctx, v, addr.Addr()) {
				release()
			}
		}()
	}
	return v.client.Pause(), func(early []byte, err error) { v.client.Heard(s.node.opt.Now(), early, err != nil) }
}

// trial begins a connection's tests; nil: there are none.
func (s *strangers) trial(ctx context.Context, peer obs.Peer, dry bool) *trial {
	p := s.policy.Load()
	if p == nil || p.exempt(peer.Addr.Addr()) {
		return nil
	}
	permission, rule := p.permission(ctx, s.node, peer.Addr.Addr())
	v := &trial{rule: rule, denied: permission == screen.Denied, client: s.screen.Begin(s.node.opt.Now(), peer, permission, dry)}
	if !v.client.Tested() && !dry {
		return nil
	}
	return v
}

func (s *strangers) ask(ctx context.Context, v *trial, a netip.Addr) (enough bool) {
	p := s.policy.Load()
	answers := p.asker.Client(ctx, a, p.sites)
	for _, one := range answers {
		if one.Err != nil && ctx.Err() == nil && s.complain(one.List.Domain) {
			s.node.log.Warn("a DNS list is of no use", "list", one.List.Domain, obs.KeyClient, a.String(), obs.KeyError, one.Err)
		}
	}
	return v.client.Scored(answers)
}

// complain tells whether it is time to warn of a list again: one that is down would fill the log.
func (s *strangers) complain(list string) bool {
	now := s.node.opt.Now()
	last, seen := s.warned.Load(list)
	if at, _ := last.(time.Time); seen && now.Sub(at) < warnEvery {
		return false
	}
	s.warned.Store(list, now)
	return true
}

// close ends a trial, however the connection ended.
func (s *strangers) close(key any) {
	if v, ok := s.live.LoadAndDelete(key); ok {
		v, _ := v.(*trial)
		v.finish(s.node.opt.Now())
	}
}

func (v *trial) finish(now time.Time) {
	v.end.Do(func() {
		if v.cancel != nil {
			v.cancel()
		}
		v.client.Close(now)
	})
}

// trialOf is the key of a connection's trial: its session, or itself if it is only thought of.
func trialOf(c *gate.Conn) any {
	if c.Dry {
		return c
	}
	return c.Session
}

// of returns a trial by its key; nil: nothing is tested.
func (s *strangers) of(key any) *trial {
	v, ok := s.live.Load(key)
	if !ok {
		return nil
	}
	one, _ := v.(*trial)
	return one
}

// screenObserver hears of what a client must not do after the greeting, and of its end.
type screenObserver struct{ *strangers }

// Event notes violations.
func (s screenObserver) Event(e smtp.Event, p *smtp.Peer) {
	test, text := screen.Newlines, ""
	switch e {
	case smtp.EventBareLine:
	case smtp.EventHTTP:
		test, text = screen.Commands, "HTTP"
	case smtp.EventClose:
		s.close(obs.SessionID("smtp", p.ID))
		return
	default:
		return
	}
	if v := s.of(obs.SessionID("smtp", p.ID)); v != nil {
		v.client.Violated(s.node.opt.Now(), test, lastCommand(p), text)
	}
}

func lastCommand(p *smtp.Peer) string {
	switch {
	case p.Hello == "":
		return "CONNECT"
	case p.Extended:
		return "EHLO"
	}
	return "HELO"
}

// screenGates are those of a service: only mail from the internet is tested.
func (n *Node) screenGates(c *config.Config, service string) gate.Chain {
	if service != "smtp" || !c.Screen.Enabled {
		return nil
	}
	return gate.Chain{screenGate{n.strangers}}
}

// screenGate says what the tests have found.
type screenGate struct{ *strangers }

// Connect judges a client by the tests before the greeting.
func (g screenGate) Connect(ctx context.Context, c *gate.Conn) (gate.Session, error) {
	v := g.of(trialOf(c))
	if c.Dry {
		v = g.rehearse(ctx, c)
	}
	if v == nil {
		return gate.Open{}, nil
	}
	if v.scored != nil {
		select {
		case <-v.scored:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	g.explain(c, v)
	if err := v.client.Admit(g.node.opt.Now()); err != nil {
		c.Tell(gate.AtConnect, "screen", "reject "+err.Error())
		return nil, &gate.Refusal{Reason: obs.ReasonPolicy, Err: err}
	}
	if c.Dry {
		g.live.Store(trialOf(c), v)
	}
	return &screenSession{strangers: g.strangers, trial: v, conn: c}, nil
}

// rehearse is the tests of a session that is only thought of: nobody waits, and nothing is remembered.
func (g screenGate) rehearse(ctx context.Context, c *gate.Conn) *trial {
	v := g.trial(ctx, obs.Peer{Service: c.Service, Session: c.Session, Addr: c.Client.Addr}, true)
	if v != nil && v.client.AsksLists() {
		g.ask(ctx, v, c.Client.Addr.Addr())
	}
	return v
}

func (g screenGate) explain(c *gate.Conn, v *trial) {
	if c.Note == nil {
		return
	}
	if v.rule != "" {
		c.Tell(gate.AtConnect, "postscreen_access_list "+v.rule, map[bool]string{true: "reject", false: "permit"}[v.denied])
	}
	if wait := v.client.Pause(); wait > 0 {
		c.Tell(gate.AtConnect, "postscreen_greet_wait", wait.String())
	}
	if score, known := v.client.Score(); known {
		c.Tell(gate.AtConnect, "postscreen_dnsbl_sites", fmt.Sprint("score ", score))
	}
}

// screenSession judges what a client does after the greeting.
type screenSession struct {
	gate.Open
	*strangers
	trial *trial
	conn  *gate.Conn
}

// Hello looks for commands that came too early.
func (s *screenSession) Hello(context.Context) error { return s.look("EHLO") }

// Mail looks for commands that came too early.
func (s *screenSession) Mail(context.Context, *gate.Transaction) error { return s.look("MAIL") }

// Data looks for commands that came too early.
func (s *screenSession) Data(context.Context, *gate.Transaction) error { return s.look("DATA") }

func (s *screenSession) look(after string) error {
	if s.conn.Ahead != nil && s.conn.Ahead() {
		s.trial.client.Violated(s.node.opt.Now(), screen.Pipelining, after, "")
	}
	return refused(s.trial.client.Check())
}

// Rcpt refuses those who failed a test.
func (s *screenSession) Rcpt(context.Context, *gate.Transaction, *envelope.Recipient) error {
	err := s.trial.client.Rcpt(s.node.opt.Now())
	if err != nil {
		s.conn.Tell(gate.AtRcpt, "screen", "reject "+err.Error())
	}
	return refused(err)
}

func refused(err error) error {
	if err == nil {
		return nil
	}
	return &gate.Refusal{Reason: obs.ReasonPolicy, Err: err}
}

// Close ends a session that was only thought of; others end with their connection.
func (s *screenSession) Close() {
	if s.conn.Dry {
		s.close(trialOf(s.conn))
	}
}
