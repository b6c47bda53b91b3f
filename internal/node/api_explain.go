package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/agent/msa"
	"github.com/postrider/postrider/internal/agent/mx"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// maxExplained bounds the recipients of one question.
const maxExplained = 100

// Explain plays a transaction through the agents that would take it, with gates that remember nothing, up to DATA.
func (a *api) Explain(ctx context.Context, q admin.ExplainQuery) (admin.Explanation, error) {
	x, err := a.newExplaining(ctx, q)
	if err != nil {
		return admin.Explanation{}, err
	}
	if s := x.connect(ctx); s != nil {
		x.transaction(ctx, s, q)
		s.Reset(ctx)
		s.Close(smtp.Stats{Reason: smtp.EndQuit})
	}
	return x.out, nil
}

// explaining is a session that is only thought of.
type explaining struct {
	*api
	engine *smtp.Config
	peer   *smtp.Peer
	router *route.Router
	rules  []admin.ExplainedRule // since the last command
	out    admin.Explanation
}

func (a *api) newExplaining(ctx context.Context, q admin.ExplainQuery) (*explaining, error) {
	x := &explaining{api: a, out: admin.Explanation{Service: q.Service, Stages: []admin.ExplainedStage{}, Recipients: []admin.ExplainedRecipient{}}}
	client, err := netip.ParseAddr(q.Client)
	switch {
	case err != nil || client.Zone() != "":
		return nil, admin.Errorf(admin.Invalid, "the client %q is no address such as 192.0.2.7 or 2001:db8::1", q.Client)
	case len(q.To) == 0 || len(q.To) > maxExplained:
		return nil, admin.Errorf(admin.Invalid, "%d recipients: name one, and %d at most", len(q.To), maxExplained)
	}
	if x.out.Service == "" {
		x.out.Service = "smtp"
		if q.Auth != "" {
			x.out.Service = "submission"
		}
	}
	if err := x.agents(); err != nil {
		return nil, err
	}
	x.peer = &smtp.Peer{Remote: netip.AddrPortFrom(client.Unmap(), 0), Connected: a.opt.Now(), Extended: true, LMTP: x.engine.LMTP}
	x.peer.Direct = x.peer.Remote
	if q.Name != nil {
		x.peer.Told = &smtp.Original{NameTold: true, Name: *q.Name}
	}
	if q.TLS {
		x.peer.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, HandshakeComplete: true}
	}
	if q.Auth != "" {
		if x.engine.Auth == nil {
			return nil, admin.Errorf(admin.Invalid, "service %s has no AUTH", x.out.Service)
		}
		if x.peer.Identity, err = a.loginTold(ctx, q.Auth); err != nil {
			return nil, admin.Errorf(admin.NotFound, "there is no account %s that may log in", q.Auth)
		}
		x.peer.Mechanism = "PLAIN"
	}
	return x, nil
}

// agents makes the agent of the service as it is configured, which tells of its rules and writes no log.
func (x *explaining) agents() error {
	c := x.config.Load()
	if x.services == nil { // no server runs
		out, err := x.prepare(c)
		if err != nil {
			return err
		}
		x.apply(out)
	}
	switch service := x.out.Service; service {
	case "smtp", "lmtp":
		x.engine = x.mxConfig(c, service, nil)
		agent := *x.engine.Backend.(*mx.Agent)
		agent.Explain, agent.Events, agent.Traced, x.router = x.note, obs.Discard{}, false, agent.Settings.Router
		x.engine.Backend = &agent
	case "submission", "submissions":
		x.engine = x.msaConfig(c, service, nil)
		agent := *x.engine.Backend.(*msa.Agent)
		agent.Explain, agent.Events, agent.Traced, x.router = x.note, obs.Discard{}, false, agent.Settings.Router
		x.engine.Backend = &agent
	default:
		return admin.Errorf(admin.Invalid, "service %q is none of smtp, submission, submissions, lmtp", service)
	}
	return nil
}

func (x *explaining) note(n gate.Note) {
	x.rules = append(x.rules, admin.ExplainedRule{Rule: n.Rule, Result: n.Result})
}

// stage ends a command with its reply; ok is that of success.
func (x *explaining) stage(command string, err error, ok string) bool {
	s := admin.ExplainedStage{Command: command, Rules: x.rules, Reply: ok, Refused: err != nil}
	if s.Rules == nil {
		s.Rules = []admin.ExplainedRule{}
	}
	if err != nil {
		e := status.Of(err)
		s.Reply = fmt.Sprintf("%d %s %s", e.Code, e.Enhanced, e.Public)
	}
	x.rules = nil
	x.out.Stages = append(x.out.Stages, s)
	return err == nil
}

// connect judges the client; nil: it is turned away.
func (x *explaining) connect(ctx context.Context) smtp.Session {
	client := x.peer.Remote.Addr()
	command := "CONNECT " + client.String()
	if ban, err := x.CheckBan(ctx, client.String()); err == nil && ban.Ban != nil {
		x.note(gate.Note{Rule: "ban " + ban.Ban.Network, Result: ban.Ban.Reason})
		if ban.Banned {
			x.stage(command, status.Perm(554, 7, 1, "banned: "+ban.Ban.Reason), "")
			return nil
		}
	}
	s, err := x.engine.Backend.Connect(ctx, x.peer)
	if !x.stage(command, err, "220 "+x.engine.Hostname+" "+x.engine.Banner) {
		return nil
	}
	return s
}

// transaction plays the commands.
func (x *explaining) transaction(ctx context.Context, s smtp.Session, q admin.ExplainQuery) {
	x.peer.Hello = q.Helo
	if x.peer.Hello == "" {
		x.peer.Hello = helloOf(x.peer)
	}
	if !x.stage("EHLO "+x.peer.Hello, s.Hello(ctx), "250 "+x.engine.Hostname) {
		return
	}
	from, err := path(q.From, true)
	e := &envelope.Envelope{From: from, Size: q.Size, UTF8: from.NeedsUTF8()}
	if err == nil && q.Size > x.engine.Limits.MessageSize && x.engine.Limits.MessageSize > 0 {
		err = smtp.ErrTooBig
	}
	if err == nil && x.engine.RequireAuth != nil && x.peer.Identity.IsZero() {
		err = x.engine.RequireAuth(x.peer)
	}
	if err == nil {
		err = s.Mail(ctx, e)
	}
	if !x.stage("MAIL FROM:<"+strings.Trim(q.From, "<>")+">", err, "250 2.1.0 Ok") {
		return
	}
	for _, text := range q.To {
		to, err := path(text, false)
		r := envelope.Recipient{To: to}
		if err == nil {
			err = s.Rcpt(ctx, e, &r)
		}
		if x.stage("RCPT TO:<"+strings.Trim(text, "<>")+">", err, "250 2.1.5 Ok") {
			e.Recipients = append(e.Recipients, r)
			x.recipient(ctx, e, r)
		}
	}
	if len(e.Recipients) > 0 {
		x.out.Accepted = x.stage("DATA", s.Ready(ctx, e), "354 End data with <CR><LF>.<CR><LF>")
	}
}

// recipient tells where the copy of a recipient goes that was taken.
func (x *explaining) recipient(ctx context.Context, e *envelope.Envelope, r envelope.Recipient) {
	out := admin.ExplainedRecipient{To: r.To.String(), Routes: []admin.ExplainedRule{}, Copies: []admin.ExplainedCopy{}}
	note := func(n route.Note) {
		rule := admin.ExplainedRule{Rule: strings.TrimSpace(n.Rule + " " + n.Key), Result: n.Result}
		out.Routes = append(out.Routes, rule)
	}
	from, err := x.router.Sender(ctx, e.From, note)
	if err == nil {
		query := route.Query{From: from, To: r, MayRelay: true, Note: note}
		copies, cerr := x.router.Recipient(ctx, query)
		if cerr == nil {
			var more []flow.Recipient
			more, cerr = x.router.Copies(ctx, query)
			copies = append(copies, more...)
		}
		for _, c := range copies {
			shown := admin.ExplainedCopy{Address: c.To.String(), Transport: c.Transport.String(), NextHop: c.NextHop}
			if c.Sender != nil {
				shown.Sender = "<" + c.Sender.String() + ">"
			}
			out.Copies = append(out.Copies, shown)
		}
		err = cerr
	}
	if err != nil { // it was taken a moment ago
		out.Routes = append(out.Routes, admin.ExplainedRule{Rule: "error", Result: err.Error()})
	}
	x.out.Recipients = append(x.out.Recipients, out)
}

// helloOf is how a well-behaved client would greet.
func helloOf(p *smtp.Peer) string {
	if p.Told != nil && p.Told.Name != "" {
		return p.Told.Name
	}
	if a := p.Remote.Addr(); a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + p.Remote.Addr().String() + "]"
}

// path reads an address as it stands in MAIL or RCPT.
func path(text string, sender bool) (address.Address, error) {
	var wrong *address.Error
	a, rest, err := address.ParsePath("<"+strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">")+">", true)
	switch {
	case errors.As(err, &wrong):
		return a, wrong.Status(sender)
	case err != nil, rest != "", a.IsZero() && !sender:
		return a, status.Perm(501, 5, 4, "Syntax error in arguments")
	}
	return a, nil
}
