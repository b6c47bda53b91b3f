package access

import (
	"context"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// refuser refuses the sender, or the recipient.
type refuser func(e *eval, code int, subject, detail uint16, text string) outcome

func runNonFQDNSender(e *eval, _ *rule) outcome {
	if e.tx == nil || e.tx.Envelope.From.IsZero() || fqdn(e.tx.Envelope.From.Domain) {
		return pass
	}
	return e.refuseSender(e.policy.opt.Config.Codes.NonFQDNRejectCode, 5, 2, "need fully-qualified address")
}

func runNonFQDNRecipient(e *eval, _ *rule) outcome {
	if e.rcpt == nil || e.rcpt.To.IsPostmaster() || fqdn(e.rcpt.To.Domain) {
		return pass
	}
	return e.refuseRecipient(e.policy.opt.Config.Codes.NonFQDNRejectCode, 5, 2, "need fully-qualified address")
}

func runUnknownSenderDomain(e *eval, r *rule) outcome {
	if e.tx == nil || e.tx.Envelope.From.IsZero() {
		return pass
	}
	return e.unknownDomain(r, e.tx.Envelope.From, (*eval).refuseSender, true)
}

func runUnknownRecipientDomain(e *eval, r *rule) outcome {
	if e.rcpt == nil {
		return pass
	}
	return e.unknownDomain(r, e.rcpt.To, (*eval).refuseRecipient, false)
}

// unknownDomain refuses a domain that has neither MX nor address, or says that it takes no mail (RFC 7505).
func (e *eval) unknownDomain(r *rule, a address.Address, refuse refuser, sender bool) outcome {
	if _, literal := address.LiteralIP(a.Domain); literal || a.Domain == "" {
		return pass
	}
	ours, err := e.policy.opt.Destinations.Authorized(e.ctx, a)
	if err != nil {
		return e.lookupFailed(r, a.Path(), err)
	}
	if ours {
		return pass
	}
	detail, class := uint16(2), "Recipient address"
	if sender {
		detail, class = 8, "Sender address"
	}
	nullMX, err := takesMail(e.ctx, e.policy.opt.Resolver, a.Domain)
	switch {
	case nullMX && sender: // RFC 7505 §4.2
		return refuse(e, 550, 7, 27, "Domain "+a.Domain+" does not accept mail (nullMX)")
	case nullMX:
		return refuse(e, 556, 1, 10, "Domain "+a.Domain+" does not accept mail (nullMX)")
	case err == nil:
		return pass
	case dns.IsTemporary(err):
		return e.deferIfPermit(status.Temp(450, 1, detail, printable(a.Path()+": "+class+" rejected: Domain not found")).With(r.text, err))
	}
	return refuse(e, e.policy.opt.Config.Codes.UnknownAddressRejectCode, 1, detail, "Domain not found")
}

// takesMail asks whether mail for a domain has where to go.
func takesMail(ctx context.Context, r Resolver, domain string) (nullMX bool, err error) {
	mxs, _, err := r.LookupMX(ctx, domain)
	if err == nil {
		for _, mx := range mxs {
			if mx.Host != "" {
				return false, nil
			}
		}
		return true, nil
	}
	if dns.IsTemporary(err) || dns.KindOf(err) == dns.Invalid {
		return false, err
	}
	_, _, err = r.LookupIP(ctx, domain, dns.AnyIP)
	return false, err
}

func runUnlistedSender(e *eval, r *rule) outcome {
	if e.tx == nil || e.tx.Envelope.From.IsZero() {
		return pass
	}
	listed, where, err := e.policy.opt.Destinations.Listed(e.ctx, e.tx.Envelope.From, true)
	switch {
	case err != nil:
		return e.lookupFailed(r, e.senderPath(), err)
	case listed:
		return pass
	}
	return e.refuseSender(e.policy.opt.Config.Codes.UnknownLocalRecipientRejectCode, 1, 0, "User unknown in "+where)
}

// unlistedSender is smtpd_reject_unlisted_sender, behind the sender's list.
func (e *eval) unlistedSender() outcome {
	if !e.policy.opt.Config.SmtpdRejectUnlistedSender {
		return pass
	}
	r := &rule{text: "smtpd_reject_unlisted_sender"}
	o := runUnlistedSender(e, r)
	e.tell(r, o)
	return o
}

// runUnlistedRecipient says what routing says a little later; in front of greylisting and the like it spares them.
func runUnlistedRecipient(e *eval, r *rule) outcome {
	if e.rcpt == nil {
		return pass
	}
	fails, err := e.policy.opt.Destinations.Fails(e.ctx, e.rcpt.To)
	if err != nil {
		return e.lookupFailed(r, e.rcpt.To.Path(), err)
	}
	if fails != nil {
		return e.refuseRecipient(e.policy.opt.Config.Codes.UnknownLocalRecipientRejectCode, fails.Enhanced.Subject, fails.Enhanced.Detail, fails.Public)
	}
	listed, where, err := e.policy.opt.Destinations.Listed(e.ctx, e.rcpt.To, false)
	switch {
	case err != nil:
		return e.lookupFailed(r, e.rcpt.To.Path(), err)
	case listed:
		return pass
	}
	return e.refuseRecipient(e.policy.opt.Config.Codes.UnknownLocalRecipientRejectCode, 1, 1, "User unknown in "+where)
}

func runMultiBounce(e *eval, _ *rule) outcome {
	if e.tx == nil || !e.tx.Envelope.From.IsZero() {
		return pass
	}
	n := len(e.tx.Envelope.Recipients)
	if e.rcpt != nil {
		n++
	}
	if n < 2 {
		return pass
	}
	return e.refuseHere(e.policy.opt.Config.Codes.MultiRecipientBounceRejectCode, 5, 3, "Multi-recipient bounce")
}

func runUnverifiedSender(e *eval, r *rule) outcome {
	if e.tx == nil || e.tx.Envelope.From.IsZero() {
		return pass
	}
	c := &e.policy.opt.Config.Codes
	return e.verify(r, e.tx.Envelope.From, probe{c.UnverifiedSenderRejectCode, c.UnverifiedSenderDeferCode, 7, "Sender address", (*eval).refuseSender})
}

func runUnverifiedRecipient(e *eval, r *rule) outcome {
	if e.rcpt == nil {
		return pass
	}
	c := &e.policy.opt.Config.Codes
	return e.verify(r, e.rcpt.To, probe{c.UnverifiedRecipientRejectCode, c.UnverifiedRecipientDeferCode, 1, "Recipient address", (*eval).refuseRecipient})
}

// probe is how the answer to one is said.
type probe struct {
	reject, tempfail int
	detail           uint16
	class            string
	refuse           refuser
}

// verify refuses an address that does not exist; ADDRESS_VERIFICATION_README.
func (e *eval) verify(r *rule, a address.Address, p probe) outcome {
	if e.policy.opt.Prober == nil || e.session.conn.Dry {
		return pass
	}
	err := e.policy.opt.Prober.Probe(e.ctx, a)
	switch {
	case err == nil:
		return pass
	case status.IsPermanent(err):
		return p.refuse(e, p.reject, 1, p.detail, "undeliverable address: "+status.Of(err).Public)
	}
	return e.deferIfPermit(say(p.tempfail, 1, p.detail, a.Path()+": "+p.class+" rejected: unverified address: Address verification in progress").With(r.text, err))
}
