package msa

import (
	"context"

	"github.com/postrider/postrider/internal/decide/accept"
	"github.com/postrider/postrider/internal/decide/gate"
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
	conn  *gate.Conn
	gate  gate.Session
	tx    *gate.Transaction // nil: none open
	plan  route.Plan
	heard accept.Heard // what rules found and nobody was told yet
}

// ErrSender refuses a sender that is not the account's.
var ErrSender = status.Perm(553, 7, 1, "Sender address rejected: it does not belong to the account you logged in with")

// Hello asks the gates.
func (s *session) Hello(ctx context.Context) error {
	s.known(false)
	if err := s.gate.Hello(ctx); err != nil {
		return s.rejected("EHLO", nil, "", gate.ReasonOf(err, obs.ReasonPolicy), err)
	}
	return nil
}

// known brings what is known of the connection up to date.
func (s *session) known(utf8 bool) {
	c := &s.conn.Client
	c.Addr, c.Helo, c.Protocol, c.TLS = addrPort(s.peer.Remote), s.peer.Hello, s.peer.Protocol(utf8), s.peer.TLSText()
	c.Account, c.Login = s.peer.Identity.Account, s.peer.Identity.Name
	if told := s.peer.Told; told != nil && told.NameTold {
		s.conn.TakeName(told.Name, told.NameErr)
	}
	s.conn.TLS, s.conn.Extended, s.conn.Mechanism = s.peer.TLS, s.peer.Extended, s.peer.Mechanism
}

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
			s.conn.Tell(gate.AtMail, "submission.require_sender_ownership", "reject")
			return s.rejected("MAIL", e, "", obs.ReasonSender, ErrSender)
		}
	}
	s.tell(nil) // of the connection
	s.known(e.UTF8)
	tx := &gate.Transaction{Transaction: &flow.Transaction{ID: s.agent.IDs.Next(), Started: s.agent.Now(), Client: s.conn.Client}, Conn: s.conn, Envelope: e}
	if err := s.gate.Mail(ctx, tx); err != nil {
		return s.rejected("MAIL", e, "", gate.ReasonOf(err, obs.ReasonPolicy), err)
	}
	from, err := s.agent.Settings.Router.Sender(ctx, e.From, s.heard.Routes())
	if err != nil {
		return s.rejected("MAIL", e, "", obs.ReasonLocal, err)
	}
	s.tx, s.plan = tx, route.Plan{From: from}
	return nil
}

// ownership tells whether senders are to be checked: a trusted client that did not log in has no account.
func (s *session) ownership() bool { return s.agent.Settings.Ownership && !s.peer.Identity.IsZero() }

// Rcpt decides where the recipient's copy goes.
func (s *session) Rcpt(ctx context.Context, e *envelope.Envelope, r *envelope.Recipient) error {
	s.tx.MayRelay = true // who is in here has logged in, or is trusted
	if err := s.gate.Rcpt(ctx, s.tx, r); err != nil {
		return s.rejected("RCPT", e, r.To.String(), gate.ReasonOf(err, obs.ReasonPolicy), err)
	}
	if s.tx.Changes.Discard != "" { // whoever it is for, nobody gets it
		return nil
	}
	router, query := s.agent.Settings.Router, route.Query{From: s.plan.From, To: *r, MayRelay: s.tx.MayRelay, Note: s.heard.Routes()}
	targets, err := router.Recipient(ctx, query)
	if err == nil && len(targets) == 1 && targets[0].Transport == flow.Mailbox {
		if err := s.agent.Quota.Room(ctx, targets[0].Account, e.Size); err != nil {
			return s.rejected("RCPT", e, r.To.String(), obs.ReasonQuota, err)
		}
	}
	if err == nil {
		var copies []flow.Recipient
		if copies, err = router.Copies(ctx, query); err == nil {
			err = s.plan.Copy(copies)
		}
		if err == nil {
			err = s.plan.Add(targets)
		}
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

// Ready asks the gates before 354.
func (s *session) Ready(ctx context.Context, e *envelope.Envelope) error {
	if err := s.gate.Data(ctx, s.tx); err != nil {
		return s.rejected("DATA", e, "", gate.ReasonOf(err, obs.ReasonPolicy), err)
	}
	return nil
}

// Reset forgets the transaction.
func (s *session) Reset(ctx context.Context) {
	s.tell(nil)
	s.gate.Reset(ctx)
	s.tx = nil
}

// Close tells the log how the session went.
func (s *session) Close(st smtp.Stats) {
	s.gate.Close()
	s.tell(nil)
	s.agent.Events.Emit(obs.Disconnect{Peer: s.obs(), Duration: st.Duration, Commands: st.Commands, Reason: st.Trouble()})
}

// rejected logs a refusal and returns it; with soft_bounce one for good becomes one for now.
func (s *session) rejected(command string, e *envelope.Envelope, to string, reason obs.Reason, err error) error {
	if s.agent.Settings.SoftBounce {
		err = status.Soften(err)
	}
	r := obs.Rejected{Peer: s.obs(), Command: command, Helo: s.peer.Hello, Protocol: s.peer.Protocol(false),
		Account: s.peer.Identity.Name, To: to, Reason: reason, Error: status.Of(err)}
	if e != nil && !e.From.IsZero() {
		r.From = e.From.String()
	}
	if s.tx != nil {
		r.ID = s.tx.ID
	}
	s.tell(nil)
	s.agent.Events.Emit(r)
	return err
}

// tell tells the trace what rules have found since the last time; to are the recipients of a message that is taken.
func (s *session) tell(to []envelope.Recipient) {
	if j, ok := s.heard.Take(to); ok {
		if j.Peer = s.obs(); s.tx != nil {
			j.ID = s.tx.ID
		}
		s.agent.Events.Emit(j)
	}
}

func (s *session) obs() obs.Peer {
	service := s.agent.Settings.Service
	p := obs.Peer{Service: service, Session: obs.SessionID(service, s.peer.ID), Addr: addrPort(s.peer.Remote),
		Local: s.peer.Local.Addr().Unmap(), TLS: s.peer.TLSText()}
	if s.conn != nil {
		p.Name = s.conn.Client.Name
	}
	return p
}
