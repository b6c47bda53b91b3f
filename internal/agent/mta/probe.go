package mta

import (
	"context"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// errUnknown is a probe that nobody answered.
var errUnknown = status.Temp(450, 4, 1, "the address cannot be verified at present")

// Probe asks the next hop of a recipient whether it takes mail for it, from a sender, and sends none. nil: it does. A
// permanent error: its refusal of the recipient. Everything else, a refusal of the sender or of us too, leaves it open.
func (a *Agent) Probe(ctx context.Context, from address.Address, to *flow.Recipient) error {
	set := a.settings.Load()
	rt, f := routeOf(set, to)
	if f != nil {
		return errUnknown.With(f.text, f.cause)
	}
	rt.from = from
	last := errUnknown
	tried := 0
	for h, f := range a.hops(ctx, rt) {
		if f != nil {
			if f.status.Class == status.Permanent && f.relay == "" { // no host was named: the domain takes no mail
				return status.Perm(550, f.status.Subject, f.status.Detail, f.text)
			}
			last = errUnknown.With(f.text, f.cause)
			continue
		}
		if tried++; tried > maxSessions || ctx.Err() != nil {
			break
		}
		err, answered := a.probe(ctx, rt, h, from, to.To)
		if answered {
			return err
		}
		last = errUnknown.With(h.String(), err)
	}
	return last
}

// probe asks one host; answered is false where another one may know better.
func (a *Agent) probe(ctx context.Context, rt *route, h hop, from, to address.Address) (err error, answered bool) {
	t, f := a.termsFor(ctx, rt, h)
	if f != nil {
		return f.cause, false
	}
	c, f := a.connect(ctx, rt, h, &t, nil)
	if f != nil {
		return f.cause, false
	}
	defer a.pool.discard(c)
	o, err := c.Probe(ctx, from, to)
	switch {
	case err != nil:
		return err, false
	case o.Phase == smtp.PhaseMail || o.Reply.Code/100 == 4:
		return errUnknown.With(h.String()+": "+o.Reply.String(), nil), o.Phase != smtp.PhaseMail
	case o.Reply.Code/100 == 2:
		return nil, true
	}
	code := enhanced(o.Reply)
	return status.Perm(550, code.Subject, code.Detail, "host "+h.String()+" said: "+o.Reply.String()), true
}
