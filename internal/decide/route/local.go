package route

import (
	"context"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// localName follows an address of the local class: what the Expander says, else the account of the host's domain.
func (x *walk) localName(ctx context.Context, n node, final bool) error {
	a := n.address
	if x.Rules.HostDomain != "" {
		a.Domain = x.Rules.HostDomain
	}
	if x.Rules.LocalRecipientMaps != nil && len(n.path) == 0 {
		if listed, _, err := x.Listed(ctx, a); err != nil || !listed {
			return x.luser(ctx, n, a, firstOf(err, unknown(LocalDomain)))
		}
	}
	d, err := x.hop(ctx, n.address, LocalDomain)
	if err != nil {
		return err
	}
	if d.transport != flow.Mailbox {
		return x.elsewhere(ctx, n, a, d)
	}
	if x.Expander != nil {
		members, found, err := x.Expander.Expand(ctx, Local{Address: a, Path: n.path, From: x.query.From, Final: final})
		if err != nil {
			return err
		}
		if found {
			return x.members(ctx, n, a, members)
		}
	}
	err = x.mailbox(ctx, n, a, LocalDomain)
	if status.IsPermanent(err) && x.Rules.MailboxTransport != "" && x.Rules.LocalRecipientMaps != nil {
		// Whom the tables list gets his mail there whether or not the directory knows him, local(8).
		return x.named(ctx, n, a, "mailbox_transport", x.Rules.MailboxTransport, err)
	}
	if status.IsPermanent(err) && x.Rules.FallbackTransport != "" {
		return x.named(ctx, n, a, "fallback_transport", x.Rules.FallbackTransport, err) // before luser_relay, local(8)
	}
	return x.luser(ctx, n, a, err)
}

// named sends mail for a local name that the directory does not know where a setting says.
func (x *walk) named(ctx context.Context, n node, a address.Address, name, setting string, unknown error) error {
	d, err := x.decide(name, setting, a)
	if err != nil {
		return err
	}
	if d.transport == flow.Mailbox {
		return unknown
	}
	n.address = a
	return x.final(ctx, &n, d, LocalDomain)
}

// elsewhere sends an address of the local class where a transport says. What the directory's aliases stand for goes first;
// who was named in RCPT must be somebody.
func (x *walk) elsewhere(ctx context.Context, n node, a address.Address, d decision) error {
	targets, _, err := x.Directory.Lookup(ctx, a)
	switch {
	case status.IsTemporary(err), err != nil && len(n.path) == 0 && !x.mapped && x.Rules.LocalRecipientMaps == nil:
		return x.luser(ctx, n, a, err)
	case err == nil && (len(targets) != 1 || targets[0].Account == 0):
		return x.mailbox(ctx, n, a, LocalDomain)
	}
	return x.final(ctx, &n, d, LocalDomain)
}

// members follows what a local name stands for.
func (x *walk) members(ctx context.Context, n node, a address.Address, members []Member) error {
	n.address = a
	for _, m := range members {
		next := n.next(m.Address)
		if m.Sender != nil {
			next.sender = m.Sender
		}
		var err error
		switch {
		case m.Transport != 0:
			next.address = a
			x.query.tell("aliases", a.String(), m.Transport.String()+" "+m.NextHop)
			x.add(&next, flow.Recipient{To: a, Transport: m.Transport, NextHop: m.NextHop})
		case m.Self:
			x.query.tell("aliases", a.String(), `\`+m.Address.Local)
			next.address.Domain = a.Domain
			err = x.mailbox(ctx, next, next.address, LocalDomain)
		default:
			x.query.tell("aliases", a.String(), m.Address.String())
			err = x.follow(ctx, next, a)
		}
		if err := x.member(err); err != nil {
			return err
		}
	}
	return nil
}

// follow routes an address that an alias of the local class named. Its own name means the account behind the alias.
func (x *walk) follow(ctx context.Context, n node, alias address.Address) error {
	if err := x.step(&n); err != nil {
		return err
	}
	to := n.address
	local, err := x.local(ctx, to.Domain)
	if err != nil {
		return err
	}
	if !local { // local(8) hands what is not local back to cleanup(8)
		n.ours = true
		return x.virtual(ctx, n)
	}
	if x.Rules.HostDomain != "" {
		to.Domain = x.Rules.HostDomain
	}
	switch {
	case to.Equal(alias):
		n.address, n.path = to, n.path[:len(n.path)-1]
		return x.localName(ctx, n, true)
	case slices.ContainsFunc(n.path, to.Equal):
		return errMapping("alias_maps", "loop: "+arrows(append(n.path, to)))
	}
	n.address = to
	return x.localName(ctx, n, false)
}

// tame replaces what would end a local part: who writes "victim@elsewhere"@here must not choose where luser_relay leads.
func tame(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`@"\<>()[],:;`, r) {
			return '_'
		}
		return r
	}, s)
}

// luser sends mail for a local name that does not exist to luser_relay.
func (x *walk) luser(ctx context.Context, n node, a address.Address, err error) error {
	if !status.IsPermanent(err) || x.Rules.LuserRelay == "" || slices.ContainsFunc(n.path, a.Equal) {
		return err
	}
	user, extension, _ := address.SplitDelimiter(a.Local, x.Rules.Delimiter)
	if extension == "" {
		user = a.Local
	}
	text := strings.NewReplacer("$user", tame(user), "$extension", tame(extension), "$local", tame(a.Local), "$domain", n.address.Domain,
		"$recipient", a.String(), "$recipient_delimiter", x.Rules.Delimiter).Replace(x.Rules.LuserRelay)
	to, perr := x.parse(text)
	if perr != nil {
		return errMapping("luser_relay", perr.Error())
	}
	x.query.tell("luser_relay", a.String(), to.String())
	m := n
	m.address = a
	m = m.next(to)
	if to.Equal(a) {
		return err
	}
	return x.virtual(ctx, m)
}
