package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/greylist"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

func greylistSettings(c *config.Config) greylist.Settings {
	g := &c.Greylist
	return greylist.Settings{Delay: g.Delay.D(), RetryWindow: g.RetryWindow.D(), Lifetime: g.Lifetime.D(), AutoAllow: g.AutoAllowClients, Max: g.Entries}
}

// greyTables are those who are not greylisted.
type greyTables struct{ clients, senders, recipients table.List }

func (n *Node) newGreyTables(c *config.Config) (t greyTables, err error) {
	for _, one := range []struct {
		into *table.List
		key  string
		list []string
	}{{&t.clients, "exempt_clients", c.Greylist.ExemptClients}, {&t.senders, "exempt_senders", c.Greylist.ExemptSenders},
		{&t.recipients, "exempt_recipients", c.Greylist.ExemptRecipients}} {
		if *one.into, err = n.openList(one.list); err != nil {
			return greyTables{}, fmt.Errorf("greylist.%s: %w", one.key, err)
		}
	}
	return t, nil
}

// greylistGates are those of a service.
func (n *Node) greylistGates(c *config.Config, service string) gate.Chain {
	if service != "smtp" || !c.Greylist.Enabled {
		return nil
	}
	return gate.Chain{greylistGate{n.strangers}}
}

// greylistGate asks for patience at RCPT, behind access control: those who are refused anyway are not remembered.
type greylistGate struct{ *strangers }

// Connect begins a session.
func (g greylistGate) Connect(_ context.Context, c *gate.Conn) (gate.Session, error) {
	return &greylistSession{strangers: g.strangers, conn: c}, nil
}

type greylistSession struct {
	gate.Open
	*strangers
	conn  *gate.Conn
	score *int // what DNS lists say; nil: not known yet
}

// listScore is what DNS lists say of the client. One that has passed the tests was not asked for in this session: the resolver
// still knows, mostly.
func (s *greylistSession) listScore(ctx context.Context, p *strangerPolicy) int {
	if s.score != nil {
		return *s.score
	}
	score, known := 0, false
	if v := s.of(trialOf(s.conn)); v != nil {
		score, known = v.client.Score()
	}
	if !known && len(p.sites) > 0 {
		score = dnslist.Score(p.asker.Client(ctx, s.conn.Client.Addr.Addr(), p.sites))
	}
	s.score = &score
	return score
}

// Rcpt greylists a recipient.
func (s *greylistSession) Rcpt(ctx context.Context, tx *gate.Transaction, r *envelope.Recipient) error {
	if _, err := s.node.router().Recipient(ctx, route.Query{From: tx.Envelope.From, To: *r, MayRelay: tx.MayRelay}); err != nil {
		return nil // whom we do not take mail for is told so at once, by who routes
	}
	err := s.judge(ctx, tx, r.To)
	if err != nil {
		return &gate.Refusal{Reason: obs.ReasonPolicy, Err: err}
	}
	return nil
}

func (s *greylistSession) judge(ctx context.Context, tx *gate.Transaction, to address.Address) error {
	p := s.policy.Load()
	why, err := s.exempted(ctx, p, tx, to)
	if err != nil || why != "" {
		s.tell(why)
		return err
	}
	c, now := s.conn, s.node.opt.Now()
	v := s.grey.Check(now, greylist.Attempt{Client: c.Client.Addr.Addr(), Name: c.Client.Name, Sender: tx.Envelope.From, Recipient: to}, c.Dry)
	if v.Pass {
		s.tell(v.Why)
		return nil
	}
	seconds := int((v.Wait + time.Second - 1) / time.Second)
	if !c.Dry {
		s.node.events.Emit(obs.Screened{Peer: obs.Peer{Service: c.Service, Session: c.Session, Addr: c.Client.Addr, Name: c.Client.Name},
			What: obs.ScreenGreylisted, Count: seconds, Text: v.Why})
	}
	reply := status.Temp(450, 2, 0, fmt.Sprintf("Recipient address rejected: Greylisted for %d seconds; try again later", seconds))
	s.tell("reject " + reply.Error())
	return reply
}

func (s *greylistSession) tell(result string) { s.conn.Tell(gate.AtRcpt, "greylist", result) }

// greylistRestriction is greylisting as a restriction of access control: check_greylist.
type greylistRestriction struct{ *strangers }

// Greylist judges a recipient.
func (g greylistRestriction) Greylist(ctx context.Context, tx *gate.Transaction, to address.Address) error {
	s := &greylistSession{strangers: g.strangers, conn: tx.Conn}
	return s.judge(ctx, tx, to)
}

// exempted tells why somebody is not greylisted. A table that cannot be asked is a temporary failure, as everywhere.
func (s *greylistSession) exempted(ctx context.Context, p *strangerPolicy, tx *gate.Transaction, to address.Address) (why string, err error) {
	c, addr, cfg := s.conn, s.conn.Client.Addr.Addr(), p.config
	switch {
	case tx.Client.Account != 0 || tx.Client.Login != "":
		return "logged in", nil
	case tx.MayRelay || p.mynetworks(addr) || p.exempt(addr):
		return "one of ours", nil
	case to.IsPostmaster() || strings.EqualFold(to.Local, "postmaster") || strings.EqualFold(to.Local, "abuse"):
		return "postmaster or abuse", nil // who cannot reach us must be able to say so
	case s.screen.Knows(s.node.opt.Now(), addr):
		return "a network that we know", nil
	}
	score := s.listScore(ctx, p)
	if limit := cfg.Screen.DNSBLAllowlistThreshold; limit < 0 && score <= limit {
		return "allowed by DNS lists", nil
	}
	suspect := greylist.Suspect{Client: addr, Name: c.Client.Name, Reverse: c.Reverse, Unknown: c.NameErr != nil, Score: score}
	if points := suspect.Points(); points < cfg.Greylist.SuspicionThreshold {
		return fmt.Sprintf("%d points of suspicion, less than %d", points, cfg.Greylist.SuspicionThreshold), nil
	}
	keys := table.Client(addr)
	if c.Client.Name != "" {
		keys = append(table.Host(c.Client.Name, true, false), keys...)
	}
	const parts = table.WithoutExtension | table.Domain | table.Parents | table.UserAt
	delimiter := cfg.Delivery.RecipientDelimiter
	for _, one := range []struct {
		what   string
		tables table.List
		keys   []table.Key
	}{{"client", p.grey.clients, keys}, {"sender", p.grey.senders, table.Address(tx.Envelope.From, parts, delimiter, false)},
		{"recipient", p.grey.recipients, table.Address(to, parts, delimiter, false)}} {
		value, at, found, err := one.tables.First(ctx, one.keys)
		if err != nil {
			return "", err
		}
		if found && !strings.EqualFold(strings.TrimSpace(value), "greylist") {
			return fmt.Sprintf("greylist.exempt_%ss has %s", one.what, at.Text), nil
		}
	}
	return "", nil
}
