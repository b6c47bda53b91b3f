package route

import (
	"context"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/decide/srs"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
)

// Rules are the settings, each as Postfix's parameter of that name. The zero Rules have nothing but the directory.
type Rules struct {
	HostDomain string                // the host's own domain: its addresses are of the local class
	MyOrigin   string                // the domain of addresses in tables and settings that have none
	MyDomain   string                // append_dot_mydomain's
	Delimiter  string                // recipient_delimiter
	Own        func(netip.Addr) bool // whether an address is this host's; nil: none is

	AppendAtMyOrigin     bool // without it such addresses are of HostDomain: mail can go to no other
	AppendDotMyDomain    bool
	SwapBangPath         bool
	AllowPercentHack     bool
	ResolveDequoted      bool
	ResolveNumericDomain bool

	MyDestination         Domains
	VirtualAliasDomains   Domains // nil: the domains that are keys of VirtualAliasMaps
	VirtualMailboxDomains Domains
	RelayDomains          Domains

	LocalRecipientMaps   table.List
	VirtualAliasMaps     table.List
	VirtualMailboxMaps   table.List
	RelayRecipientMaps   table.List
	CanonicalMaps        table.List
	SenderCanonicalMaps  table.List
	RecipCanonicalMaps   table.List
	RelocatedMaps        table.List
	TransportMaps        table.List
	GenericMaps          table.List // smtp_generic_maps
	SenderRelayhostMaps  table.List // sender_dependent_relayhost_maps
	SenderTransportMaps  table.List // sender_dependent_default_transport_maps
	SenderBCCMaps        table.List
	RecipientBCCMaps     table.List
	AlwaysBCC            string
	CanonicalClasses     Classes
	MasqueradeDomains    []string
	MasqueradeExceptions []string
	MasqueradeClasses    Classes
	Propagate            Propagate // propagate_unmatched_extensions

	LocalTransport   string // each "transport:nexthop"; empty: the mailstore, or smtp
	VirtualTransport string
	RelayTransport   string
	DefaultTransport string

	// MailboxTransport is a Way for users of the local class once aliases are done, FallbackTransport for names that do not exist;
	// empty: none.
	MailboxTransport  string
	FallbackTransport string
	// UserMailbox says where the mail of an account of the local class goes instead of our mailstore (mailbox_command,
	// home_mailbox); nil, and a zero transport: nowhere else. An error is a temporary failure.
	UserMailbox func(ctx context.Context, account address.Address, extension string) (t flow.Transport, nextHop string, err error)
	Programs    Programs

	LuserRelay     string
	DoubleBounce   string // double_bounce_sender, a local part; empty: nothing special
	ExpansionLimit int    // virtual_alias_expansion_limit; 0: 1000
	RecursionLimit int    // virtual_alias_recursion_limit; 0: 1000

	SRS *srs.Rewriter // nil: reverse-paths of forwarded mail stay
}

// Classes say which addresses canonical or masquerade rules change.
type Classes struct {
	EnvelopeSender, EnvelopeRecipient, HeaderSender, HeaderRecipient bool
}

// Propagate says where an address extension that a key lacked is put behind what the key stands for.
type Propagate struct{ Canonical, Virtual, Alias, Forward, Include, Generic bool }

const defaultLimit = 1000

func (r *Rules) expansionLimit() int { return limit(r.ExpansionLimit) }
func (r *Rules) recursionLimit() int { return limit(r.RecursionLimit) }

func limit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return n
}

// Domains is a list of domains as Postfix's settings have them: matched in order, the first match decides.
type Domains []Pattern

// Pattern is one item of Domains.
type Pattern struct {
	Not   bool       // "!item": not one of them
	Name  string     // a domain in A-labels; with a dot in front: the domains below it
	Below bool       // Name covers the domains below it too (parent_domain_matches_subdomains)
	Table table.List // a table that has the domain for a key; Name is empty
}

// Has tells whether a domain is in the list.
func (d Domains) Has(ctx context.Context, domain string) (bool, error) {
	for _, p := range d {
		if p.Table == nil {
			if p.Name == domain || (p.Below || p.Name[0] == '.') && strings.HasSuffix(domain, "."+strings.TrimPrefix(p.Name, ".")) {
				return !p.Not, nil
			}
			continue
		}
		keys := table.Host(domain, p.Below, false)
		if shown := address.DisplayDomain(domain); shown != domain {
			keys = append(keys, table.Host(shown, p.Below, false)...)
		}
		for _, k := range keys {
			_, found, err := p.Table.Lookup(ctx, k.Text, false)
			if err != nil {
				return false, err
			}
			if found {
				return !p.Not, nil
			}
		}
	}
	return false, nil
}

// keys lists the keys for an address as canonical(5), virtual(5), generic(5), relocated(5) have them. A domain in A-labels is
// asked for in U-labels too: that is how people write it.
func (r *Router) keys(ctx context.Context, a address.Address) ([]table.Key, error) {
	parts := table.WithoutExtension | table.AtDomain
	local, err := r.local(ctx, a.Domain)
	if err != nil {
		return nil, err
	}
	if local || a.Domain == r.Rules.MyOrigin {
		parts |= table.LocalPart
	}
	return r.both(a, parts), nil
}

// both lists keys for the domain's A-labels, and then for its U-labels where they differ.
func (r *Router) both(a address.Address, parts table.Parts) []table.Key {
	keys := table.Address(a, parts, r.Rules.Delimiter, true)
	if !strings.Contains(a.Domain, "xn--") {
		return keys
	}
	shown := address.DisplayDomain(a.Domain)
	if shown == a.Domain {
		return keys
	}
	var all []table.Key
	for _, k := range keys {
		all = append(all, k)
		if text := strings.TrimSuffix(k.Text, a.Domain); text != k.Text {
			all = append(all, table.Key{Text: text + shown, Partial: k.Partial, Ext: k.Ext})
		}
	}
	return all
}
