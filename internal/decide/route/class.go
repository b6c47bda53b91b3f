package route

import (
	"context"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
)

// Class is an address class: who is responsible for a domain.
type Class uint8

// The classes of ADDRESS_CLASS_README.
const (
	Default        Class = iota // elsewhere
	LocalDomain                 // the host's own domain, mydestination, an address literal of ours
	VirtualAlias                // virtual_alias_domains: no mailboxes, only what stands for others
	VirtualMailbox              // the directory's other domains, virtual_mailbox_domains
	Relay                       // relay_domains: ours to take, delivered elsewhere
)

func (c Class) String() string {
	return [...]string{"default", "local", "virtual alias", "virtual mailbox", "relay"}[c]
}

// Table names what lists the recipients of a class, in Postfix's words: "User unknown in " + Table().
func (c Class) Table() string {
	return [...]string{"", "local recipient table", "virtual alias table", "virtual mailbox table", "relay recipient table"}[c]
}

// Class tells the class of an address, as reject_unauth_destination and its like see it: after the standard form (source
// routes, percent hack, bang paths), before canonical and virtual tables. For an address that names a way beyond its domain
// (user%elsewhere@relayed.example) it is Default, since nobody knows where it would end; so it is for one that is not to
// be relayed to without permission. An SRS address of ours is of the local class. The error is a temporary one.
func (r *Router) Class(ctx context.Context, a address.Address) (Class, error) {
	a, err := r.form(ctx, a)
	if err != nil {
		return Default, err
	}
	if r.Rules.SRS.Ours(a) {
		return LocalDomain, nil
	}
	c, directory, err := r.class(ctx, a.Domain)
	if err != nil || directory || c == LocalDomain {
		return c, err
	}
	if routed(a) {
		return Default, nil
	}
	return c, nil
}

// routed tells whether a local part may name a way that some host behind us follows; Postfix's RESOLVE_FLAG_ROUTED.
func routed(a address.Address) bool { return strings.ContainsAny(a.Local, "@%!") }

// Listed tells whether an address of ours exists as far as the tables of its class tell, as reject_unlisted_recipient and
// reject_unlisted_sender ask; every address of class Default, and of a class that has no table, is. class is that of the
// address's domain. The error is a temporary one.
func (r *Router) Listed(ctx context.Context, a address.Address) (listed bool, class Class, err error) {
	return r.listed(ctx, a, r.Rules.RecipCanonicalMaps)
}

// ListedSender is Listed for a reverse-path: what its canonical maps make another address of exists.
func (r *Router) ListedSender(ctx context.Context, a address.Address) (listed bool, class Class, err error) {
	return r.listed(ctx, a, r.Rules.SenderCanonicalMaps)
}

// Fails is the failure that transport_maps have for an address as it is, error(8), whatever its class; nil: none. The error is a
// temporary one.
func (r *Router) Fails(ctx context.Context, a address.Address) (*status.Error, error) {
	x := &walk{Router: r, query: &Query{}}
	way, found, err := x.transportEntry(ctx, a)
	if err != nil || !found || way.Name != "error" {
		return nil, err
	}
	_, text, err := way.plan(a.Domain, r.Rules.Programs)
	if err != nil {
		return nil, err
	}
	code, text, _ := status.ParseEnhanced(text)
	return status.Perm(550, code.Subject, code.Detail, strings.TrimSpace(text)), nil
}

func (r *Router) listed(ctx context.Context, a address.Address, canonical table.List) (listed bool, class Class, err error) {
	if a, err = r.form(ctx, a); err != nil {
		return false, Default, err
	}
	if r.Rules.SRS.Ours(a) {
		_, err := r.Rules.SRS.Reverse(a)
		return err == nil, LocalDomain, nil
	}
	class, _, err = r.class(ctx, a.Domain)
	if err != nil || class == Default {
		return true, class, err
	}
	maps := []table.List{canonical, r.Rules.CanonicalMaps, r.Rules.VirtualAliasMaps}
	for _, list := range maps {
		if _, _, found, err := r.find(ctx, list, a); found || err != nil {
			return found, class, err
		}
	}
	return r.inClass(ctx, a, class)
}

// inClass asks the tables of a class alone.
func (r *Router) inClass(ctx context.Context, a address.Address, class Class) (bool, Class, error) {
	var list table.List
	switch class {
	case VirtualAlias:
		return false, class, nil
	case Relay:
		list = r.Rules.RelayRecipientMaps
	case LocalDomain:
		list = r.Rules.LocalRecipientMaps
	case VirtualMailbox:
		list = r.Rules.VirtualMailboxMaps
	}
	_, directory, err := r.class(ctx, a.Domain)
	if err != nil {
		return false, class, err
	}
	if class == LocalDomain && len(list) == 0 || directory && class == VirtualMailbox {
		_, err := r.Recipient(ctx, Query{To: envelope.Recipient{To: a}, MayRelay: true})
		if status.IsPermanent(err) {
			return false, class, nil
		}
		return err == nil, class, err
	}
	if len(list) == 0 {
		return true, class, nil
	}
	_, _, found, err := r.find(ctx, list, a)
	return found, class, err
}

// class tells the class of a domain, and whether it is the directory's.
func (r *Router) class(ctx context.Context, domain string) (c Class, directory bool, err error) {
	local, err := r.local(ctx, domain)
	if err != nil {
		return Default, false, err
	}
	if _, directory, err = r.Directory.Domain(ctx, domain); err != nil {
		return Default, false, err
	}
	switch {
	case local:
		return LocalDomain, directory, nil
	case directory:
		return VirtualMailbox, true, nil
	}
	for _, in := range []struct {
		setting string
		class   Class
		domains Domains
	}{
		{"virtual_alias_domains", VirtualAlias, r.Rules.aliasDomains()},
		{"virtual_mailbox_domains", VirtualMailbox, r.Rules.VirtualMailboxDomains},
		{"relay_domains", Relay, r.Rules.RelayDomains},
	} {
		is, err := in.domains.Has(ctx, domain)
		if err != nil {
			return Default, false, unasked(in.setting, err)
		}
		if is {
			return in.class, false, nil
		}
	}
	return Default, false, nil
}

// aliasDomains is virtual_alias_domains, whose default is the keys of virtual_alias_maps.
func (r *Rules) aliasDomains() Domains {
	if r.VirtualAliasDomains == nil && len(r.VirtualAliasMaps) > 0 {
		return Domains{{Table: r.VirtualAliasMaps}}
	}
	return r.VirtualAliasDomains
}

// local tells whether a domain is of the local class.
func (r *Router) local(ctx context.Context, domain string) (bool, error) {
	if domain == "" || domain == r.Rules.HostDomain { // RFC 5321 §4.5.1: postmaster
		return true, nil
	}
	if domain[0] == '[' { // RFC 5321 §4.1.3
		ip, ok := address.LiteralIP(domain)
		return ok && r.Rules.Own != nil && r.Rules.Own(ip), nil
	}
	is, err := r.Rules.MyDestination.Has(ctx, domain)
	if err != nil {
		return false, unasked("mydestination", err)
	}
	return is, nil
}

// unasked is the temporary failure of a table that could not be asked.
func unasked(setting string, err error) error {
	return status.Temp(451, 3, 0, "Temporary lookup failure").With(setting, err)
}
