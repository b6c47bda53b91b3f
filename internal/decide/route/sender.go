package route

import (
	"context"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
)

// Sender returns the reverse-path that a message gets: its standard form, mapped by the canonical tables, masqueraded. The
// error is a temporary one.
func (r *Router) Sender(ctx context.Context, from address.Address, note func(Note)) (address.Address, error) {
	if from.IsZero() {
		return from, nil
	}
	q := Query{Note: note}
	return r.canonical(ctx, &q, from, true)
}

// forwarded gives a copy that leaves for somebody else's domain, for a recipient that was ours or another tenant's, a
// reverse-path of our own, unless the sender is one of ours anyway.
func (x *walk) forwarded(ctx context.Context, r *flow.Recipient) error {
	srs := x.Rules.SRS
	if srs == nil || r.Sender != nil {
		return nil
	}
	out, ok := srs.Forward(x.query.From)
	if !ok {
		return nil
	}
	class, _, err := x.class(ctx, x.query.From.Domain)
	if err != nil {
		return err
	}
	if class != Default {
		return nil
	}
	x.query.tell("srs", x.query.From.String(), out.String())
	r.Sender = &out
	return nil
}

// Resend gives copies that are forwarded the reverse-path that another sender of the message leads to: what fails must not go
// back to the old one. Owners of lists stay.
func (r *Router) Resend(rs []flow.Recipient, from address.Address) {
	for i := range rs {
		if to := &rs[i]; to.Sender != nil && r.Rules.SRS.Ours(*to.Sender) {
			to.Sender = nil
			if out, ok := r.Rules.SRS.Forward(from); ok {
				to.Sender = &out
			}
		}
	}
}
