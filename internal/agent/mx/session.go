package mx

import (
	"context"

	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// session is one connection.
type session struct {
	agent *Agent
	peer  *smtp.Peer
	tx    *flow.Transaction // nil: none open
	plan  route.Plan
}

// Hello has nothing to judge yet.
func (s *session) Hello(context.Context) error { return nil }

// Mail opens a transaction when there is room for it.
func (s *session) Mail(ctx context.Context, e *envelope.Envelope) error {
	if err := s.agent.Admission.Admit(ctx); err != nil {
		return s.rejected("MAIL", e, "", obs.ReasonLocal, err)
	}
	s.tx = &flow.Transaction{ID: s.agent.IDs.Next(), Started: s.agent.Now(), Client: s.client(e.UTF8)}
	s.plan = route.Plan{}
	return nil
}

func (s *session) client(utf8 bool) flow.Client {
	return flow.Client{Addr: addrPort(s.peer.Remote), Helo: s.peer.Hello, Protocol: s.peer.Protocol(utf8), TLS: s.peer.TLSText()}
}

// Rcpt decides where the recipient's copy goes, and whether there is room for it.
func (s *session) Rcpt(ctx context.Context, e *envelope.Envelope, r *envelope.Recipient) error {
	targets, err := s.agent.Settings.Router.Recipient(ctx, *r, false)
	if err == nil {
		for _, t := range targets {
			if t.Transport != flow.Mailbox {
				continue
			}
			if qerr := s.agent.Quota.Room(ctx, t.Account, e.Size); qerr != nil && len(targets) == 1 {
				return s.rejected("RCPT", e, r.To.String(), obs.ReasonQuota, qerr)
			}
		}
		err = s.plan.Add(targets)
	}
	if err != nil {
		reason := obs.ReasonRecipient
		if err == route.ErrRelay {
			reason = obs.ReasonRelay
		} else if status.IsTemporary(err) {
			reason = obs.ReasonLocal
		}
		return s.rejected("RCPT", e, r.To.String(), reason, err)
	}
	return nil
}

// Reset forgets the transaction.
func (s *session) Reset(context.Context) { s.tx = nil }

// Close tells the log how the session went.
func (s *session) Close(st smtp.Stats) {
	s.agent.Events.Emit(obs.Disconnect{Peer: s.obs(), Duration: st.Duration, Commands: st.Commands, Reason: st.Trouble()})
}

// rejected logs a refusal and returns it.
func (s *session) rejected(command string, e *envelope.Envelope, to string, reason obs.Reason, err error) error {
	r := obs.Rejected{Peer: s.obs(), Command: command, Helo: s.peer.Hello, Protocol: s.peer.Protocol(false), To: to, Reason: reason,
		Error: status.Of(err)}
	if e != nil && !e.From.IsZero() {
		r.From = e.From.String()
	}
	if s.tx != nil {
		r.ID = s.tx.ID
	}
	s.agent.Events.Emit(r)
	return err
}

func (s *session) obs() obs.Peer {
	service := s.agent.Settings.Service
	return obs.Peer{Service: service, Session: obs.SessionID(service, s.peer.ID), Addr: addrPort(s.peer.Remote),
		Local: s.peer.Local.Addr().Unmap(), TLS: s.peer.TLSText()}
}
