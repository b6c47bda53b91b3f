package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

func (a *api) Queue(ctx context.Context, f admin.JobFilter, each func(admin.Job) error) error {
	filter, err := jobFilter(f)
	if err != nil {
		return err
	}
	return apiError(a.queue.Select(ctx, filter, func(i queue.Info) error { return each(jobOf(i)) }))
}

func jobOf(i queue.Info) admin.Job {
	j := admin.Job{ID: i.ID, State: i.State, Held: i.Held, Arrival: i.Received, Size: i.Size, Sender: i.Sender, Recipients: make([]admin.Recipient, len(i.Recipients))}
	for k, r := range i.Recipients {
		j.Recipients[k] = admin.Recipient{Address: r.Address, Transport: r.Transport, Route: r.Route, Site: r.Site, Attempts: r.Attempts, Next: r.Next,
			Status: r.Status, Class: r.Class, Relay: r.Relay, Reason: r.Reply}
	}
	return j
}

// jobFilter is a filter as the queue knows it.
func jobFilter(f admin.JobFilter) (queue.Filter, error) {
	out := queue.Filter{States: f.States, Sender: pattern(f.Sender), Recipient: pattern(f.Recipient), Site: f.Site, Transport: f.Transport,
		Reason: f.Reason, Before: f.Before, After: f.After, Limit: f.Limit}
	if len(f.IDs) > admin.MaxJobIDs {
		return out, admin.Errorf(admin.Invalid, "%d queue ids are more than %d", len(f.IDs), admin.MaxJobIDs)
	}
	for _, s := range f.IDs {
		id, err := parseQueueID(s)
		if err != nil {
			return out, err
		}
		out.IDs = append(out.IDs, id)
	}
	if f.Offset != "" {
		id, err := parseQueueID(f.Offset)
		if err != nil {
			return out, err
		}
		out.Offset = id
	}
	for _, s := range f.States {
		if states := jobStates(); !slices.Contains(states, s) {
			return out, admin.Errorf(admin.Invalid, "there is no state %q; there are %s", s, strings.Join(states, ", "))
		}
	}
	for _, s := range f.Classes {
		classes := jobClasses()
		i := slices.Index(classes, s)
		if i < 0 {
			return out, admin.Errorf(admin.Invalid, "there is no class %q; there are %s", s, strings.Join(classes[1:], ", "))
		}
		out.Class = append(out.Class, flow.Class(i))
	}
	return out, nil
}

func jobStates() []string { return []string{"incoming", "active", "deferred", "hold", "corrupt"} }

// jobClasses are the names of all classes, by number.
func jobClasses() []string {
	names := []string{""}
	for c := flow.ClassOther; len(names) == 1 || c.String() != flow.ClassOther.String(); c++ {
		names = append(names, c.String())
	}
	return names
}

// pattern puts the domain of an address or of @domain in the form that the queue has; people write U-labels.
func pattern(s string) string {
	i := strings.LastIndexByte(s, '@')
	if i < 0 || strings.ContainsAny(s[i:], "*?") {
		return s
	}
	if domain, err := address.CanonicalDomain(s[i+1:]); err == nil {
		return s[:i+1] + domain
	}
	return s
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
	if err != nil {
		return admin.Job{}, jobError(s, err)
	}
	j := jobOf(info)
	job, err := a.queue.Job(ctx, id)
	switch {
	case errors.Is(err, flow.ErrCorrupt):
		return j, nil
	case err != nil:
		return j, jobError(s, err)
	}
	j.Envelope = envelopeOf(job, info)
	return j, nil
}

// envelopeOf is what a job was accepted with; info tells who is not done with.
func envelopeOf(j *flow.Job, info queue.Info) *admin.Envelope {
	e := &admin.Envelope{EnvID: j.EnvID, UTF8: j.UTF8, RequireTLS: j.RequireTLS, Priority: int(j.Priority), Bulk: j.Bulk,
		NotBefore: j.NotBefore, DeliverBy: j.DeliverBy, Cause: j.Cause.String(),
		Ret:    map[envelope.Ret]string{envelope.RetFull: "full", envelope.RetHeaders: "hdrs"}[j.Ret],
		Body:   map[envelope.Body]string{envelope.Body8BitMIME: "8bitmime", envelope.BodyBinaryMIME: "binarymime"}[j.Body],
		Client: admin.EnvelopeClient{Name: j.Client.Name, Helo: j.Client.Helo, Protocol: j.Client.Protocol, TLS: j.Client.TLS, Login: j.Client.Login}}
	if j.Client.Addr.IsValid() {
		e.Client.Address, e.Client.Port = j.Client.Addr.Addr().Unmap().String(), int(j.Client.Addr.Port())
	}
	left := map[int]bool{}
	for _, r := range info.Recipients {
		left[r.No] = true
	}
	for _, r := range j.Recipients {
		e.Recipients = append(e.Recipients, admin.EnvelopeTo{Address: r.To.String(), Original: r.Original.String(), ORcpt: r.ORcpt,
			Notify: notifyWords(r.Notify), Done: !left[r.No]})
	}
	return e
}

func notifyWords(n envelope.Notify) (words []string) {
	for i, word := range []string{"never", "success", "failure", "delay"} {
		if n&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return words
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

func (a *api) ChangeJobs(ctx context.Context, c admin.JobsChange) (changed admin.JobsChanged, err error) {
	filter, err := jobFilter(c.Filter)
	if err != nil {
		return changed, err
	}
	change, err := jobChange(c)
	if err != nil {
		return changed, err
	}
	all := c.Filter
	all.Limit, all.Offset = 0, ""
	if all.IsZero() && !c.All {
		return changed, admin.Errorf(admin.Invalid, "which messages are meant is not said")
	}
	if c.Action == admin.Requeue || c.Action == admin.Bounce {
		if err := a.direct(); err != nil {
			return changed, err
		}
	}
	if len(filter.IDs) > 0 {
		err = a.queue.Select(ctx, filter, func(i queue.Info) error {
			changed.IDs = append(changed.IDs, i.ID)
			return nil
		})
	}
	if err == nil {
		err = a.wake(ctx, filter, c.Action)
	}
	switch {
	case err != nil:
	case c.Action == admin.Flush && c.Filter.IsZero(): // without a look at each
		changed.Messages = a.queue.Counts()["deferred"]
		a.queue.Flush()
		err = a.queue.Sync(ctx)
	default:
		changed.Messages, err = a.queue.Change(ctx, filter, change)
	}
	if err = apiError(err); err != nil && changed.Messages > 0 {
		err = admin.Errorf(admin.KindOf(err), "%v (%d messages before it are done)", err, changed.Messages)
	}
	return changed, err
}

// direct has routing and notifications go by the configuration, on a system that is not started.
func (n *Node) direct() error {
	if n.router() != nil {
		return nil
	}
	o, err := n.prepare(n.config.Load())
	if err != nil {
		return fmt.Errorf("where mail goes and what senders are told cannot be found out: %w", err)
	}
	n.routing.Store(o.router)
	n.reporter.Set(o.report)
	return nil
}

// wake ends the rests of sites that were not reached, where the operator wants messages for them tried now.
func (a *api) wake(ctx context.Context, f queue.Filter, action admin.JobAction) error {
	if action != admin.Flush && action != admin.Release && action != admin.Requeue {
		return nil
	}
	resting := map[string]bool{}
	for _, s := range a.queue.Sites() {
		if s.Rest != nil {
			resting[s.Name] = true
		}
	}
	if len(resting) == 0 {
		return nil
	}
	return a.queue.Select(ctx, f, func(i queue.Info) error {
		for _, r := range i.Recipients {
			if resting[r.Site] {
				a.queue.Resume(r.Site)
				delete(resting, r.Site)
			}
		}
		return nil
	})
}

// jobChange is a change as the queue knows it.
func jobChange(c admin.JobsChange) (queue.Change, error) {
	actions := map[admin.JobAction]queue.Action{admin.Delete: queue.ActDelete, admin.Hold: queue.ActHold, admin.Release: queue.ActRelease,
		admin.Flush: queue.ActFlush, admin.Requeue: queue.ActRequeue, admin.Bounce: queue.ActBounce, admin.Reroute: queue.ActReroute}
	out := queue.Change{Action: actions[c.Action], NextHop: c.NextHop, Text: c.Text}
	switch {
	case out.Action == "":
		return out, admin.Errorf(admin.Invalid, "no such action: %q", c.Action)
	case c.Text != "" && c.Action != admin.Bounce:
		return out, admin.Errorf(admin.Invalid, "a text is for bounces")
	case len(c.Text) > maxBounceText || strings.ContainsFunc(c.Text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return out, admin.Errorf(admin.Invalid, "the text of a bounce has at most %d bytes, and no control characters", maxBounceText)
	case c.Action != admin.Reroute && (c.NextHop != "" || c.Transport != ""):
		return out, admin.Errorf(admin.Invalid, "a next hop is for reroute")
	case c.Action != admin.Reroute:
		return out, nil
	}
	switch c.Transport {
	case "", flow.SMTP.String():
		out.Transport = flow.SMTP
	case flow.LMTP.String():
		out.Transport = flow.LMTP
	default:
		return out, admin.Errorf(admin.Invalid, "mail can be rerouted to smtp and lmtp, not to %q", c.Transport)
	}
	if c.NextHop == "" && out.Transport == flow.SMTP {
		return out, nil
	}
	if _, err := flow.ParseNextHop(out.Transport, c.NextHop); err != nil {
		return out, admin.Errorf(admin.Invalid, "%v", err)
	}
	return out, nil
}

// maxBounceText bounds what an operator says in a bounce, bytes.
const maxBounceText = 500

func (a *api) QueueStats(ctx context.Context) (admin.QueueStats, error) {
	s, err := a.queue.Stats(ctx)
	if err != nil {
		return admin.QueueStats{}, apiError(err)
	}
	out := admin.QueueStats{At: s.At, Total: queueGroup("", s.Total)}
	for _, b := range queue.AgeBounds {
		out.AgeBounds = append(out.AgeBounds, int(b.Minutes()))
	}
	for _, state := range jobStates() {
		out.States = append(out.States, queueGroup(state, s.States[state]))
	}
	for site, c := range s.Sites {
		out.Sites = append(out.Sites, queueGroup(cmp.Or(site, "mailstore"), c))
	}
	slices.SortFunc(out.Sites, func(a, b admin.QueueGroup) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Name, b.Name))
	})
	out.Limits = siteLimits(a.queue.Sites())
	return out, nil
}

// siteLimits leaves out sites that nothing is done for.
func siteLimits(sites []sched.SiteInfo) (out []admin.SiteLimit) {
	for _, i := range sites {
		if i.Flying+i.Ready == 0 && i.Rest == nil {
			continue
		}
		l := admin.SiteLimit{Site: i.Name, Transport: i.Transport.String(), UnderWay: i.Flying, Due: i.Ready, Limit: i.Limit, Ceiling: i.Ceiling}
		if i.Rest != nil {
			l.RestSince, l.RestUntil, l.Reason = i.Rest.Since, i.Rest.Until, i.Rest.Reason.Reply
		}
		out = append(out, l)
	}
	return out
}

func queueGroup(name string, c queue.Count) admin.QueueGroup {
	return admin.QueueGroup{Name: name, Messages: c.Jobs, Recipients: c.Recipients, Bytes: c.Bytes, Oldest: c.Oldest, Ages: c.Ages[:]}
}
