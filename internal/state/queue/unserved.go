package queue

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// lane returns the lane of a transport. One that nobody serves gets a lane that says so, and its recipients expire like
// those of a host that does not answer; Drop and Error have their own. q.mu is held.
func (q *Queue) lane(t flow.Transport) *lane {
	l := q.lanes[t]
	if l == nil {
		o := flow.Outcome{Status: status.Enhanced{Class: status.Temporary, Subject: 3, Detail: 5}, Relay: "none", // RFC 3463 §3.4
			Reply: "no delivery agent serves the transport " + t.String()}
		if t == flow.Drop {
			o = flow.Outcome{Result: flow.Delivered, Status: status.Enhanced{Class: status.Success}, Relay: "none", Reply: "discarded"}
		}
		if t == flow.Error {
			o = flow.Outcome{Result: flow.Failed, Status: status.Enhanced{Class: status.Permanent}, Relay: "none", Reply: "it cannot be delivered"}
		}
		l = &lane{Lane: Lane{Agent: &constant{o, q.opt.Now}, Workers: 1, Batch: 100}, full: make(chan struct{}, 1)}
		q.lanes[t] = l
	}
	return l
}

// constant is an agent that says the same of every recipient.
type constant struct {
	outcome flow.Outcome
	now     func() time.Time
}

func (c *constant) Deliver(_ context.Context, tasks []*Task) [][]flow.Outcome {
	out := make([][]flow.Outcome, len(tasks))
	for i, t := range tasks {
		for _, r := range t.Recipients {
			o := c.outcome
			o.Recipient, o.At = r.No, c.now()
			switch {
			case r.Transport == flow.Error:
				o.Status, o.Reply = reasonOf(r.NextHop, o.Status, o.Reply)
				if o.Status.Class == status.Temporary { // retry(8): until it expires
					o.Result = flow.Deferred
				}
			case r.Transport == flow.Drop && r.NextHop != "":
				o.Reply = r.NextHop
			}
			out[i] = append(out[i], o)
		}
	}
	return out
}

// reasonOf reads the reason of a failure that was decided at acceptance, for good or for now.
func reasonOf(s string, code status.Enhanced, text string) (status.Enhanced, string) {
	said, rest, ok := status.ParseEnhanced(s)
	if !ok || said.Class != status.Permanent && said.Class != status.Temporary {
		return code, text
	}
	return said, rest
}
