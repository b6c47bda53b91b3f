package access

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
)

// Open tells why the lists let strangers relay: an operator's mistake that must not go into service. doubtful are rules with
// which a stranger can get a permission by saying the right name.
func (p *Policy) Open() (wrong, doubtful []string) {
	if reason := openNetwork(p.opt.Mynetworks); reason != "" && (p.permitsNetworks(Relay) || p.permitsNetworks(Recipient)) {
		wrong = append(wrong, reason)
	}
	j := &judge{p: p}
	for k, list := range p.lists {
		if !p.opt.Certificates && usesAny(list, func(name string) bool { return strings.Contains(name, "cert") }) {
			j.doubtful = append(j.doubtful, fmt.Sprintf("%s.%s: no client is asked for a certificate here, so what judges by certificates finds none. "+
				"They are asked for on the submission services, with tls.client_ca", p.opt.Section, Kind(k).Setting()))
		}
	}
	relay := j.stranger(p.lists[Relay], Relay, false)
	if relay.verdict == refuses {
		return wrong, j.doubtful
	}
	recipient := j.stranger(p.lists[Recipient], Recipient, false)
	if recipient.verdict == refuses {
		return wrong, j.doubtful
	}
	mend := "put reject_unauth_destination in front of it"
	switch {
	case relay.verdict == permits && relay.rule != "":
		wrong = append(wrong, fmt.Sprintf("%s.%s: %q lets every client relay: %s", p.opt.Section, Relay.Setting(), relay.rule, mend))
	case recipient.verdict == permits:
		wrong = append(wrong, fmt.Sprintf("%s.%s: %q lets every client relay: %s", p.opt.Section, Recipient.Setting(), recipient.rule, mend))
	default:
		doubtful = append(j.doubtful, fmt.Sprintf("%s: no list says what happens to mail for elsewhere; it is refused. Postfix wants reject_unauth_destination in %s or %s",
			p.opt.Section, Relay.Setting(), Recipient.Setting()))
		return wrong, doubtful
	}
	return wrong, j.doubtful
}

// openNetwork finds a network that strangers are in.
func openNetwork(nets config.Networks) string {
	for _, n := range nets {
		if n.Wide() {
			return fmt.Sprintf("access.mynetworks: %s has most of the internet in it, and every client of mynetworks may relay: name your own networks only", n)
		}
	}
	return ""
}

func (p *Policy) permitsNetworks(k Kind) bool { return uses(p.lists[k], "permit_mynetworks") }

func uses(rules []rule, name string) bool {
	return usesAny(rules, func(n string) bool { return n == name })
}

func usesAny(rules []rule, is func(name string) bool) bool {
	for i := range rules {
		if is(rules[i].name) || usesAny(rules[i].rules, is) {
			return true
		}
	}
	return false
}

// found is what a list says to a stranger with mail for elsewhere, as far as it can be told without one.
type found struct {
	verdict verdict
	rule    string
}

type judge struct {
	p        *Policy
	doubtful []string
	depth    int // of lists that tables have answered with: one may lead to its own table
}

// stranger judges a list; with warn its refusals are logged only.
func (j *judge) stranger(rules []rule, k Kind, warn bool) found {
	for i := range rules {
		r := &rules[i]
		warn := warn || r.warn
		v := found{}
		switch r.name {
		case "reject", "defer", "reject_unauth_destination", "defer_unauth_destination":
			if !warn {
				return found{refuses, r.text}
			}
		case "permit":
			return found{permits, r.text}
		case "permit_mx_backup":
			if len(j.p.opt.Config.PermitMXBackupNetworks) == 0 {
				j.doubt(k, r, "anybody whose domain names this host among its mail exchangers can relay to it: set access.permit_mx_backup_networks")
			}
		case "check_helo_access", "check_sender_access", "check_reverse_client_hostname_access":
			if v = j.always(r, k, warn); v.verdict == passes {
				j.doubt(k, r, "anybody can say a name for which it answers OK, and relay")
			}
		case "check_client_access", "check_recipient_access":
			v = j.always(r, k, warn)
		}
		if v.verdict == passes {
			v = j.stranger(r.rules, k, warn) // of a class
		}
		if v.verdict != passes {
			return v
		}
	}
	return found{}
}

func (j *judge) doubt(k Kind, r *rule, why string) {
	j.doubtful = append(j.doubtful, fmt.Sprintf("%s.%s: %q stands in front of reject_unauth_destination: %s", j.p.opt.Section, k.Setting(), r.text, why))
}

// always tells a table that has one answer for everybody, or lets in strangers from all over the internet. Servers of databases
// are not asked.
func (j *judge) always(r *rule, k Kind, warn bool) found {
	kind, value, _ := strings.Cut(r.arg, ":")
	switch kind {
	case "static":
		return j.means(r, strings.Trim(value, "{} "), k, warn)
	case "hash", "btree", "lmdb", "cdb", "texthash", "cidr", "regexp", "pcre", "inline":
	default:
		return found{}
	}
	// The addresses of documentation (RFC 5737) and the names of examples (RFC 2606) are nobody's; three of them in one table are
	// no list of friends.
	for i, a := range []string{"192.0.2.77", "198.51.100.77", "203.0.113.77"} {
		name := []string{"unlisted.example.com", "unlisted.example.net", "unlisted.example.org"}[i]
		var keys []table.Key
		switch r.name {
		case "check_client_access":
			keys = append(table.Host(unknown, true, j.p.dotted), table.Client(netip.MustParseAddr(a))...)
		case "check_sender_access", "check_recipient_access":
			keys = j.p.address(address.Address{Local: "unlisted", Domain: name})
		default:
			keys = table.Host(name, true, j.p.dotted)
		}
		value, _, ok, err := r.tables.First(context.Background(), keys)
		if !ok || err != nil || j.means(r, value, k, warn).verdict != permits {
			return found{}
		}
	}
	return found{permits, r.text}
}

// means is what an action comes to.
func (j *judge) means(r *rule, value string, k Kind, warn bool) found {
	a, err := ParseAction(value)
	if err != nil {
		return found{}
	}
	switch a.Verb {
	case OK:
		return found{permits, r.text}
	case Reject, Defer, Reply:
		if !warn {
			return found{refuses, r.text}
		}
	case Restrictions:
		if rules, err := j.p.answer(k, a.Text); err == nil && j.depth < maxNesting {
			j.depth++
			defer func() { j.depth-- }()
			return j.stranger(rules, k, warn)
		}
	}
	return found{}
}
