package msa

import (
	"context"
	"io"

	"github.com/postrider/postrider/internal/decide/accept"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
)

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
	draft := &accept.Message{Tx: s.tx, Plan: &s.plan, Message: gate.NewMessage(m, m.Head(), m.Header, m.HeaderComplete() == nil, m.Size()), Index: m.Index,
		Trace: intake.Trace(s.tx.Transaction, s.agent.Settings.Hostname, s.agent.Now())}
	s.tx.Client = s.peer.Forwarded.Client(s.tx.Client) // the trace names who has connected
	if reason, err := s.complete(ctx, draft.Message); err != nil {
		return "", s.rejected("DATA", e, "", reason, err)
	}
	job, reason, err := s.judges().Job(ctx, draft)
	if err != nil {
		return "", s.rejected("DATA", e, "", reason, err)
	}
	if p := s.agent.Proxy; p != nil && s.tx.Changes.Discard == "" {
		return s.proxied(ctx, p, draft, job, m)
	}
	if err := m.Accept(ctx, job); err != nil {
		return "", s.rejected("DATA", e, "", obs.ReasonLocal, err)
	}
	s.tell(e.Recipients)
	s.agent.Events.Emit(obs.Accepted{Peer: s.obs(), ID: job.ID, Helo: s.peer.Hello, Protocol: s.tx.Client.Protocol,
		Account: s.peer.Identity.Name, Mech: s.peer.Mechanism, From: job.From, MessageID: draft.Index.Envelope.ID(), Size: job.Size(),
		Nrcpt: len(job.Recipients)})
	s.gate.Reset(ctx)
	s.tx = nil
	return "Ok: queued as " + job.ID.String(), nil
}

// proxied gives the message to a filter before the queue, whose answer is ours. It is not kept here.
func (s *session) proxied(ctx context.Context, p accept.Proxy, draft *accept.Message, job *flow.Job, m *intake.Message) (string, error) {
	text, err := draft.Pass(ctx, p, job, m)
	if err != nil {
		return "", s.rejected("DATA", s.tx.Envelope, "", obs.ReasonContent, err)
	}
	s.tell(s.tx.Envelope.Recipients)
	s.agent.Log.Info("passed to the filter before the queue", obs.KeyQueueID, job.ID.String(), obs.KeyFrom, job.From.String(), obs.KeyReply, text)
	s.gate.Reset(ctx)
	s.tx = nil
	return text, nil
}

// judges are those who have the last word.
func (s *session) judges() *accept.Judges {
	a := s.agent
	return &accept.Judges{Gate: s.gate, Filter: a.Filter, Script: a.Script, Quota: a.Quota, Router: a.Settings.Router,
		MaxReceived: a.Settings.MaxReceived, Now: a.Now}
}
