package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/srs"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
)

// router is what decides where mail goes, by the configuration in force.
func (n *Node) router() *route.Router { return n.routing.Load() }

// newRouter makes a router of a configuration.
func (n *Node) newRouter(c *config.Config) (*route.Router, error) {
	rules, err := routingRules(c, n.tables, n.opt.Now)
	if err != nil {
		return nil, err
	}
	rules.Own = n.ownAddress
	rules.UserMailbox = n.userMailbox(c)
	router := &route.Router{Directory: addressBook{n.directory}, Rules: rules}
	router.Expander, err = n.newLocalNames(c, router)
	return router, err
}

// checkRouting finds what is wrong with the settings of [routing] besides their tables, for `config check`.
func checkRouting(tables *lookup.Opener, c *config.Config) (wrong []certs.Problem) {
	_, err := routingRules(c, tables, time.Now)
	if err == nil {
		return nil
	}
	for line := range strings.Lines(err.Error()) {
		key, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		wrong = append(wrong, certs.Problem{Key: key, Text: text})
	}
	return wrong
}

// RoutingRules reads the settings of a configuration that is not in force, for `config check` and tests; folder is where
// relative paths begin.
func RoutingRules(c *config.Config, folder string) (route.Rules, error) {
	if folder == "" {
		folder = c.DataDir
	}
	return routingRules(c, &lookup.Opener{Dir: folder, Now: time.Now, Intn: rand.IntN, Log: slog.New(slog.DiscardHandler)}, time.Now)
}

// ownAddress tells whether an address is this host's, as the domain of a recipient has it: one that a listener for mail has.
func (n *Node) ownAddress(ip netip.Addr) bool {
	if n.services == nil {
		return false
	}
	for _, l := range n.services.listeners {
		at, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil || l.service != "smtp" {
			continue
		}
		if bound := at.Addr().Unmap().WithZone(""); bound == ip || bound.IsUnspecified() && n.local(ip) {
			return true
		}
	}
	return false
}

// routingReader reads the settings of [routing]; it collects what is wrong with them.
type routingReader struct {
	tables   *lookup.Opener
	programs route.Programs
	below    []string // settings whose domains cover those below them
	errs     []error
}

func (r *routingReader) fail(key string, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("routing.%s: %w", key, err))
	}
}

// maps opens the tables of a setting.
func (r *routingReader) maps(key string, names []string) table.List {
	var all table.List
	for _, name := range names {
		list, err := r.tables.List(name)
		r.fail(key, err)
		all = append(all, list...)
	}
	return all
}

// maxDomains bounds the domains of one setting; more belong into a table.
const maxDomains = 100_000

// domains reads a list of domains: names, tables, files of such; "!" in front of each.
func (r *routingReader) domains(key string, items []string, depth int) route.Domains {
	var out route.Domains
	for _, item := range items {
		words, err := table.Split(item)
		r.fail(key, err)
		for _, word := range words {
			p := route.Pattern{Below: slices.Contains(r.below, key)}
			word, p.Not = strings.CutPrefix(word, "!")
			kind, _, typed := strings.Cut(strings.TrimPrefix(word, "proxy:"), ":")
			switch {
			case strings.HasPrefix(word, "/") && depth == 0:
				more, err := domainsFile(word)
				r.fail(key, err)
				inside := r.domains(key, more, depth+1)
				for i := range inside {
					inside[i].Not = inside[i].Not != p.Not
				}
				out = append(out, inside...)
				continue
			case typed && slices.Contains(lookup.Types(), kind):
				if p.Table, err = r.tables.List(word); err != nil {
					r.fail(key, err)
				}
			default:
				bare, dot := strings.CutPrefix(word, ".")
				if p.Name, err = address.CanonicalDomain(bare); err != nil {
					r.fail(key, fmt.Errorf("%q is no domain, table or file: %w", word, err))
					continue
				}
				if dot {
					p.Name = "." + p.Name
				}
			}
			if out = append(out, p); len(out) > maxDomains {
				r.fail(key, fmt.Errorf("more than %d domains: put them into a table", maxDomains))
				return nil
			}
		}
	}
	return out
}

// domainFiles are the files of domains that settings name.
func domainFiles(c *config.Config) (files []string) {
	s := &c.Routing
	for _, list := range [][]string{s.Mydestination, s.VirtualAliasDomains, s.VirtualMailboxDomains, s.RelayDomains} {
		for _, item := range list {
			words, err := table.Split(item)
			if err != nil {
				continue // newRouter says so
			}
			for _, word := range words {
				if word = strings.TrimLeft(word, "!"); strings.HasPrefix(word, "/") {
					files = append(files, word)
				}
			}
		}
	}
	return files
}

// domainsFile reads a file of domains: separated by blanks, with comments.
func domainsFile(path string) ([]string, error) {
	const most = 16 << 20
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, most)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, strings.ReplaceAll(line, ",", " "))
		}
	}
	return out, nil
}

// names reads a list of words separated as Postfix's settings are.
func (r *routingReader) names(key string, items []string) []string {
	var out []string
	for _, item := range items {
		words, err := table.Split(item)
		r.fail(key, err)
		out = append(out, words...)
	}
	return out
}

// way checks a setting that names a transport.
func (r *routingReader) way(key, s string) string {
	r.fail(key, route.CheckWay(s, r.programs))
	return s
}

// routingRules reads the settings of [routing]. now is the clock.
func routingRules(c *config.Config, tables *lookup.Opener, now func() time.Time) (route.Rules, error) {
	s, r := &c.Routing, &routingReader{tables: tables, below: c.Access.ParentDomainMatchesSubdomains, programs: programs(c)}
	or := func(name, otherwise string) string {
		if name == "" {
			name = otherwise
		}
		d, err := address.CanonicalDomain(name)
		if err != nil {
			return name
		}
		return d
	}
	rules := route.Rules{
		MyOrigin: or(s.Myorigin, c.Domain), MyDomain: or(s.Mydomain, c.Domain), HostDomain: or(c.Domain, ""), Delimiter: c.Delivery.RecipientDelimiter,
		AppendAtMyOrigin: s.AppendAtMyorigin, AppendDotMyDomain: s.AppendDotMydomain,
		SwapBangPath: s.SwapBangpath, AllowPercentHack: s.AllowPercentHack, ResolveDequoted: s.ResolveDequotedAddress,
		ResolveNumericDomain: s.ResolveNumericDomain,

		MyDestination:         r.domains("mydestination", s.Mydestination, 0),
		VirtualAliasDomains:   r.domains("virtual_alias_domains", s.VirtualAliasDomains, 0),
		VirtualMailboxDomains: r.domains("virtual_mailbox_domains", s.VirtualMailboxDomains, 0),
		RelayDomains:          r.domains("relay_domains", s.RelayDomains, 0),

		LocalRecipientMaps: r.maps("local_recipient_maps", s.LocalRecipientMaps), VirtualAliasMaps: r.maps("virtual_alias_maps", s.VirtualAliasMaps),
		VirtualMailboxMaps: r.maps("virtual_mailbox_maps", s.VirtualMailboxMaps), RelayRecipientMaps: r.maps("relay_recipient_maps", s.RelayRecipientMaps),
		CanonicalMaps: r.maps("canonical_maps", s.CanonicalMaps), SenderCanonicalMaps: r.maps("sender_canonical_maps", s.SenderCanonicalMaps),
		RecipCanonicalMaps: r.maps("recipient_canonical_maps", s.RecipientCanonicalMaps), RelocatedMaps: r.maps("relocated_maps", s.RelocatedMaps),
		TransportMaps:       r.maps("transport_maps", s.TransportMaps),
		GenericMaps:         r.maps("smtp_generic_maps", s.SMTPGenericMaps),
		SenderRelayhostMaps: r.maps("sender_dependent_relayhost_maps", s.SenderDependentRelayhostMaps),
		SenderTransportMaps: r.maps("sender_dependent_default_transport_maps", s.SenderDependentDefaultTransportMaps),
		SenderBCCMaps:       r.maps("sender_bcc_maps", s.SenderBCCMaps), RecipientBCCMaps: r.maps("recipient_bcc_maps", s.RecipientBCCMaps),
		AlwaysBCC:        s.AlwaysBCC,
		CanonicalClasses: classes(s.CanonicalClasses), MasqueradeClasses: classes(s.MasqueradeClasses),
		MasqueradeDomains: r.names("masquerade_domains", s.MasqueradeDomains), MasqueradeExceptions: r.names("masquerade_exceptions", s.MasqueradeExceptions),
		Propagate: propagation(s.PropagateUnmatchedExtensions),

		LocalTransport: r.way("local_transport", s.LocalTransport), VirtualTransport: r.way("virtual_transport", s.VirtualTransport),
		RelayTransport: r.way("relay_transport", s.RelayTransport), DefaultTransport: r.way("default_transport", s.DefaultTransport),

		MailboxTransport: r.way("mailbox_transport", s.MailboxTransport), FallbackTransport: r.way("fallback_transport", s.FallbackTransport),
		Programs: r.programs,

		LuserRelay: s.LuserRelay, DoubleBounce: s.DoubleBounceSender,
		ExpansionLimit: s.VirtualAliasExpansionLimit, RecursionLimit: s.VirtualAliasRecursionLimit,
	}
	if s.Relayhost != "" {
		_, err := flow.ParseNextHop(flow.SMTP, s.Relayhost)
		r.fail("relayhost", err)
	}
	if s.SRSDomain != "" {
		rules.SRS = r.srs(s, now)
	}
	return rules, errors.Join(r.errs...)
}

func classes(words []string) route.Classes {
	return route.Classes{EnvelopeSender: slices.Contains(words, "envelope_sender"), EnvelopeRecipient: slices.Contains(words, "envelope_recipient"),
		HeaderSender: slices.Contains(words, "header_sender"), HeaderRecipient: slices.Contains(words, "header_recipient")}
}

func propagation(words []string) route.Propagate {
	return route.Propagate{Canonical: slices.Contains(words, "canonical"), Virtual: slices.Contains(words, "virtual"),
		Alias: slices.Contains(words, "alias"), Forward: slices.Contains(words, "forward"), Include: slices.Contains(words, "include"),
		Generic: slices.Contains(words, "generic")}
}

// minSecret is the least length of an SRS secret, in bytes.
const minSecret = 8

// srs reads the secrets.
func (r *routingReader) srs(s *config.Routing, now func() time.Time) *srs.Rewriter {
	w := &srs.Rewriter{Now: now}
	var err error
	if w.Domain, err = address.CanonicalDomain(s.SRSDomain); err != nil {
		r.fail("srs_domain", err)
	}
	for _, name := range r.names("srs_exclude_domains", s.SRSExcludeDomains) {
		d, err := address.CanonicalDomain(strings.TrimPrefix(name, "."))
		r.fail("srs_exclude_domains", err)
		w.Exclude = append(w.Exclude, d)
	}
	text, err := os.ReadFile(filepath.Clean(s.SRSSecretsFile))
	if err != nil {
		r.fail("srs_secrets_file", err)
		return nil
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		switch line = strings.TrimRight(line, "\r\n"); {
		case line == "":
		case len(line) < minSecret:
			r.fail("srs_secrets_file", fmt.Errorf("%s:%d: a secret has at least %d characters", s.SRSSecretsFile, number, minSecret))
		default:
			w.Secrets = append(w.Secrets, []byte(line))
		}
	}
	if len(w.Secrets) == 0 {
		r.fail("srs_secrets_file", fmt.Errorf("%s has no secret", s.SRSSecretsFile))
		return nil
	}
	return w
}
