package node

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/access"
	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// accessControl is the restriction lists of all services, by the configuration in force.
type accessControl struct {
	policies map[string]*access.Policy // by section: smtp, submission
	names    *clientNames              // nil: names are not looked up
}

// accessGates are those who find out what a client is called, and judge by restriction lists. LMTP's client is a relay of our own.
func (n *Node) accessGates(service string) gate.Chain {
	a := n.access.Load()
	if a == nil || a.policies[accessSection(service)] == nil {
		return nil
	}
	p := a.policies[accessSection(service)]
	if a.names == nil {
		return gate.Chain{p}
	}
	return gate.Chain{a.names.gate(p), p}
}

// accessSection is the section of [access] that a service has its lists in.
func accessSection(service string) string {
	switch service {
	case "smtp":
		return "smtp"
	case "submission", "submissions":
		return "submission"
	}
	return ""
}

// newAccess makes the lists of a configuration. An open relay is an error too: it must not go into service.
func (n *Node) newAccess(c *config.Config, router *route.Router, resolver *dns.Resolver) (*accessControl, error) {
	a := &accessControl{policies: map[string]*access.Policy{}}
	var errs []error
	for _, section := range accessSections() {
		o := accessOptions(c, section, n.tables)
		o.Destinations, o.Resolver, o.DNSLists = destinations{router}, resolver, &dnslist.Asker{Resolver: resolver}
		o.Owners, o.Ours, o.Log = n.directory, n.ownAddress, n.log.With(obs.KeyComponent, "access")
		o.Sleep, o.Servers = sleep, newPolicyServers(c.Access.PolicyService, n.log.With(obs.KeyComponent, "policy"))
		o.Prober = n.newProber(c, router)
		o.Greylist = greylistRestriction{n.strangers}
		p, err := access.New(o)
		if errs = append(errs, err); err != nil {
			continue
		}
		wrong, _ := p.Open()
		for _, w := range wrong {
			errs = append(errs, errors.New(w))
		}
		a.policies[section] = p
	}
	if c.Access.SmtpdPeernameLookup {
		a.names = newClientNames(resolver)
	}
	return a, errors.Join(errs...)
}

func accessSections() []string { return []string{"smtp", "submission"} }

// accessOptions are the options of a section's lists that the configuration alone decides.
func accessOptions(c *config.Config, section string, tables *lookup.Opener) access.Options {
	o := access.Options{Config: c.Access, Lists: c.Access.SMTP, Section: "access." + section, Mynetworks: c.Access.Mynetworks,
		Domain: c.Domain, Delimiters: c.Delivery.RecipientDelimiter, Tables: tables.List, Servers: newPolicyServers(c.Access.PolicyService, nil)}
	if section == "submission" {
		o.Lists, o.Certificates = c.Access.Submission, c.TLS.ClientCA != ""
		o.Mynetworks = append(slices.Clone(o.Mynetworks), c.Submission.TrustedNetworks...)
	}
	return o
}

// CheckAccess judges the lists for `config check`; folder is where relative paths of tables begin. Open relays are wrong.
func CheckAccess(c *config.Config, folder string) (wrong, warnings []certs.Problem) {
	if folder == "" {
		folder = c.DataDir
	}
	tables := &lookup.Opener{Dir: folder, Now: time.Now, Intn: func(int) int { return 0 }, Log: slog.New(slog.DiscardHandler)}
	for _, section := range accessSections() {
		p, err := access.New(accessOptions(c, section, tables))
		if err != nil {
			wrong = append(wrong, certs.Problem{Key: "access", Text: err.Error()})
			continue
		}
		bad, doubtful := p.Open()
		for _, text := range bad {
			if p := (certs.Problem{Key: "open relay", Text: text}); !slices.Contains(wrong, p) { // both sections have mynetworks
				wrong = append(wrong, p)
			}
		}
		for _, text := range doubtful {
			warnings = append(warnings, certs.Problem{Key: "access." + section, Text: text})
		}
	}
	return wrong, warnings
}

// destinations is the router as access control asks it.
type destinations struct{ router *route.Router }

// Authorized implements access.Destinations.
func (d destinations) Authorized(ctx context.Context, a address.Address) (bool, error) {
	class, err := d.router.Class(ctx, a)
	return class != route.Default, err
}

// Listed implements access.Destinations.
func (d destinations) Listed(ctx context.Context, a address.Address, sender bool) (bool, string, error) {
	ask := d.router.Listed
	if sender {
		ask = d.router.ListedSender
	}
	listed, class, err := ask(ctx, a)
	return listed, class.Table(), err
}

// Fails implements access.Destinations.
func (d destinations) Fails(ctx context.Context, a address.Address) (*status.Error, error) {
	return d.router.Fails(ctx, a)
}

// sleep waits, as long as somebody is there.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// resolver of names is asked by what it answers.
type nameResolver interface {
	LookupPTR(ctx context.Context, addr netip.Addr) ([]string, dns.Meta, error)
	LookupIP(ctx context.Context, host string, want dns.IPVersions) ([]netip.Addr, dns.Meta, error)
}
