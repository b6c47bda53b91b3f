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

// maxDepth bounds how often an address that stands for others is routed on: through tables, aliases, the directory, and the
// tables again.
const maxDepth = 100

// walk follows one envelope recipient to its final ones.
type walk struct {
	*Router
	query   *Query
	address address.Address // the recipient's, after canonical
	mapped  bool            // canonical has changed it
	out     []flow.Recipient
	steps   int   // addresses looked at
	dead    error // of a member that is nobody
}

// node is an address on its way.
type node struct {
	address address.Address
	path    []address.Address // those that stand for it
	sender  *address.Address  // of its copy; nil: the message's
	tenant  int64             // whose address led here
	ours    bool              // some address on the path is ours: what leaves now is forwarded
}

func (n *node) next(a address.Address) node {
	m := *n
	m.path = append(n.path[:len(n.path):len(n.path)], n.address)
	m.address = a
	return m
}

func (x *walk) run(ctx context.Context) ([]flow.Recipient, error) {
	ours, a, err := x.admit(ctx, x.plain(x.query.To.To))
	if err != nil {
		return nil, err
	}
	if x.address, err = x.canonical(ctx, x.query, a, false); err != nil {
		return nil, err
	}
	a, x.mapped = x.address, x.address != a
	if err := x.virtual(ctx, node{address: a, ours: ours}); err != nil {
		return nil, err
	}
	if len(x.out) == 0 {
		if x.dead != nil {
			return nil, x.dead
		}
		return nil, errNowhere
	}
	return x.out, nil
}

// admit tells whether the recipient is ours to take, reads an SRS address of ours, and refuses who may not relay.
func (x *walk) admit(ctx context.Context, a address.Address) (ours bool, to address.Address, err error) {
	if srs := x.Rules.SRS; srs.Ours(a) {
		to, err := srs.Reverse(a)
		if err != nil {
			return false, a, err
		}
		x.query.tell("srs", a.String(), to.String())
		return false, to, nil // its sender gets it as it is: bounces have the null reverse-path
	}
	class, err := x.Class(ctx, a)
	if err != nil {
		return false, a, err
	}
	if x.query.Note != nil {
		x.query.tell("class", a.String(), class.String())
	}
	if class == Default && !x.query.MayRelay {
		return false, a, ErrRelay
	}
	way, err := x.form(ctx, a)
	if err != nil {
		return false, a, err
	}
	if way != a {
		x.query.tell("form", a.String(), way.String())
	}
	real, _, err := x.class(ctx, way.Domain)
	if err != nil {
		return false, a, err
	}
	if real == VirtualAlias || real == Relay && len(x.Rules.RelayRecipientMaps) > 0 {
		listed, _, err := x.Listed(ctx, a)
		if err != nil {
			return false, a, err
		}
		if !listed {
			return false, a, unknown(real)
		}
	}
	return class != Default && class != Relay, a, nil
}

func unknown(c Class) error {
	return status.Perm(550, 1, 1, "Recipient address rejected: User unknown in "+c.Table())
}

// virtual follows virtual_alias_maps, for addresses of every class, and places what comes of it. As cleanup(8) does: an
// address that stands for itself (too) is looked up no more.
func (x *walk) virtual(ctx context.Context, from node) error {
	if err := x.step(&from); err != nil {
		return err
	}
	list := x.Rules.VirtualAliasMaps
	todo := []node{from}
	settled := map[address.Address]bool{}
	for i := 0; i < len(todo); i++ {
		if len(todo) > x.Rules.expansionLimit() {
			return errMapping("virtual_alias_maps", fmt.Sprintf("%s stands for more than %d addresses (virtual_alias_expansion_limit)", from.address, x.Rules.expansionLimit()))
		}
		for count := 0; !settled[todo[i].address]; count++ {
			n := todo[i]
			value, at, found, err := x.find(ctx, list, n.address)
			if err != nil {
				return err
			}
			if !found {
				break
			}
			if count >= x.Rules.recursionLimit() {
				return errMapping("virtual_alias_maps", fmt.Sprintf("%s: more than %d entries lead to one another (virtual_alias_recursion_limit)", from.address, x.Rules.recursionLimit()))
			}
			right, err := x.right("virtual_alias_maps", value, n.address, at, x.Rules.Propagate.Virtual)
			if err != nil {
				return err
			}
			x.query.tell("virtual_alias_maps", at.Text, value)
			self := slices.ContainsFunc(right, func(a address.Address) bool { return sameIgnoringCase(a, n.address) })
			settled[n.address] = self
			for j, a := range right {
				m := n.next(a)
				if self && sameIgnoringCase(a, n.address) {
					m = n
					m.address, settled[a] = a, true
				} else if slices.Contains(n.path, a) && !settled[a] {
					return errMapping("virtual_alias_maps", "loop: "+arrows(append(m.path, a)))
				}
				if j == 0 {
					todo[i] = m
				} else {
					todo = append(todo, m)
				}
			}
		}
	}
	for _, n := range todo {
		if err := x.member(x.place(ctx, n)); err != nil {
			return err
		}
	}
	return nil
}

// member passes a temporary failure on, and lets one that is nobody go: it must not keep the others from their mail. If all
// are, the recipient is refused.
func (x *walk) member(err error) error {
	if !status.IsPermanent(err) {
		return err
	}
	x.dead = err
	x.query.tell("nobody", x.address.String(), err.Error())
	return nil
}

// step bounds the work for one envelope recipient.
func (x *walk) step(n *node) error {
	if x.steps++; x.steps > MaxTargets || len(x.out) > MaxTargets {
		return errMapping("expansion", fmt.Sprintf("%s stands for more than %d addresses", x.address, MaxTargets))
	}
	if len(n.path) > maxDepth {
		return errMapping("expansion", fmt.Sprintf("more than %d addresses stand for one another: %s", maxDepth, arrows(n.path)))
	}
	return nil
}

// place gives an address, of which the tables have said everything, its way.
func (x *walk) place(ctx context.Context, n node) error {
	if err := x.step(&n); err != nil {
		return err
	}
	a, err := x.form(ctx, n.address)
	if err != nil {
		return err
	}
	n.address = a
	if x.Rules.DoubleBounce != "" && strings.EqualFold(a.Local, x.Rules.DoubleBounce) {
		if local, err := x.local(ctx, a.Domain); err != nil || local {
			x.add(&n, flow.Recipient{To: a, Transport: flow.Drop, NextHop: "undeliverable notification"})
			return err
		}
	}
	class, directory, err := x.class(ctx, a.Domain)
	if err != nil {
		return err
	}
	n.ours = n.ours || class != Default && class != Relay && len(n.path) > 0
	if class == LocalDomain {
		return x.localName(ctx, n, false)
	}
	if directory {
		return x.mailbox(ctx, n, a, class)
	}
	d, err := x.hop(ctx, a, class)
	if err != nil {
		return err
	}
	if d.transport == flow.Mailbox {
		if class == VirtualMailbox && len(x.Rules.VirtualMailboxMaps) > 0 {
			return x.mailbox(ctx, n, a, class)
		}
		return unknown(max(class, LocalDomain))
	}
	if class == VirtualMailbox {
		if listed, _, err := x.inClass(ctx, a, class); err != nil || !listed {
			return firstOf(err, unknown(class))
		}
	}
	return x.final(ctx, &n, d, class)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// final adds a recipient that does not end in our mailstore.
func (x *walk) final(ctx context.Context, n *node, d decision, class Class) error {
	if d.transport == flow.Error {
		code, text, _ := status.ParseEnhanced(d.nextHop)
		if code.Class == status.Permanent {
			return status.Perm(550, code.Subject, code.Detail, strings.TrimSpace(text))
		}
	}
	if d.transport == flow.SMTP && !x.query.MayRelay && routed(x.query.To.To) && routed(n.address) {
		return ErrRelay // the next host may follow the way: whoever trusts us would be made an open relay
	}
	r := flow.Recipient{To: n.address, Transport: d.transport, NextHop: d.nextHop, Sender: n.sender}
	if class == Default && n.ours && (d.transport == flow.SMTP || d.transport == flow.LMTP) {
		if err := x.forwarded(ctx, &r); err != nil {
			return err
		}
	}
	x.add(n, r)
	return nil
}

// add completes a recipient by what the envelope said.
func (x *walk) add(n *node, r flow.Recipient) {
	rcpt := &x.query.To
	r.Original, r.Notify, r.ORcpt = rcpt.To, rcpt.Notify, rcpt.ORcpt
	if r.Sender == nil {
		r.Sender = n.sender
	}
	x.out = append(x.out, r)
}
