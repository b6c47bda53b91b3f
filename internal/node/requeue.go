package node

import (
	"context"

	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// resolve asks for the way of a recipient again that waits in the queue: an operator requeues it, and tables or accounts may
// have changed. One that is unknown by now fails; where nobody can tell, it stays as it is.
func (n *Node) resolve(ctx context.Context, job *flow.Job, r *flow.Recipient) ([]flow.Recipient, error) {
	query := route.Query{From: job.From, To: envelope.Recipient{To: r.To, Notify: r.Notify, ORcpt: r.ORcpt}, MayRelay: true}
	list, err := n.router().Recipient(ctx, query)
	if err != nil {
		e := status.Of(err)
		if e.Class != status.Permanent {
			return nil, err
		}
		gone := *r
		gone.Transport, gone.NextHop = flow.Error, e.Enhanced.String()+" "+e.Public
		return []flow.Recipient{gone}, nil
	}
	for i := range list {
		list[i].Original = r.Original
		if list[i].Sender == nil {
			list[i].Sender = r.Sender
		}
	}
	return list, nil
}
