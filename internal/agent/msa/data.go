package msa

import (
	"context"
	"io"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/repair"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
)

// ErrLoop refuses a message that has passed too many hosts (RFC 5321 §6.3).
var ErrLoop = status.Perm(554, 4, 6, "Too many hops: the message has too many Received fields; it seems to go in a loop")

// Data takes the message. When it returns without an error the message is durable.
func (s *session) Data(ctx context.Context, e *envelope.Envelope, body io.Reader) (string, error) {
	s.tx.Transaction.Envelope = *e
	m, err := s.agent.Intake.Begin(ctx, s.tx.ID, e.Size)
	if err != nil {
		return "", s.rejected("DATA", e, "", obs.ReasonLocal, err)
	}
	defer m.Abort()
	if _, err := io.Copy(m, body); err != nil {
		if m.Err() != nil { // else it is the client's or the connection's, and the engine has reply and log
			err = s.rejected("DATA", e, "", obs.ReasonLocal, err)
		}
		return "", err
	}
	m.Close()
	job, reason, err := s.judge(ctx, m)
	if err != nil {
		return "", s.rejected("DATA", e, "", reason, err)
	}
	if err := m.Accept(ctx, job); err != nil {
		return "", s.rejected("DATA", e, "", obs.ReasonLocal, err)
	}
	s.agent.Events.Emit(obs.Accepted{Peer: s.obs(), ID: job.ID, Helo: s.peer.Hello, Protocol: s.tx.Client.Protocol,
		Account: s.peer.Identity.Name, Mech: s.peer.Mechanism, From: job.From, MessageID: m.Index.Envelope.ID(), Size: job.Size(),
		Nrcpt: len(job.Recipients)})
	s.gate.Reset(ctx)
	s.tx = nil
	return "Ok: queued as " + job.ID.String(), nil
}

// judge completes message and plan, and makes the job. Order: repair, then filters; nothing changes the message later.
func (s *session) judge(ctx context.Context, m *intake.Message) (*flow.Job, obs.Reason, error) {
	a, tx := s.agent, s.tx
	if err := m.HeaderComplete(); err != nil {
		return nil, obs.ReasonSize, err
	}
	if received.Hops(m.Header) > a.Settings.MaxReceived {
		return nil, obs.ReasonLoop, ErrLoop
	}
	if s.ownership() && !bodyOnly(m.Header) {
		if err := s.ownsFrom(ctx, m.Header); err != nil {
			return nil, obs.ReasonSender, err
		}
	}
	if err := s.gate.Message(ctx, tx, &gate.Message{Header: m.Header, Size: m.Size()}); err != nil {
		return nil, obs.ReasonContent, err
	}
	facts := &flow.Facts{Size: m.Size()}
	verdict, err := a.Filter.Judge(ctx, tx.Transaction, facts)
	if err != nil {
		return nil, obs.ReasonLocal, err
	}
	if verdict.Err != nil {
		return nil, obs.ReasonContent, verdict.Err
	}
	recipients, err := sieve.Expand(ctx, a.Script, tx.Transaction, facts, s.plan.Changed(&tx.Changes))
	if err != nil {
		return nil, obs.ReasonContent, err
	}
	if err := route.Room(ctx, a.Quota, recipients, m.Size()); err != nil {
		return nil, obs.ReasonQuota, err
	}
	head := m.Header
	if bodyOnly(head) {
		head = &header.Header{} // what looks like fields further down is text
	}
	from := tx.Envelope.From
	edit := repair.Complete(head, repair.Message{ID: tx.ID, Now: a.Now(), Hostname: a.Settings.Hostname,
		From: header.Mailbox{Local: from.Local, Domain: from.Domain}})
	trace := intake.Trace(tx.Transaction, a.Settings.Hostname, a.Now())
	edit.Prepend = append(append(append(trace, tx.Changes.Prepend...), verdict.Fields...), edit.Prepend...)
	var message recipe.Recipe
	if head != m.Header {
		message = withHeader(m, edit.Prepend)
	} else {
		var block []byte
		if message, block, err = edit.Apply(m.Header, m.Self()); err != nil {
			return nil, obs.ReasonContent, intake.ErrHeader.With("complete the header", err)
		}
		m.Index.SetHeader(block)
	}
	job := &flow.Job{ID: tx.ID, Received: a.Now(), From: tx.Envelope.From, Hold: tx.Changes.Hold, Body: tx.Envelope.Body, UTF8: tx.Envelope.UTF8,
		Ret: tx.Envelope.Ret, EnvID: tx.Envelope.EnvID, Client: tx.Client, Recipients: recipients, Message: message,
		Index: m.Index.Encode()}
	return job, "", nil
}
