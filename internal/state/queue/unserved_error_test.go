package queue

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// The transport error fails with the reason that was found at acceptance, or waits where that is a temporary one.
func TestErrorTransport(t *testing.T) {
	q := New(Options{Now: time.Now})
	agent := q.lane(flow.Error).Agent
	task := &Task{}
	for i, reason := range []string{"5.1.1 No such user here", "5.2.2 Mailbox full", "4.2.2 not now", "", "nonsense"} {
		task.Recipients = append(task.Recipients, flow.Recipient{No: i, Transport: flow.Error, NextHop: reason})
	}
	out := agent.Deliver(t.Context(), []*Task{task})[0]
	for i, want := range []string{"5.1.1 No such user here", "5.2.2 Mailbox full", "4.2.2 not now", "5.0.0 it cannot be delivered", "5.0.0 it cannot be delivered"} {
		result, class := flow.Failed, status.Permanent
		if want[0] == '4' {
			result, class = flow.Deferred, status.Temporary
		}
		if o := out[i]; o.Result != result || o.Recipient != i || o.Status.Class != class || o.Status.String()+" "+o.Reply != want {
			t.Errorf("%d: %+v, want %s", i, o, want)
		}
	}
}
