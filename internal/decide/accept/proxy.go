package accept

import (
	"context"
	"slices"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// Proxy is a filter before the queue (smtpd_proxy_filter): it takes the message instead of our queue, and brings it back to
// another listener.
type Proxy interface {
	// Pass gives a message to the filter, for all recipients or for none. The filter's reply is ours: the text behind "250 2.0.0",
	// or the error.
	Pass(ctx context.Context, job *flow.Job, to []envelope.Recipient, body *recipe.Reader) (text string, err error)
}

// Pass gives a judged message to the filter, with the recipients as the client named them: what comes back from the filter is
// expanded then, once. src has the bytes that the job's recipe refers to.
func (m *Message) Pass(ctx context.Context, p Proxy, job *flow.Job, src recipe.Source) (text string, err error) {
	to := m.recipients()
	if len(to) == 0 { // a milter has removed them all
		return "Ok: discarded", nil
	}
	return p.Pass(ctx, job, to, recipe.NewReader(src, job.Message))
}

func (m *Message) recipients() (to []envelope.Recipient) {
	changes := &m.Tx.Changes
	if !changes.Redirect.IsZero() {
		return []envelope.Recipient{{To: changes.Redirect}}
	}
	// What comes back gets no copies of the bcc settings any more.
	for _, r := range append(slices.Clone(m.Tx.Envelope.Recipients), changes.Add...) {
		if !slices.ContainsFunc(changes.Remove, func(a address.Address) bool { return same(a, r.To) }) {
			to = append(to, r)
		}
	}
	for _, a := range append(m.Plan.Copied(), changes.BCC...) {
		to = append(to, envelope.Recipient{To: a, Notify: envelope.NotifyNever})
	}
	return to
}
