package mta

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// defaultRecipients of one transaction, RFC 5321 §4.5.3.1.8.
const defaultRecipients = 100

// session sends the message to the pending recipients over c, in as many transactions as it takes, and leaves c to the
// pool. It is stale when c had been used before and the host did not want it any more: then nothing has happened, and a
// new connection is due.
func (x *attempt) session(ctx context.Context, c *conn, tr *trial) (f *failure, stale bool) {
	x.sessions++
	tr.listen(c)
	defer func() { c.Heard = nil }()
	reused := c.used > 0
	limit := x.set.MaxRecipients
	if limit <= 0 {
		limit = defaultRecipients
	}
	todo := x.acceptable(c)
	for len(todo) > 0 && f == nil {
		n := sameSender(x.task.Job, todo[:min(len(todo), limit)])
		c.used++
		results, err := x.transaction(ctx, c, todo[:n])
		if reused && wasClosed(err, results) {
			_ = c.Close() // the host has done so already
			x.sessions--
			return nil, true
		}
		reused = false
		var again []flow.Recipient
		if again, f = x.results(c, todo[:n], results, err); ctx.Err() != nil {
			break
		}
		todo = append(again, todo[n:]...)
		if f == nil && !c.Usable() && len(todo) > 0 {
			f = ours(status.Temp(451, 4, 2, c.hop.String()+" closed the connection"), nil).at(c.hop).in(string(smtp.PhaseMail))
		}
	}
	x.pool.keep(c, x.set.Idle)
	return f, false
}

// acceptable ends the recipients whose addresses the host cannot take, and returns the others. (Domains are A-labels, so
// only local parts need SMTPUTF8.)
func (x *attempt) acceptable(c *conn) []flow.Recipient {
	var rest []flow.Recipient
	_, utf8 := c.Extension("SMTPUTF8")
	for _, r := range append([]flow.Recipient(nil), x.pending...) {
		if !utf8 && (x.facts.utf8 || r.To.NeedsUTF8() || x.task.Job.Sender(&r).NeedsUTF8()) { // RFC 6531 §3.5
			x.decide(r.No, ours(smtp.ErrSMTPUTF8, nil).at(c.hop).in(string(smtp.PhaseMail)).outcome())
			continue
		}
		rest = append(rest, r)
	}
	return rest
}

// sameSender counts the recipients at the start that have the first one's sender.
func sameSender(j *flow.Job, to []flow.Recipient) int {
	for i := range to {
		if j.Sender(&to[i]) != j.Sender(&to[0]) {
			return i
		}
	}
	return len(to)
}

// generic maps an address on its way out, generic(5). Delivery agents get addresses as they are.
func (x *attempt) generic(ctx context.Context, c *conn, a address.Address) (address.Address, error) {
	if x.set.Generic == nil || c.key.lmtp || a.IsZero() {
		return a, nil
	}
	return x.set.Generic(ctx, a)
}

// source notes a failure to read the message, which is not the host's.
type source struct {
	recipe.Source
	err error
}

func (s *source) ReadBodyAt(ref recipe.BlobRef, p []byte, off int64) error {
	err := s.Source.ReadBodyAt(ref, p, off)
	if err != nil {
		s.err = err
	}
	return err
}

// errMessage wraps a failure to read the message.
var errMessage = status.Temp(451, 3, 0, "the message cannot be read from our storage at present")

// transaction sends the message to some recipients.
func (x *attempt) transaction(ctx context.Context, c *conn, to []flow.Recipient) ([]smtp.Outcome, error) {
	job := x.task.Job
	from, err := x.generic(ctx, c, job.Sender(&to[0]))
	if err != nil {
		return make([]smtp.Outcome, len(to)), err
	}
	e := &envelope.Envelope{From: from, Body: x.facts.body, Ret: job.Ret, EnvID: job.EnvID, RequireTLS: job.RequireTLS, Priority: job.Priority}
	if !c.key.lmtp { // whoever delivers does so now
		e.DeliverBy, e.DeliverByReturn = job.DeliverBy, job.DeliverByReturn
	}
	_, offered := c.Extension("SMTPUTF8")
	e.UTF8 = offered && (job.UTF8 || x.facts.utf8) || from.NeedsUTF8()
	for _, r := range to {
		a, err := x.generic(ctx, c, r.To)
		if err != nil {
			return make([]smtp.Outcome, len(to)), err
		}
		e.UTF8 = e.UTF8 || a.NeedsUTF8()
		e.Recipients = append(e.Recipients, envelope.Recipient{To: a, Notify: r.Notify, ORcpt: r.ORcpt})
	}
	src := &source{Source: x.opt.Source}
	if to[0].NextHop != "" && c.hop.addr.Addr().IsLoopback() { // a content filter of this host; nobody else hears whose mail it is
		if err := c.Forward(ctx, job.Client, job.ID.String()); err != nil && !c.Usable() {
			return make([]smtp.Outcome, len(to)), err
		}
	}
	body := recipe.NewReader(src, job.Message)
	if x.set.Checks != nil && to[0].Transport == flow.SMTP {
		if body, err = x.set.Checks(ctx, job, body); err != nil {
			return make([]smtp.Outcome, len(to)), err
		}
	}
	results, err := c.Send(ctx, &smtp.Outgoing{Envelope: e, Body: body, Size: body.Size()})
	if src.err == nil && errors.Is(err, smtp.ErrBodySize) {
		src.err = err
	}
	if src.err != nil {
		return results, errMessage.With("read the message", src.err)
	}
	return results, err
}

// wasClosed tells whether a connection ended before the host took MAIL, or at it by 421, as those do that waited too long.
func wasClosed(err error, results []smtp.Outcome) bool {
	var ce *smtp.ClientError
	if !errors.As(err, &ce) || ce.Phase != smtp.PhaseMail {
		return false
	}
	for _, r := range results {
		if r.Reply.Code != 0 && r.Reply.Code != 421 {
			return false
		}
	}
	return true
}

// results turns what became of a transaction into outcomes. again are recipients for another one on the same connection;
// a failure means that the host is of no more use.
func (x *attempt) results(c *conn, to []flow.Recipient, results []smtp.Outcome, err error) (again []flow.Recipient, f *failure) {
	var own *status.Error
	var ce *smtp.ClientError
	switch {
	case err == nil:
	case errors.As(err, &ce):
		f = broken(c.hop, err)
	case errors.As(err, &own) && own.Class == status.Temporary:
		x.opt.Log.Error("message cannot be sent now", obs.KeyComponent, "mta", obs.KeyQueueID, x.task.Job.ID.String(), obs.KeyError, err)
		f = ours(own, err).at(c.hop).in(string(smtp.PhaseData)).ownTrouble()
		for _, r := range append([]flow.Recipient(nil), x.pending...) { // no host can help
			x.decide(r.No, f.outcome())
		}
		return nil, f
	default: // the message cannot go to this host, and nothing was sent: size, 8-bit
		refusal := broken(c.hop, err)
		if own != nil {
			refusal = ours(own, err).at(c.hop).in(string(smtp.PhaseMail))
		}
		for _, r := range to {
			x.decide(r.No, refusal.outcome())
		}
		return nil, nil
	}
	accepted := false
	for _, o := range results {
		accepted = accepted || o.Phase == smtp.PhaseEnd
		if f != nil && o.Reply.Code == 421 { // that is why it broke
			f = refused(c.hop, o.Reply).in(string(o.Phase))
		}
	}
	for i, r := range to {
		switch o := results[i]; {
		case o.Reply.Code == 0:
			x.undecided(r.No, f)
		case o.Accepted():
			x.decide(r.No, x.taken(c, o.Reply))
		case accepted && tooMany(o):
			again = append(again, r)
		case o.Reply.Code/100 == 5 && !tooMany(o):
			x.decide(r.No, refused(c.hop, o.Reply).in(string(o.Phase)).outcome())
		default:
			x.postpone(r.No, refused(c.hop, o.Reply).in(string(o.Phase)).temporary().outcome())
		}
	}
	return again, f
}

// undecided is a recipient of whom the host had said nothing when the connection broke.
func (x *attempt) undecided(no int, f *failure) {
	if f == nil { // the engine promises an error then
		f = ours(status.Temp(451, 3, 0, "no reply"), nil)
	}
	if f.end { // RFC 1047: to try elsewhere at once would only make a second copy likelier
		x.decide(no, f.outcome())
		return
	}
	x.postpone(no, f.outcome())
}

// taken is the outcome of a recipient that the host is now responsible for.
func (x *attempt) taken(c *conn, r smtp.Reply) flow.Outcome {
	_, dsn := c.Extension("DSN")
	o := flow.Outcome{Result: flow.Relayed, Status: enhanced(r), Relay: c.hop.String(), RemoteMTA: c.hop.name, Reply: r.String(), DSNPassed: dsn, Signal: flow.Well}
	if c.key.lmtp && !dsn { // RFC 2033 §1: a delivery agent has delivered when it says so
		o.Result = flow.Delivered
	}
	return o
}

// tooMany tells whether a host wants no more recipients in this transaction: 452, and 552 from those that keep to RFC
// 821 (RFC 5321 §4.5.3.1.10), unless the enhanced code means something else.
func tooMany(o smtp.Outcome) bool {
	if o.Phase != smtp.PhaseRcpt {
		return false
	}
	many := o.Reply.Enhanced.Subject == 5 && o.Reply.Enhanced.Detail == 3
	return o.Reply.Code == 452 && (many || o.Reply.Enhanced.IsZero()) || o.Reply.Code == 552 && many
}
