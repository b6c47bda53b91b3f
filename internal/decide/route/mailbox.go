package route

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// mailbox asks the directory for a, and gives its accounts the way of their class.
func (x *walk) mailbox(ctx context.Context, n node, a address.Address, class Class) error {
	targets, ours, err := x.Directory.Lookup(ctx, a)
	if err != nil {
		return err
	}
	if !ours {
		return unknown(class)
	}
	tenant, _, err := x.Directory.Domain(ctx, a.Domain)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if x.query.Note != nil {
			x.query.tell("directory", a.String(), t.Address.String())
		}
		if t.Account == 0 {
			m := n
			m.address = a
			m = m.next(t.Address)
			m.ours, m.tenant = true, tenant
			if slices.Contains(n.path, t.Address) {
				return errMapping("directory", "loop: "+arrows(append(m.path, t.Address)))
			}
			if err := x.member(x.virtual(ctx, m)); err != nil {
				return err
			}
			continue
		}
		if err := x.member(x.account(ctx, n, a, t, class)); err != nil {
			return err
		}
	}
	return nil
}

// account gives a mailbox of ours its way: our mailstore, unless the transport of its class or transport_maps has another.
func (x *walk) account(ctx context.Context, n node, a address.Address, t Target, class Class) error {
	full := t.Address
	if t.Extension != "" && len(x.Rules.Delimiter) > 0 {
		full.Local += x.Rules.Delimiter[:1] + t.Extension
	}
	if !t.Address.Equal(a) && t.Address.Domain != a.Domain {
		var err error
		if class, _, err = x.class(ctx, t.Address.Domain); err != nil {
			return err
		}
	}
	d := decision{transport: flow.Mailbox}
	base, _, _ := address.SplitDelimiter(a.Local, x.Rules.Delimiter)
	same := t.Address.Equal(a) || t.Address.Equal(address.Address{Local: base, Domain: a.Domain})
	if class != LocalDomain || !same { // else localName has asked, for the address as it is
		var err error
		if d, err = x.hop(ctx, full, class); err != nil {
			return err
		}
	}
	if d.transport != flow.Mailbox {
		n.address = full
		return x.final(ctx, &n, d, class)
	}
	if class == LocalDomain {
		if placed, err := x.userMailbox(ctx, n, full, t); placed || err != nil {
			return err
		}
	}
	r := flow.Recipient{To: t.Address, Transport: flow.Mailbox, Account: t.Account}
	if n.sender == nil {
		if err := x.crosses(ctx, &r, a); err != nil {
			return err
		}
	}
	x.add(&n, r)
	return nil
}

// userMailbox gives a user of this host whatever has the place of our mailstore, in the order of local(8): mailbox_transport,
// mailbox_command or home_mailbox. placed is false where nothing has.
func (x *walk) userMailbox(ctx context.Context, n node, full address.Address, t Target) (placed bool, err error) {
	if setting := x.Rules.MailboxTransport; setting != "" {
		d, err := x.decide("mailbox_transport", setting, full)
		if err != nil || d.transport == flow.Mailbox {
			return false, err
		}
		n.address = full
		return true, x.final(ctx, &n, d, LocalDomain)
	}
	if x.Rules.UserMailbox == nil {
		return false, nil
	}
	transport, hop, err := x.Rules.UserMailbox(ctx, t.Address, t.Extension)
	if err != nil || transport == 0 {
		return false, err
	}
	x.query.tell("mailbox_command", full.String(), transport.String())
	x.add(&n, flow.Recipient{To: full, Transport: transport, NextHop: hop})
	return true, nil
}

// decide reads a setting that names a transport for an address.
func (x *walk) decide(name, setting string, a address.Address) (decision, error) {
	t, hop, err := ParseWay(setting).plan(a.Domain, x.Rules.Programs)
	if err != nil {
		return decision{}, status.Temp(451, 3, 5, "Mail transport unavailable").With(name+" for "+a.String(), err)
	}
	x.query.tell(name, a.String(), strings.TrimSpace(t.String()+" "+hop))
	return decision{t, hop}, nil
}

// crosses treats a mailbox that an alias of another tenant led to as one elsewhere: the mail comes from the forwarding
// tenant, not from the sender.
func (x *walk) crosses(ctx context.Context, r *flow.Recipient, a address.Address) error {
	first := x.address.Domain
	if first == r.To.Domain {
		return nil
	}
	from, ours, err := x.Directory.Domain(ctx, first)
	if err != nil || !ours {
		return err
	}
	to, ours, err := x.Directory.Domain(ctx, r.To.Domain)
	if err != nil || !ours || from == to {
		return err
	}
	x.query.tell("tenant", a.String(), fmt.Sprintf("leaves tenant %d for %d: relaying", from, to))
	return x.forwarded(ctx, r)
}
