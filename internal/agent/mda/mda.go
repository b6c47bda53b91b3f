// Package mda is the mail delivery agent (RFC 5598 §4.3.3): it puts the queue's mailbox deliveries into the mailstore,
// exactly once, as many in one transaction as wait.
//
// The delivery's own fields, Return-Path and Delivered-To (RFC 5321 §4.4), are literals of the delivery; the message is
// shared with the job's other recipients. After 250 delivery never refuses: an account that was removed meanwhile is the
// one permanent failure.
package mda

import (
	"context"
	"errors"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
)

// Store is what the agent needs of the mailstore.
type Store interface {
	// Deliver is all or nothing (err), but for deliveries that cannot be made, which get an error of their own.
	Deliver(ctx context.Context, ds []mailstore.Delivery) (each []error, err error)
}

// Agent implements queue.Agent.
type Agent struct {
	Store Store
	Now   func() time.Time
}

var errGone = status.Perm(550, 2, 1, "The mailbox was removed before the message could be delivered")

// Deliver puts the tasks' recipients into their mailboxes in one transaction.
func (a *Agent) Deliver(ctx context.Context, tasks []*queue.Task) [][]flow.Outcome {
	started := a.Now()
	var ds []mailstore.Delivery
	for _, t := range tasks {
		email := emailOf(t.Job)
		for i := range t.Recipients {
			r := &t.Recipients[i]
			d := mailstore.Delivery{QueueID: t.Job.ID, Recipient: r.No, Account: r.Account, Folder: r.Folder, Email: email}
			d.Email.Literals = received.AppendDeliveredTo(received.AppendReturnPath(nil, t.Job.Sender(r)), r.To)
			d.Email.Size += int64(len(d.Email.Literals))
			ds = append(ds, d)
		}
	}
	each, err := a.Store.Deliver(ctx, ds)
	if err != nil && ctx.Err() != nil {
		return nil // cut off: no attempt
	}
	ended := a.Now()
	out := make([][]flow.Outcome, len(tasks))
	n := 0
	for i, t := range tasks {
		out[i] = make([]flow.Outcome, 0, len(t.Recipients))
		for range t.Recipients {
			if each[n] == nil || ctx.Err() == nil { // else cut off
				o := outcome(&ds[n], err, each, n, ended)
				o.Delays = [4]time.Duration{t.Due.Sub(t.Job.Received), started.Sub(t.Due), 0, ended.Sub(started)}
				out[i] = append(out[i], o)
			}
			n++
		}
	}
	return out
}

func outcome(d *mailstore.Delivery, err error, each []error, n int, at time.Time) flow.Outcome {
	if err == nil && each[n] != nil {
		err = each[n]
		if errors.Is(err, mailstore.ErrNoAccount) {
			return flow.Failure(d.Recipient, errGone, at)
		}
	}
	if err != nil { // whatever it is: somebody can mend it, and 250 was said
		o := flow.Failure(d.Recipient, err, at)
		o.Result, o.Status.Class = flow.Deferred, status.Temporary
		return o
	}
	return flow.Outcome{Recipient: d.Recipient, Result: flow.Delivered, Status: status.Enhanced{Class: status.Success}, Relay: "local",
		Reply: "delivered to mailbox", At: at}
}

// emailOf is what all recipients of a job share. A structure that cannot be read costs the thread, not the message.
func emailOf(j *flow.Job) mailstore.NewEmail {
	e := mailstore.NewEmail{Ref: j.Record, Size: j.Size(), Received: j.Received, Structure: j.Index}
	facts, err := mime.DecodeFacts(j.Index)
	if err != nil {
		return e
	}
	env, err := mime.DecodeEnvelope(j.Index)
	if err != nil {
		return e
	}
	e.Thread = mailstore.Threading{MessageID: env.ID(), InReplyTo: env.RepliesTo(), References: facts.References}
	return e
}
