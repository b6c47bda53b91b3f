package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// Resolver asks the DNS; *dns.Resolver is one.
type Resolver interface {
	LookupIP(ctx context.Context, host string, want dns.IPVersions) ([]netip.Addr, dns.Meta, error)
	LookupMX(ctx context.Context, domain string) ([]dns.MX, dns.Meta, error)
	LookupNS(ctx context.Context, domain string) ([]string, dns.Meta, error)
}

// DNSLists asks DNS lists; *dnslist.Asker is one.
type DNSLists interface {
	Client(ctx context.Context, client netip.Addr, lists []dnslist.List) []dnslist.Answer
	Domain(ctx context.Context, domain string, lists []dnslist.List) []dnslist.Answer
	Reason(ctx context.Context, of dnslist.Answer) string
}

// PolicyServers asks policy servers (SMTPD_POLICY_README).
type PolicyServers interface {
	// Ask returns the action, as in an access table. service is the argument of check_policy_service as it is written, without
	// braces: "inet:127.0.0.1:10023, timeout=10s". What answers nothing usable has its default action; an error is
	// 451 4.3.5.
	Ask(ctx context.Context, service string, attributes []Attribute) (action string, err error)
	// Check tells what is wrong with a service's name.
	Check(service string) error
}

// Attribute is a line of a policy request.
type Attribute struct{ Name, Value string }

// Destinations knows the domains that mail is taken for.
type Destinations interface {
	// Authorized tells whether anybody may send to a: its domain is one of ours, or one that we relay to.
	Authorized(ctx context.Context, a address.Address) (bool, error)
	// Listed tells whether a exists, which every address does that is not of a domain of ours; if not, where it should be:
	// "local recipient table".
	Listed(ctx context.Context, a address.Address, sender bool) (listed bool, where string, err error)
	// Fails returns the failure that the way of a is: error(8) in transport_maps; nil: it is none.
	Fails(ctx context.Context, a address.Address) (*status.Error, error)
}

// Owners knows whose addresses of ours are, where no smtpd_sender_login_maps say it.
type Owners interface {
	OwnsAddress(ctx context.Context, account int64, a address.Address) (bool, error)
}

// Prober finds out whether an address exists by asking where its mail goes.
type Prober interface {
	// Probe returns nil if a takes mail, a permanent status.Error if it does not, and any other error if that is not known yet.
	Probe(ctx context.Context, a address.Address) error
}

// Options of New.
type Options struct {
	Config  config.Access
	Lists   config.AccessLists
	Section string // of Lists, for errors: "access.smtp"
	// Mynetworks are the clients of permit_mynetworks.
	Mynetworks config.Networks
	Domain     string // of addresses without one
	Delimiters string // of address extensions
	// Certificates tells that clients are asked for one; without, restrictions about certificates find none.
	Certificates bool

	Tables       func(setting string) (table.List, error)
	Destinations Destinations
	Resolver     Resolver
	DNSLists     DNSLists
	Servers      PolicyServers // nil: check_policy_service is refused
	Greylist     Greylist      // nil: check_greylist lets everybody pass
	Owners       Owners
	Prober       Prober                               // nil: nothing can be verified
	Ours         func(netip.Addr) bool                // our own addresses, for permit_mx_backup and permit_inet_interfaces
	Sleep        func(context.Context, time.Duration) // nil: nobody waits
	Log          *slog.Logger
}

// Policy is the lists of a service, ready to judge. It is safe for concurrent use.
type Policy struct {
	opt     Options
	names   map[string]spec
	classes map[string]string // name → text
	lists   [lists][]rule
	logins  table.List
	certs   table.List
	replies table.List
	reply   *dnslist.Template
	dotted  bool // parents are looked up as ".domain"
	answers answers
}

var _ gate.Gate = (*Policy)(nil)

// New compiles the lists. The error names each setting with what is wrong in it.
func New(o Options) (*Policy, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Policy{opt: o, names: restrictions(), classes: map[string]string{}}
	var errs []error
	fail := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	for _, item := range o.Config.RestrictionClasses {
		fail("access.restriction_classes", p.class(item))
	}
	for name := range p.classes { // each is compiled once here, so that its mistakes are known though no list may use it
		_, err := (&parser{p: p, kind: Recipient}).classRules(name)
		fail("access.restriction_classes", err)
	}
	for k := range p.lists {
		var err error
		p.lists[k], err = p.Parse(Kind(k), Kind(k).items(&o.Lists))
		fail(o.Section+"."+Kind(k).Setting(), err)
	}
	open := func(key string, settings []string) (all table.List) {
		for _, s := range settings {
			l, err := o.Tables(s)
			fail(key, err)
			all = append(all, l...)
		}
		return all
	}
	p.logins = open("access.smtpd_sender_login_maps", o.Config.SmtpdSenderLoginMaps)
	p.certs = open("access.relay_clientcerts", o.Config.RelayClientcerts)
	p.replies = open("access.rbl_reply_maps", o.Config.RBLReplyMaps)
	var err error
	p.reply, err = dnslist.ParseTemplate(o.Config.DefaultRBLReply)
	fail("access.default_rbl_reply", err)
	p.dotted = true // see table.Host
	for _, s := range o.Config.ParentDomainMatchesSubdomains {
		for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
			p.dotted = p.dotted && w != "smtpd_access_maps"
		}
	}
	return p, errors.Join(errs...)
}

// NeedsNames tells whether the lists judge by the client's name, so that it is worth waiting for.
func (p *Policy) NeedsNames() bool {
	for _, list := range p.lists {
		if usesAny(list, func(name string) bool {
			return strings.Contains(name, "client") && name != "reject_rbl_client" && name != "permit_dnswl_client" && !strings.Contains(name, "cert") ||
				name == "check_policy_service"
		}) {
			return true
		}
	}
	return false
}

// Early tells whether client, HELO and sender are judged at their own stages.
func (p *Policy) Early() bool { return !p.opt.Lists.SmtpdDelayReject }

// class takes "name = restriction, ...".
func (p *Policy) class(item string) error {
	name, text, ok := strings.Cut(item, "=")
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	switch _, builtin := p.names[strings.ToLower(name)]; {
	case !ok || name == "" || strings.ContainsAny(name, " \t,{}:"):
		return fmt.Errorf("%.100q: expected is \"name = restriction, ...\"", item)
	case builtin:
		return fmt.Errorf("%q is the name of a restriction; choose another", name)
	case p.classes[name] != "":
		return fmt.Errorf("%q is there twice", name)
	case text == "":
		return fmt.Errorf("%q has no restriction; \"dunno\" is one that does nothing", name)
	}
	p.classes[name] = text
	return nil
}

// Kind is a list of restrictions.
type Kind int

// The lists, in the order in which they are judged.
const (
	Client Kind = iota
	Helo
	Sender
	Relay
	Recipient
	Data
	EndOfData
	lists = iota
)

// Setting is the list's name in the configuration.
func (k Kind) Setting() string {
	return [lists]string{"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions"}[k]
}

func (k Kind) items(l *config.AccessLists) []string {
	return [lists][]string{l.SmtpdClientRestrictions, l.SmtpdHeloRestrictions, l.SmtpdSenderRestrictions, l.SmtpdRelayRestrictions,
		l.SmtpdRecipientRestrictions, l.SmtpdDataRestrictions, l.SmtpdEndOfDataRestrictions}[k]
}

// class is what replies call the thing that a list judges.
func (k Kind) class() string {
	return [lists]string{"Client host", "Helo command", "Sender address", "Recipient address", "Recipient address", "Data command", "End-of-data"}[k]
}
