package msa

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

// ErrSender refuses a sender that is not the account's.
var ErrSender = status.Perm(553, 7, 1, "Sender address rejected: it does not belong to the account you logged in with")

// Hello has nothing to judge.
func (s *session) Hello(context.Context) error { return nil }

// Mail opens a transaction for a sender that is the account's.
func (s *session) Mail(ctx context.Context, e *envelope.Envelope) error {
	if err := s.agent.Admission.Admit(ctx); err != nil {
		return s.rejected("MAIL", e, "", obs.ReasonLocal, err)
	}
	// The null reverse-path is for notifications that users' programs send, such as MDNs (RFC 8098 §3).
	if s.ownership() && !e.From.IsZero() {
		owns, err := s.agent.Senders.OwnsAddress(ctx, s.peer.Identity.Account, e.From)
		if err != nil {
			return s.rejected("MAIL", e, "", obs.ReasonLocal, err)
		}
		if !owns {
			return s.rejected("MAIL", e, "", obs.ReasonSender, ErrSender)
		}
	}
	s.tx = &flow.Transaction{ID: s.agent.IDs.Next(), Started: s.agent.Now(), Client: s.client(e.UTF8)}
	s.plan = route.Plan{}
	return nil
}

// ownership tells whether senders are to be checked: a trusted client that did not log in has no account.
func (s *session) ownership() bool { return s.agent.Settings.Ownership && !s.peer.Identity.IsZero() }

func (s *session) client(utf8 bool) flow.Client {
	return flow.Client{Addr: addrPort(s.peer.Remote), Helo: s.peer.Hello, Protocol: s.peer.Protocol(utf8), TLS: s.peer.TLSText(),
		Account: s.peer.Identity.Account, Login: s.peer.Identity.Name}
}

// Rcpt decides where the recipient's copy goes.
func (s *session) Rcpt(ctx context.Context, e *envelope.Envelope, r *envelope.Recipient) error {
	targets, err := s.agent.Settings.Router.Recipient(ctx, *r, true)
	if err == nil && len(targets) == 1 && targets[0].Transport == flow.Mailbox {
		if err := s.agent.Quota.Room(ctx, targets[0].Account, e.Size); err != nil {
			return s.rejected("RCPT", e, r.To.String(), obs.ReasonQuota, err)
		}
	}
	if err == nil {
		err = s.plan.Add(targets)
	}
	if err == nil {
		return nil
	}
	reason := obs.ReasonRecipient
	if status.IsTemporary(err) {
		reason = obs.ReasonLocal
	}
	return s.rejected("RCPT", e, r.To.String(), reason, err)
}

// Reset forgets the transaction.
func (s *session) Reset(context.Context) { s.tx = nil }

// Close tells the log how the session went.
func (s *session) Close(st smtp.Stats) {
	s.agent.Events.Emit(obs.Disconnect{Peer: s.obs(), Duration: st.Duration, Commands: st.Commands, Reason: st.Trouble()})
}

// rejected logs a refusal and returns it.
func (s *session) rejected(command string, e *envelope.Envelope, to string, reason obs.Reason, err error) error {
	r := obs.Rejected{Peer: s.obs(), Command: command, Helo: s.peer.Hello, Protocol: s.peer.Protocol(false),
		Account: s.peer.Identity.Name, To: to, Reason: reason, Error: status.Of(err)}
	if !e.From.IsZero() {
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
