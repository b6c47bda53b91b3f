package route

import (
	"context"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// errFilter is the temporary failure of a message that is to pass a filter which cannot be reached by what names it.
var errFilter = status.Temp(451, 3, 5, "Server configuration error")

// Changed returns a plan's recipients as those who judged the message want them: none, another one, copies, all through a
// filter, into Junk. Who judges may send anywhere. The error is a temporary one; or the redirection's, which ends nowhere.
func (r *Router) Changed(ctx context.Context, p *Plan, c *flow.Changes) ([]flow.Recipient, error) {
	if c.Discard != "" || c.Redirect.IsZero() && len(c.BCC) == 0 && c.Filter == "" && p.copies == nil {
		return p.Changed(c), nil
	}
	out := &Plan{From: p.From}
	if c.Redirect.IsZero() {
		if err := out.merge(p); err != nil {
			return nil, err
		}
	} else {
		targets, err := r.Recipient(ctx, Query{From: p.From, To: envelope.Recipient{To: c.Redirect}, MayRelay: true})
		if err == nil {
			err = out.Add(targets)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, a := range c.BCC {
		targets, err := r.Recipient(ctx, Query{From: p.From, To: envelope.Recipient{To: a, Notify: envelope.NotifyNever}, MayRelay: true})
		if status.IsPermanent(err) {
			continue // a copy that goes nowhere is no reason to refuse the mail
		}
		if err == nil {
			err = out.Add(targets)
		}
		if err != nil {
			return nil, err
		}
	}
	if c.Filter != "" {
		var err error
		if out, err = filtered(out, c.Filter, r.Rules.Programs); err != nil {
			return nil, err
		}
	}
	return out.Changed(c), nil
}

// filtered sends every recipient through a filter, by the address that the client named: what comes back from the filter is
// expanded then, once.
func filtered(p *Plan, filter string, programs Programs) (*Plan, error) {
	out := &Plan{From: p.From}
	for _, was := range p.recipients {
		to := was.Original
		if to.IsZero() {
			to = was.To
		}
		transport, hop, err := ParseWay(filter).plan(to.Domain, programs)
		if err != nil || transport == flow.Mailbox {
			return nil, errFilter.With("FILTER "+filter, err)
		}
		r := flow.Recipient{To: to, Original: to, Notify: was.Notify, ORcpt: was.ORcpt, Transport: transport, NextHop: hop}
		if err := out.Add([]flow.Recipient{r}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
