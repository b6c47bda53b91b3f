// Package route decides, per envelope recipient, which way a message goes: into which mailboxes of ours, or to which next
// hop. It turns an envelope into the flow.Plan; alias expansion happens here, at acceptance, and is stored in the job.
//
// It asks a Directory whose domain and whose mailbox an address is; node fills it. It does no I/O of its own. Refusals
// are status.Errors fit for the reply to RCPT; anything the directory cannot answer is a temporary failure.
package route

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Target is one final recipient of an address: an account of ours, or an address elsewhere.
type Target struct {
	Account int64           // 0: elsewhere
	Address address.Address // final address
}

// Directory answers for the addresses of our domains.
type Directory interface {
	// Lookup returns who receives mail for a. ours is false, and the rest empty, when a's domain is not one of ours. For an
	// unknown user of our domain the error is a permanent status.Error; when the directory cannot tell, a temporary one.
	Lookup(ctx context.Context, a address.Address) (targets []Target, ours bool, err error)
}

// MaxTargets bounds the final recipients of one transaction after expansion.
const MaxTargets = 10_000

// Router makes plans.
type Router struct{ Directory Directory }

// ErrRelay refuses a recipient elsewhere from a client that may not relay. It names the mend.
var ErrRelay = status.Perm(554, 7, 1, "Relay access denied: not a domain of this system; our users send through the submission ports")

// Recipient decides the way for one envelope recipient. mayRelay is true for clients that may send to elsewhere. The
// recipients' numbers are left zero; Plan sets them.
func (r *Router) Recipient(ctx context.Context, rcpt envelope.Recipient, mayRelay bool) ([]flow.Recipient, error) {
	targets, ours, err := r.Directory.Lookup(ctx, rcpt.To)
	if err != nil {
		return nil, err
	}
	if !ours {
		if !mayRelay {
			return nil, ErrRelay
		}
		return []flow.Recipient{elsewhere(rcpt, rcpt.To)}, nil
	}
	out := make([]flow.Recipient, 0, len(targets))
	for _, t := range targets {
		if t.Account == 0 {
			out = append(out, elsewhere(rcpt, t.Address))
			continue
		}
		out = append(out, flow.Recipient{To: t.Address, Original: rcpt.To, Notify: rcpt.Notify, ORcpt: rcpt.ORcpt,
			Transport: flow.Mailbox, Account: t.Account})
	}
	if len(out) == 0 {
		return nil, status.Perm(550, 1, 1, "Recipient address has no destination")
	}
	return out, nil
}

// elsewhere is the way out. Which host that is the transfer agent decides at each attempt: a smart host of today takes the
// mail of yesterday too.
func elsewhere(rcpt envelope.Recipient, to address.Address) flow.Recipient {
	return flow.Recipient{To: to, Original: rcpt.To, Notify: rcpt.Notify, ORcpt: rcpt.ORcpt,
		Transport: flow.SMTP}
}

// Plan collects the recipients of one transaction: duplicates are merged (the first stands), numbers are given.
type Plan struct {
	seen       map[key]bool
	recipients []flow.Recipient
}

type key struct {
	transport flow.Transport
	account   int64
	to        address.Address
	folder    string
}

// Add takes the final recipients of one envelope recipient.
func (p *Plan) Add(rs []flow.Recipient) error {
	if p.seen == nil {
		p.seen = map[key]bool{}
	}
	if len(p.recipients)+len(rs) > MaxTargets {
		return status.Temp(452, 5, 3, fmt.Sprintf("Too many recipients: more than %d after expansion", MaxTargets))
	}
	for _, r := range rs {
		k := key{transport: r.Transport, account: r.Account, to: r.To, folder: fmt.Sprintf("%q", r.Folder)}
		if r.Transport == flow.Mailbox {
			k.to = address.Address{} // one copy per account and folder, whatever address it came by
		}
		if p.seen[k] {
			continue
		}
		p.seen[k] = true
		r.No = len(p.recipients)
		p.recipients = append(p.recipients, r)
	}
	return nil
}

// Changed returns the plan's recipients as those who judged the message want them.
func (p *Plan) Changed(c *flow.Changes) []flow.Recipient {
	if c.Discard != "" {
		return nil
	}
	if c.Quarantine != "" {
		for i := range p.recipients {
			if r := &p.recipients[i]; r.Transport == flow.Mailbox {
				r.Folder = []string{"Junk"}
			}
		}
	}
	return p.recipients
}

// Recipients returns the plan's recipients, numbered.
func (p *Plan) Recipients() []flow.Recipient { return p.recipients }
