package route

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// decision is where a final address goes.
type decision struct {
	transport flow.Transport
	nextHop   string
}

// hop decides transport and next hop of an address of a class, in the order of trivial-rewrite(8): the transport of the
// class, for what leaves the next hop that the sender or relayhost names, transport_maps, relocated_maps.
func (x *walk) hop(ctx context.Context, a address.Address, class Class) (decision, error) {
	if class == VirtualAlias { // transport_maps have no say
		return decision{flow.Error, "5.1.1 User unknown in " + class.Table()}, nil
	}
	way, leaves, err := x.classWay(ctx, class)
	if err != nil {
		return decision{}, err
	}
	named := way.NextHop != "" // by a setting, not the domain
	if leaves && !named {
		if hop, found, err := x.bySender(ctx, "sender_dependent_relayhost_maps", x.Rules.SenderRelayhostMaps); err != nil {
			return decision{}, err
		} else if found {
			way.NextHop, named = hop, true
		}
	}
	entry, found, err := x.transportEntry(ctx, a)
	if err != nil {
		return decision{}, err
	}
	if found {
		if entry.Name != "" {
			way, named = Way{Name: entry.Name}, true // its next hop is the domain, whatever relayhost says
		}
		if entry.NextHop != "" {
			way.NextHop, named = entry.NextHop, true
		}
	}
	if moved, err := x.moved(ctx, a); err != nil || moved != "" {
		return decision{flow.Error, moved}, err
	}
	if way.Name == "" {
		way.Name = "smtp"
	}
	if !named && (way.Name == "smtp" || way.Name == "relay") {
		// Which host that is the transfer agent decides at each attempt: a smart host of today takes the mail of yesterday too.
		if x.query.Note != nil {
			x.query.tell("transport", a.String(), "smtp")
		}
		return decision{flow.SMTP, ""}, nil
	}
	t, hop, err := way.plan(a.Domain, x.Rules.Programs)
	if err != nil {
		return decision{}, status.Temp(451, 3, 5, "Mail transport unavailable").With("transport for "+a.String(), err)
	}
	if x.query.Note != nil {
		x.query.tell("transport", a.String(), strings.TrimSpace(t.String()+" "+hop))
	}
	return decision{t, hop}, nil
}

// classWay is the transport of a class; leaves tells that relayhost has a say.
func (x *walk) classWay(ctx context.Context, class Class) (w Way, leaves bool, err error) {
	or := func(setting, otherwise string) Way {
		if setting == "" {
			setting = otherwise
		}
		return ParseWay(setting)
	}
	rules := &x.Rules
	switch class {
	case LocalDomain:
		return or(rules.LocalTransport, "local"), false, nil
	case VirtualMailbox:
		return or(rules.VirtualTransport, "virtual"), false, nil
	case Relay:
		return or(rules.RelayTransport, "relay"), true, nil
	}
	by, found, err := x.bySender(ctx, "sender_dependent_default_transport_maps", rules.SenderTransportMaps)
	if err != nil {
		return Way{}, false, err
	}
	if found {
		return ParseWay(by), true, nil
	}
	return or(rules.DefaultTransport, "smtp"), true, nil
}

// bySender asks tables for the sender; the null one is "<>". DUNNO ends the search without an answer.
func (x *walk) bySender(ctx context.Context, setting string, list table.List) (string, bool, error) {
	value, at, found, err := x.find(ctx, list, x.query.From)
	if err != nil || !found {
		return "", false, err
	}
	x.query.tell(setting, at.Text, value)
	if strings.EqualFold(value, "DUNNO") {
		return "", false, nil
	}
	return value, true, nil
}

// transportEntry is the entry of transport_maps for an address, transport(5).
func (x *walk) transportEntry(ctx context.Context, a address.Address) (Way, bool, error) {
	list := x.Rules.TransportMaps
	if len(list) == 0 {
		return Way{}, false, nil
	}
	keys := x.both(a, table.WithoutExtension)
	names := []string{a.Domain}
	if shown := address.DisplayDomain(a.Domain); shown != a.Domain {
		names = append(names, shown)
	}
	for _, name := range names {
		for _, k := range table.Host(name, true, true) {
			keys = append(keys, table.Key{Text: k.Text, Partial: true})
		}
	}
	keys = append(keys, table.Key{Text: "*", Partial: true})
	value, at, found, err := list.First(ctx, keys)
	if err != nil {
		return Way{}, false, unasked("transport_maps", err)
	}
	if !found {
		return Way{}, false, nil
	}
	x.query.tell("transport_maps", at.Text, value)
	return ParseWay(value), true, nil
}

// moved is the reason for which an address of relocated_maps fails.
func (x *walk) moved(ctx context.Context, a address.Address) (string, error) {
	value, at, found, err := x.find(ctx, x.Rules.RelocatedMaps, a)
	if err != nil || !found {
		return "", err
	}
	x.query.tell("relocated_maps", at.Text, value)
	return fmt.Sprintf("5.1.6 User has moved to %s", clean(value)), nil
}
