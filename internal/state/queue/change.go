package queue

import (
	"context"
	"fmt"
	"slices"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
)

// Action is what an operator does with jobs.
type Action string

// The actions. Delete, Requeue, Bounce, Reroute and Flush mean the recipients that the filter chooses; Hold and Release the
// job. Recipients in flight end by their attempt: Requeue, Bounce and Reroute pass over them.
const (
	ActDelete  Action = "delete"  // gone for good, nobody is told
	ActHold    Action = "hold"    // not tried until it is released
	ActRelease Action = "release" // from hold, or set aside as corrupt; tried at once
	ActRequeue Action = "requeue" // its way is asked for anew, attempts begin at none
	ActBounce  Action = "bounce"  // failed for good; the sender is told
	ActReroute Action = "reroute" // to another next hop, at once
	ActFlush   Action = "flush"   // tried at once
)

// Change is what is to be done.
type Change struct {
	Action    Action
	Transport flow.Transport // Reroute: the new transport; 0 leaves it
	NextHop   string         // Reroute
	Text      string         // Bounce: the reason, with or without an enhanced code in front; empty: a general one
	// Reclassify has a flushed recipient begin its schedule anew.
	Reclassify bool
}

// changeSlice is how many jobs are changed between two waits for the disk.
const changeSlice = 500

// Change does something with the jobs that a filter means, and returns once that is durable, with the number of jobs.
func (q *Queue) Change(ctx context.Context, f Filter, c Change) (n int, err error) {
	if !slices.Contains([]Action{ActDelete, ActHold, ActRelease, ActRequeue, ActBounce, ActReroute, ActFlush}, c.Action) {
		return 0, fmt.Errorf("queue: no such action: %q", c.Action)
	}
	if c.Action == ActReroute {
		if err := checkWay(c); err != nil {
			return 0, err
		}
	}
	q.operator.Lock()
	defer q.operator.Unlock()
	type meant struct {
		id  queueid.ID
		nos []int
	}
	var list []meant
	change := func() error {
		for _, m := range list {
			done, err := q.change(ctx, m.id, m.nos, c)
			if err != nil {
				return err
			}
			if done {
				n++
			}
		}
		list = list[:0]
		return q.Sync(ctx)
	}
	err = q.Select(ctx, f, func(i Info) error {
		m := meant{id: i.id}
		for k := range i.Recipients {
			if f.recipient(&i.Recipients[k]) {
				m.nos = append(m.nos, i.Recipients[k].No)
			}
		}
		if list = append(list, m); len(list) < changeSlice {
			return nil
		}
		return change()
	})
	if err != nil {
		return n, err
	}
	return n, change()
}

// checkWay looks at where Reroute leads.
func checkWay(c Change) error {
	switch c.Transport {
	case 0, flow.SMTP, flow.LMTP:
		if c.NextHop == "" {
			return nil
		}
		t := c.Transport
		if t == 0 {
			t = flow.SMTP
		}
		_, err := flow.ParseNextHop(t, c.NextHop)
		return err
	case flow.Drop, flow.Error:
		return nil
	}
	return fmt.Errorf("queue: mail cannot be rerouted to the transport %v", c.Transport)
}

// reason reads the text of a bounce.
func (c *Change) reason() (status.Enhanced, string) {
	code, text := status.Enhanced{Class: status.Permanent}, "the message was returned by the operator of this system"
	if c.Text == "" {
		return code, text
	}
	if said, rest, ok := status.ParseEnhanced(c.Text); ok && said.Class == status.Permanent {
		return said, rest
	}
	return code, c.Text
}
