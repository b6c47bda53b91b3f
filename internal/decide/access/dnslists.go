package access

import (
	"strings"

	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/obs"
)

// runRBL refuses clients that a list of addresses has.
func runRBL(e *eval, r *rule) outcome {
	answer := e.policy.opt.DNSLists.Client(e.ctx, e.addr(), []dnslist.List{r.list})[0]
	return e.listed(r, answer, e.addr().String(), dnslist.ClassClient, obs.ReasonClient)
}

// rhsbl refuses names that a list of domains has.
func rhsbl(who subject) func(*eval, *rule) outcome {
	return func(e *eval, r *rule) outcome {
		name, about, ok := who(e)
		if _, literal := address.LiteralIP(name); !ok || literal {
			return pass
		}
		answer := e.policy.opt.DNSLists.Domain(e.ctx, name, []dnslist.List{r.list})[0]
		return e.listed(r, answer, strings.Trim(about.name(), "<>"), about.class, about.reason)
	}
}

// listed refuses what a list has. A list that cannot be asked says nothing.
func (e *eval) listed(r *rule, a dnslist.Answer, what, class string, reason obs.Reason) outcome {
	if a.Err != nil {
		e.policy.opt.Log.Info("access: a DNS list cannot be asked; it is passed over", "rule", r.text, "session", e.session.conn.Session, "error", a.Err)
	}
	if !a.Listed {
		return pass
	}
	if class == Client.class() && r.name != "reject_rbl_client" {
		what = e.session.name()
	}
	text := e.policy.opt.DNSLists.Reason(e.ctx, a)
	values := func(name string) string { return e.rblValue(name, r, what, class, text) }
	template, o := e.rblReply(r)
	if template == nil {
		return o
	}
	reply, problem := template.Reply(e.policy.opt.Config.Codes.MapsRBLRejectCode, values)
	if problem != nil {
		e.policy.opt.Log.Warn("access: the reply for a DNS list", "rule", r.text, "error", problem)
	}
	return e.refuse(reason, reply)
}

// rblReply is the reply's template: that of rbl_reply_maps, or the general one.
func (e *eval) rblReply(r *rule) (*dnslist.Template, outcome) {
	for _, key := range []string{r.list.Key(), r.list.Domain} {
		value, found, err := e.policy.replies.Lookup(e.ctx, key, false)
		if err != nil {
			return nil, e.lookupFailed(r, r.list.Domain, err)
		}
		if found {
			t, err := dnslist.ParseTemplate(value)
			if err != nil {
				return nil, e.misconfigured(r, err)
			}
			return t, pass
		}
	}
	return e.policy.reply, pass
}

// rblValue is what a name in a reply's template stands for.
func (e *eval) rblValue(name string, r *rule, what, class, text string) string {
	c := e.session.conn
	from, to := address.Address{}, address.Address{}
	if e.tx != nil {
		from = e.tx.Envelope.From
	}
	if e.rcpt != nil {
		to = e.rcpt.To
	}
	switch name {
	case "client":
		return e.session.client()
	case "client_address":
		return e.addr().String()
	case "client_name":
		return e.session.name()
	case "reverse_client_name":
		return c.Reverse
	case "helo_name":
		return c.Client.Helo
	case "recipient", "recipient_name", "recipient_domain":
		return partOf(to, strings.TrimPrefix(name, "recipient"))
	case "sender", "sender_name", "sender_domain":
		return partOf(from, strings.TrimPrefix(name, "sender"))
	case "rbl_class":
		return class
	case "rbl_domain":
		return r.list.Domain
	case "rbl_what":
		return what
	case "rbl_reason", "rbl_txt":
		return text
	}
	return ""
}

func partOf(a address.Address, which string) string {
	switch which {
	case "_name":
		return a.Local
	case "_domain":
		return a.Domain
	}
	return a.String()
}

func runDNSWL(e *eval, r *rule) outcome {
	return e.welcome(r, e.policy.opt.DNSLists.Client(e.ctx, e.addr(), []dnslist.List{r.list})[0])
}

func runRHSWL(e *eval, r *rule) outcome {
	name := e.session.conn.Client.Name
	if name == "" {
		return pass
	}
	return e.welcome(r, e.policy.opt.DNSLists.Domain(e.ctx, name, []dnslist.List{r.list})[0])
}

// welcome permits whom a list has, but nobody to relay: a list of strangers' good names is no account here.
func (e *eval) welcome(r *rule, a dnslist.Answer) outcome {
	if a.Err != nil {
		about := e.about()
		return e.deferIfReject(say(450, 7, 1, about.name()+": "+about.class+" rejected: DNSWL lookup error"))
	}
	if !a.Listed {
		return pass
	}
	if ours, o := e.authorized(r); e.rcpt != nil && !ours {
		return o
	}
	return permit
}
