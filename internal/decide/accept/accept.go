// Package accept is the last judgement of a message, when all of it is here and nothing is said yet: loop, gates (checks of
// the content, milters), filter, the recipients' scripts, quota. Its result is the job, with the recipe of the message as all
// of them have left it and our Received field on top.
//
// What belongs to one service only (whose From it is, what is completed) is done before by its agent. Nothing changes a message
// after this.
//
// It does no I/O of its own. Errors are replies; the reason is for the log.
package accept

import (
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/decide/filter"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// ErrLoop refuses a message that has passed too many hosts (RFC 5321 §6.3).
var ErrLoop = status.Perm(554, 4, 6, "Too many hops: the message has too many Received fields; it seems to go in a loop")

// Judges are those who judge, and what they need.
type Judges struct {
	Gate        gate.Session
	Filter      filter.Filter
	Script      sieve.Script
	Quota       route.Quota // nil: has been asked
	Router      *route.Router
	MaxReceived int
	Now         func() time.Time
}

// Message is what is judged. Index is that of the bytes as they came; Job brings it up to date.
type Message struct {
	Tx      *gate.Transaction
	Plan    *route.Plan
	Message *gate.Message
	Index   *mime.Message
	Trace   []byte // our Received field
}

// Job judges a message. An error is the reply.
func (j *Judges) Job(ctx context.Context, m *Message) (*flow.Job, obs.Reason, error) {
	tx, changes := m.Tx, &m.Tx.Changes
	if received.Hops(m.Message.Header) > j.MaxReceived {
		return nil, obs.ReasonLoop, ErrLoop
	}
	if err := m.judge(ctx, j.Gate); err != nil {
		return nil, gate.ReasonOf(err, obs.ReasonContent), err
	}
	facts := &flow.Facts{Size: m.Message.Size}
	verdict, err := j.Filter.Judge(ctx, tx.Transaction, facts)
	if err != nil {
		return nil, obs.ReasonLocal, err
	}
	if verdict.Err != nil {
		return nil, obs.ReasonContent, verdict.Err
	}
	recipients, err := j.recipients(ctx, m)
	if err != nil {
		return nil, obs.ReasonRecipient, err
	}
	if recipients, err = sieve.Expand(ctx, j.Script, tx.Transaction, facts, recipients); err != nil {
		return nil, obs.ReasonContent, err
	}
	if j.Quota != nil {
		if err := route.Room(ctx, j.Quota, recipients, m.Message.Size); err != nil {
			return nil, obs.ReasonQuota, err
		}
	}
	content, index, err := m.Message.Finish(append(m.Trace, verdict.Fields...), m.Index)
	if err != nil {
		return nil, obs.ReasonLocal, err
	}
	m.Index = index
	e := tx.Envelope
	job := &flow.Job{ID: tx.ID, Received: j.Now(), From: m.Plan.From, Hold: changes.Hold, Body: e.Body, UTF8: e.UTF8, Ret: e.Ret, EnvID: e.EnvID,
		Client: tx.Client, Recipients: recipients, Message: content, Index: index.Encode()}
	if changes.From != nil {
		job.From = *changes.From
		j.Router.Resend(recipients, job.From)
	}
	expand(job)
	Wish(job, e)
	job.Bulk = bulk(m.Message.Header, len(tx.Envelope.Recipients))
	return job, "", nil
}

// judge asks the gates. They see the fields that the stages before the message have put on top (an SPF result, for a filter
// that needs it), as with Postfix.
func (m *Message) judge(ctx context.Context, g gate.Session) error {
	changes := &m.Tx.Changes
	early := len(changes.Prepend)
	if err := m.Message.Prepend(changes.Prepend); err != nil {
		return err
	}
	if err := g.Message(ctx, m.Tx, m.Message); err != nil {
		return err
	}
	return m.Message.Prepend(changes.Prepend[early:])
}

// recipients are the plan's, with what the judges have changed.
func (j *Judges) recipients(ctx context.Context, m *Message) ([]flow.Recipient, error) {
	changes := &m.Tx.Changes
	for _, r := range changes.Add {
		targets, err := j.Router.Recipient(ctx, route.Query{From: m.Plan.From, To: r, MayRelay: true}) // who may judge may send
		if status.IsTemporary(err) {
			return nil, err
		}
		if err != nil { // nobody can be told any more that it does not exist, but the sender
			e := status.Of(err)
			targets = []flow.Recipient{{To: r.To, Original: r.To, Notify: r.Notify, ORcpt: r.ORcpt, Transport: flow.Error,
				NextHop: e.Enhanced.String() + " " + e.Public}}
		}
		if err := m.Plan.Add(targets); err != nil {
			return nil, err
		}
	}
	recipients, err := j.Router.Changed(ctx, m.Plan, changes)
	if err != nil || len(changes.Remove) == 0 {
		return recipients, err
	}
	kept := make([]flow.Recipient, 0, len(recipients))
	for _, r := range recipients {
		if !slices.ContainsFunc(changes.Remove, func(a address.Address) bool { return same(a, r.Original) }) {
			kept = append(kept, r)
		}
	}
	return kept, nil
}

// same compares addresses as milters mean them.
func same(a, b address.Address) bool {
	return a.Key() == b.Key()
}
