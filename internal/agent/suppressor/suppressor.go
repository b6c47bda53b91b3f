// Package suppressor stands in front of a delivery agent and keeps from it the recipients that a suppression list names: they fail
// without an attempt, and their sender is told why (docs/suppression.md).
//
// A list that cannot be asked suppresses nobody: mail that somebody waits for is worth more than one that nobody wants.
package suppressor

import (
	"context"
	"log/slog"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/queue"
)

// List says who is not to be tried.
type List interface {
	// Suppressed tells whether a recipient of a job is listed, and why, in words for the sender.
	Suppressed(ctx context.Context, j *flow.Job, r *flow.Recipient) (why string, listed bool, err error)
}

// Agent implements queue.Agent. Its fields do not change.
type Agent struct {
	Next queue.Agent
	List List
	Now  func() time.Time
	Log  *slog.Logger
}

var _ queue.Agent = (*Agent)(nil)

// Deliver ends the listed recipients, and hands the others on.
func (a *Agent) Deliver(ctx context.Context, tasks []*queue.Task) [][]flow.Outcome {
	ended := make([][]flow.Outcome, len(tasks))
	var next []*queue.Task
	var at []int // of next, in tasks
	for i, t := range tasks {
		left, gone := a.judge(ctx, t)
		ended[i] = gone
		switch {
		case len(gone) == 0:
			next, at = append(next, t), append(at, i)
		case len(left) > 0:
			part := *t
			part.Recipients = left
			next, at = append(next, &part), append(at, i)
		}
	}
	if len(next) == 0 {
		return ended
	}
	for k, outcomes := range a.Next.Deliver(ctx, next) {
		ended[at[k]] = append(ended[at[k]], outcomes...)
	}
	return ended
}

// judge parts a task's recipients.
func (a *Agent) judge(ctx context.Context, t *queue.Task) (left []flow.Recipient, gone []flow.Outcome) {
	for i := range t.Recipients {
		r := &t.Recipients[i]
		why, listed, err := a.List.Suppressed(ctx, t.Job, r)
		if err != nil && ctx.Err() == nil {
			a.Log.Error("the suppression list cannot be asked; the recipient is tried", obs.KeyComponent, "suppressor", obs.KeyQueueID, t.Job.ID.String(), obs.KeyError, err)
		}
		if err != nil || !listed {
			left = append(left, *r)
			continue
		}
		gone = append(gone, flow.Outcome{Recipient: r.No, Result: flow.Failed, Status: status.Enhanced{Class: status.Permanent, Subject: 1}, // RFC 3463 §3.2
			Relay: "none", Reply: why, At: a.Now(), Class: flow.ClassSuppressed})
	}
	return left, gone
}
