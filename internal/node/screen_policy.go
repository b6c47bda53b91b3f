package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/screen"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/obs"
)

// strangerPolicy is what a configuration says about clients that nobody knows.
type strangerPolicy struct {
	config *config.Config
	access []accessRule
	sites  []dnslist.List
	asker  dnslist.Asker
	names  table.List // postscreen_dnsbl_reply_map
	grey   greyTables
}

// accessRule is an item of postscreen_access_list: a word, or tables.
type accessRule struct {
	text   string
	tables table.List
}

// newStrangerPolicy reads what a configuration says. Nothing is changed yet.
func (n *Node) newStrangerPolicy(c *config.Config, resolver *dns.Resolver) (*strangerPolicy, error) {
	p := &strangerPolicy{config: c, asker: dnslist.Asker{Resolver: resolver, Timeout: c.Screen.DNSBLTimeout.D()}}
	if wrong := checkStrangers(c); len(wrong) > 0 {
		return nil, fmt.Errorf("%s: %s", wrong[0].Key, wrong[0].Text)
	}
	sites, err := dnslist.ParseScored(c.Screen.DNSBLSites)
	if err != nil {
		return nil, fmt.Errorf("screen.postscreen_dnsbl_sites: %w", err)
	}
	p.sites = sites
	for _, word := range screenWords(c) {
		rule := accessRule{text: word}
		if !slices.Contains(accessWords(), word) {
			if rule.tables, err = n.tables.List(word); err != nil {
				return nil, fmt.Errorf("screen.postscreen_access_list: %w", err)
			}
		}
		p.access = append(p.access, rule)
	}
	if p.names, err = n.openList(c.Screen.DNSBLReplyMap); err != nil {
		return nil, fmt.Errorf("screen.postscreen_dnsbl_reply_map: %w", err)
	}
	p.grey, err = n.newGreyTables(c)
	return p, err
}

// openList opens a setting's tables.
func (n *Node) openList(items []string) (table.List, error) {
	return n.tables.List(strings.Join(items, ", "))
}

func accessWords() []string { return []string{"permit_mynetworks", "permit", "reject"} }

// screenWords are the items of postscreen_access_list, one each.
func screenWords(c *config.Config) (words []string) {
	for _, item := range c.Screen.AccessList {
		some, err := table.Split(item)
		if err != nil {
			return append(words, item) // refused as a table
		}
		words = append(words, some...)
	}
	return words
}

// checkStrangers finds what cannot be read in the settings of screening and greylisting.
func checkStrangers(c *config.Config) (wrong []certs.Problem) {
	if _, err := dnslist.ParseScored(c.Screen.DNSBLSites); err != nil {
		wrong = append(wrong, certs.Problem{Key: "screen.postscreen_dnsbl_sites", Text: err.Error()})
	}
	for _, word := range screenWords(c) {
		if !strings.Contains(word, ":") && !slices.Contains(accessWords(), word) {
			wrong = append(wrong, certs.Problem{Key: "screen.postscreen_access_list",
				Text: fmt.Sprintf("%.80q is none of %s, nor a table (type:path)", word, strings.Join(accessWords(), ", "))})
		}
	}
	return wrong
}

func screenSettings(c *config.Config) *screen.Settings {
	s := &c.Screen
	set := &screen.Settings{
		GreetWait: s.GreetWait.D(), DenylistAction: screen.Action(s.DenylistAction), Threshold: s.DNSBLThreshold,
		AllowlistThreshold: s.DNSBLAllowlistThreshold, MinTTL: s.DNSBLMinTTL.D(), MaxTTL: s.DNSBLMaxTTL.D(),
		Retention: s.CacheRetentionTime.D(), Waiting: s.PreQueueLimit, WaitingPerClient: s.ClientConnectionCountLimit,
		Acquaintance: s.Acquaintance.D(),
	}
	set.Rules[screen.Greet] = screen.Rule{On: s.GreetWait > 0, Action: screen.Action(s.GreetAction), TTL: s.GreetTTL.D()}
	set.Rules[screen.Lists] = screen.Rule{On: len(s.DNSBLSites) > 0, Action: screen.Action(s.DNSBLAction)}
	set.Rules[screen.Pipelining] = screen.Rule{On: s.PipeliningEnable, Action: screen.Action(s.PipeliningAction), TTL: s.PipeliningTTL.D()}
	set.Rules[screen.Commands] = screen.Rule{On: s.NonSMTPCommandEnable, Action: screen.Action(s.NonSMTPCommandAction), TTL: s.NonSMTPCommandTTL.D()}
	set.Rules[screen.Newlines] = screen.Rule{On: s.BareNewlineEnable, Action: screen.Action(s.BareNewlineAction), TTL: s.BareNewlineTTL.D()}
	return set
}

// applyStrangers puts a policy in force.
func (n *Node) applyStrangers(p *strangerPolicy) {
	set := screenSettings(p.config)
	if len(p.names) > 0 {
		set.ListName = p.listName
	}
	n.strangers.screen.Configure(set, p.config.Screen.CacheClients)
	n.strangers.grey.Configure(greylistSettings(p.config))
	n.strangers.policy.Store(p)
}

// listName is what a list is called in replies. It is asked within the lists' time.
func (p *strangerPolicy) listName(domain string) string {
	ctx, cancel := context.WithTimeout(context.Background(), p.asker.Timeout)
	defer cancel()
	if name, found, err := p.names.Lookup(ctx, domain, false); found && err == nil {
		return dnslist.Printable(name, 200)
	}
	return domain
}

// exempt tells whose clients are neither tested nor greylisted.
func (p *strangerPolicy) exempt(a netip.Addr) bool {
	return p.config.Screen.ExemptNetworks.Contains(a) || p.config.Limits.ExemptNetworks.Contains(a)
}

func (p *strangerPolicy) mynetworks(a netip.Addr) bool {
	return p.config.Access.Mynetworks.Contains(a) || p.config.Submission.TrustedNetworks.Contains(a)
}

// accessTime bounds what tables may take of a client's time.
const accessTime = 5 * time.Second

// permission is what the access list says. A table that cannot be asked says nothing.
func (p *strangerPolicy) permission(ctx context.Context, n *Node, a netip.Addr) (screen.Permission, string) {
	ctx, cancel := context.WithTimeout(ctx, accessTime)
	defer cancel()
	for _, rule := range p.access {
		word := rule.text
		if rule.tables != nil {
			value, _, found, err := rule.tables.First(ctx, table.Client(a))
			if err != nil && n.strangers.complain(rule.text) {
				n.log.Warn("postscreen_access_list: a table cannot be asked", "table", rule.text, obs.KeyError, err)
			}
			if !found || err != nil {
				continue
			}
			word = strings.ToLower(strings.TrimSpace(value))
		}
		switch word {
		case "permit", "ok":
			return screen.Permitted, rule.text
		case "reject":
			return screen.Denied, rule.text
		case "permit_mynetworks":
			if p.mynetworks(a) {
				return screen.Permitted, rule.text
			}
		case "dunno":
			return screen.Unlisted, ""
		default:
			if !n.strangers.complain(rule.text) {
				continue
			}
			n.log.Warn("postscreen_access_list: a table answers something else than permit, reject or dunno", "table", rule.text, "answer", word)
		}
	}
	return screen.Unlisted, ""
}
