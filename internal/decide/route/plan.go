package route

import (
	"fmt"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// MaxTargets bounds the final recipients of one transaction after expansion.
const MaxTargets = 10_000

// Plan collects the recipients of one transaction: duplicates are merged (the first stands), numbers are given.
type Plan struct {
	From       address.Address // the reverse-path as Router.Sender has rewritten it: what the job gets
	seen       map[key]bool
	recipients []flow.Recipient
	copies     *Plan // of the bcc settings; nil: none
}

type key struct {
	transport flow.Transport
	account   int64
	to        address.Address
	folder    string
	nextHop   string
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
		switch r.Transport {
		case flow.Mailbox:
			k.to = address.Address{} // one copy per account and folder, whatever address it came by
		case flow.Pipe, flow.File, flow.Program:
			k.nextHop = r.NextHop // programs and files are told apart by what they are
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

// Copy takes what Copies returned for an envelope recipient. They are merged in behind all others when the message is judged:
// who is named in the envelope too is not taken for a copy, of whose failure nobody hears.
func (p *Plan) Copy(rs []flow.Recipient) error {
	if p.copies == nil {
		p.copies = &Plan{}
	}
	return p.copies.Add(rs)
}

// Copied are the addresses that the bcc settings named, each once.
func (p *Plan) Copied() (out []address.Address) {
	if p.copies == nil {
		return nil
	}
	seen := map[address.Address]bool{}
	for i := range p.copies.recipients {
		if a := p.copies.recipients[i].Original; !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// merge adds the recipients and the copies of another plan.
func (p *Plan) merge(from *Plan) error {
	if err := p.Add(from.recipients); err != nil || from.copies == nil {
		return err
	}
	return p.Add(from.copies.recipients)
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
