package mx

import (
	"context"
	"io"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/recipe"
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
	s.agent.Events.Emit(obs.Accepted{Peer: s.obs(), ID: job.ID, Helo: s.peer.Hello, Protocol: s.tx.Client.Protocol, From: job.From,
		MessageID: m.Index.Envelope.ID(), Size: job.Size(), Nrcpt: len(job.Recipients)})
	s.gate.Reset(ctx)
	s.tx = nil
	return "Ok: queued as " + job.ID.String(), nil
}

// judge completes the plan: loop, filter, the recipients' scripts; and makes the job.
func (s *session) judge(ctx context.Context, m *intake.Message) (*flow.Job, obs.Reason, error) {
	a, tx := s.agent, s.tx
	if received.Hops(m.Header) > a.Settings.MaxReceived {
		return nil, obs.ReasonLoop, ErrLoop
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
	trace := intake.Trace(tx.Transaction, a.Settings.Hostname, a.Now())
	job := &flow.Job{ID: tx.ID, Received: a.Now(), From: tx.Envelope.From, Hold: tx.Changes.Hold, Body: tx.Envelope.Body, UTF8: tx.Envelope.UTF8,
		Ret: tx.Envelope.Ret, EnvID: tx.Envelope.EnvID, Client: tx.Client, Recipients: recipients,
		Message: recipe.Whole(m.Self()).Prepend(append(append(trace, tx.Changes.Prepend...), verdict.Fields...))}
	if err := m.Index.Shift(job.Size() - m.Size()); err != nil {
		return nil, obs.ReasonLocal, err
	}
	job.Index = m.Index.Encode()
	return job, "", nil
}
