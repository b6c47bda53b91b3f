package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/queue"
)

func (a *api) Queue(ctx context.Context) ([]admin.Job, error) {
	infos, err := a.queue.List(ctx)
	if err != nil {
		return nil, apiError(err)
	}
	jobs := make([]admin.Job, len(infos))
	for i, info := range infos {
		jobs[i] = jobOf(info)
	}
	return jobs, nil
}

func jobOf(i queue.Info) admin.Job {
	j := admin.Job{ID: i.ID, State: i.State, Held: i.Held, Arrival: i.Received, Size: i.Size, Sender: i.Sender, Recipients: make([]admin.Recipient, len(i.Recipients))}
	for k, r := range i.Recipients {
		j.Recipients[k] = admin.Recipient{Address: r.Address, Transport: r.Transport, Route: r.Route, Attempts: r.Attempts, Next: r.Next,
			Status: r.Status, Relay: r.Relay, Reason: r.Reply}
	}
	return j
}

func parseQueueID(s string) (queueid.ID, error) {
	id, err := queueid.Parse(s)
	if err != nil {
		return id, admin.Errorf(admin.Invalid, "%q is not a queue id", s)
	}
	return id, nil
}

// jobError names the job that an error is about.
func jobError(id string, err error) error {
	if errors.Is(err, queue.ErrNoJob) {
		return admin.Errorf(admin.NotFound, "no message %s in the queue", id)
	}
	return apiError(err)
}

func (a *api) Job(ctx context.Context, s string) (admin.Job, error) {
	id, err := parseQueueID(s)
	if err != nil {
		return admin.Job{}, err
	}
	info, err := a.queue.Info(ctx, id)
	return jobOf(info), jobError(s, err)
}

// message is a stored message being read.
type message struct{ *recipe.Reader }

func (message) Close() error { return nil }

func (a *api) JobMessage(ctx context.Context, s string) (io.ReadCloser, error) {
	id, err := parseQueueID(s)
	if err != nil {
		return nil, err
	}
	job, err := a.queue.Job(ctx, id)
	if err != nil {
		return nil, jobError(s, err)
	}
	return message{recipe.NewReader(a.blobs, job.Message)}, nil
}

func (a *api) Flush(ctx context.Context) (admin.Count, error) {
	n := a.queue.Counts()["deferred"]
	a.queue.Flush()
	return admin.Count{Messages: n}, apiError(a.queue.Sync(ctx))
}

func (a *api) ChangeJobs(ctx context.Context, c admin.JobsChange) (admin.Count, error) {
	change, err := a.jobAction(c.Action)
	if err != nil {
		return admin.Count{}, err
	}
	var ids []queueid.ID
	for _, s := range c.IDs {
		id, err := parseQueueID(s)
		if err != nil {
			return admin.Count{}, err
		}
		ids = append(ids, id)
	}
	if c.All {
		ids = a.queue.IDs()
	}
	count := admin.Count{}
	for _, id := range ids {
		err := change(ctx, id)
		if c.All && errors.Is(err, queue.ErrNoJob) {
			continue // it left meanwhile
		}
		if err != nil {
			err = jobError(id.String(), err)
			if count.Messages > 0 {
				err = &admin.Error{Kind: admin.KindOf(err), Text: fmt.Sprintf("%v (%d messages before it are done)", err, count.Messages)}
			}
			return count, err
		}
		count.Messages++
	}
	return count, apiError(a.queue.Sync(ctx))
}

func (a *api) jobAction(action admin.JobAction) (func(context.Context, queueid.ID) error, error) {
	switch action {
	case admin.Delete:
		return a.queue.Delete, nil
	case admin.Hold:
		return func(_ context.Context, id queueid.ID) error { return a.queue.Hold(id, true) }, nil
	case admin.Release:
		return func(_ context.Context, id queueid.ID) error { return a.queue.Hold(id, false) }, nil
	}
	return nil, admin.Errorf(admin.Invalid, "no such action: %q", action)
}
