package report

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/dsn"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/queue"
)

// Settings are what a reload may change.
type Settings struct {
	Hostname  string
	Router    *route.Router
	MaxReturn int64 // 0: DefaultMaxReturn
	// DoubleBounce is the reverse-path of what the postmaster is told. Mail from it that fails is dropped: there is nobody left.
	DoubleBounce address.Address
	// Postmaster is who hears of mail that can be neither delivered nor returned; Bounces and Delays get copies of what senders
	// are told. Zero: nobody.
	Postmaster, Bounces, Delays address.Address
	// Expire and ExpireNull are how long mail is tried, and mail from the null reverse-path.
	Expire, ExpireNull time.Duration
}

// letter is one notification to be made.
type letter struct {
	*queue.Notice
	audience dsn.Audience
	to       address.Address // who gets it
	from     address.Address // its reverse-path: zero towards senders, RFC 3461 §6.1
	way      []flow.Recipient
}

// letters are what is to be sent about the outcomes of the copies of one sender.
//
//	the sender      gets      when that fails
//	an address      a report  the postmaster gets what failed (the report is mail from <>)
//	<>              nothing   the postmaster gets what failed
//	double-bounce   nothing   it is logged and dropped
//
// So every chain ends after two steps.
func (r *Reporter) letters(ctx context.Context, s *Settings, n *queue.Notice) (out []*letter, err error) {
	from := sender(n)
	failures := only(n, flow.Failed)
	switch {
	case !s.DoubleBounce.IsZero() && from.Key() == s.DoubleBounce.Key():
		if failures != nil { // it may be late only
			r.Log.Error("what the postmaster was to be told cannot be delivered; it is dropped", obs.KeyComponent, "report",
				obs.KeyQueueID, n.Job.ID.String())
		}
		return nil, nil
	case from.IsZero():
		return r.postmaster(ctx, s, failures, "mail from the null reverse-path failed; nobody is told")
	}
	way, err := plan(ctx, s, from)
	if status.IsPermanent(err) {
		r.Log.Warn("the sender takes no mail", obs.KeyComponent, "report", obs.KeyQueueID, n.Job.ID.String(), obs.KeyFrom, from.String(), obs.KeyError, err)
		return r.postmaster(ctx, s, failures, "the sender takes no mail; nobody is told of the failure")
	}
	if err != nil {
		return nil, fmt.Errorf("route the notification: %w", err)
	}
	out = append(out, &letter{Notice: n, to: from, way: way})
	copied := func(n *queue.Notice, to address.Address) error {
		if n == nil || to.IsZero() {
			return nil
		}
		way, err := plan(ctx, s, to)
		if err == nil {
			out = append(out, &letter{n, dsn.Copy, to, s.DoubleBounce, way})
		} else if status.IsPermanent(err) { // a copy is a courtesy
			r.Log.Warn("who is to get copies of notifications takes no mail", obs.KeyComponent, "report", obs.KeyTo, to.String(), obs.KeyError, err)
			err = nil
		}
		return err
	}
	if err = copied(failures, s.Bounces); err == nil {
		err = copied(only(n, flow.Deferred), s.Delays)
	}
	return out, err
}

// postmaster is the letter about what can be neither delivered nor returned; none where it is not wanted, or cannot be.
func (r *Reporter) postmaster(ctx context.Context, s *Settings, failures *queue.Notice, else_ string) ([]*letter, error) {
	if failures == nil {
		return nil, nil
	}
	err := error(nil)
	if !s.Postmaster.IsZero() {
		var way []flow.Recipient
		if way, err = plan(ctx, s, s.Postmaster); err == nil {
			return []*letter{{failures, dsn.Postmaster, s.Postmaster, s.DoubleBounce, way}}, nil
		}
	}
	if err != nil && !status.IsPermanent(err) {
		return nil, err
	}
	r.Log.Warn(else_, obs.KeyComponent, "report", obs.KeyQueueID, failures.Job.ID.String(), obs.KeyFrom, sender(failures).String(), obs.KeyError, err)
	return nil, nil
}

// plan is the way to somebody.
func plan(ctx context.Context, s *Settings, to address.Address) ([]flow.Recipient, error) {
	rcpts, err := s.Router.Recipient(ctx, route.Query{To: envelope.Recipient{To: to}, MayRelay: true})
	if err != nil {
		return nil, err
	}
	var p route.Plan
	if err := p.Add(rcpts); err != nil {
		return nil, err
	}
	return p.Recipients(), nil
}

// only is the part of a notice with one result; nil: there is none.
func only(n *queue.Notice, result flow.Result) *queue.Notice {
	part := &queue.Notice{Job: n.Job, Warning: n.Warning}
	for i, o := range n.Outcomes {
		if o.Result == result {
			part.Recipients, part.Outcomes = append(part.Recipients, n.Recipients[i]), append(part.Outcomes, o)
		}
	}
	if len(part.Outcomes) == 0 {
		return nil
	}
	return part
}

// bySender splits a notice into those of one sender each, in the order of the recipients.
func bySender(n *queue.Notice) []*queue.Notice {
	var out []*queue.Notice
	for i := range n.Recipients {
		to := n.Job.Sender(&n.Recipients[i])
		at := slices.IndexFunc(out, func(o *queue.Notice) bool { return sender(o) == to })
		if at < 0 {
			at = len(out)
			out = append(out, &queue.Notice{Job: n.Job, Warning: n.Warning})
		}
		out[at].Recipients, out[at].Outcomes = append(out[at].Recipients, n.Recipients[i]), append(out[at].Outcomes, n.Outcomes[i])
	}
	return out
}

// sender is whom a notice is for: the reverse-path of the copies it is about.
func sender(n *queue.Notice) address.Address { return n.Job.Sender(&n.Recipients[0]) }
