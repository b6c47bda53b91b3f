package access

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
)

// Open tells why the lists let strangers relay: an operator's mistake that must not go into service. doubtful are rules with
// which a stranger can get a permission by saying the right name.
func (p *Policy) Open() (wrong, doubtful []string) {
	if reason := openNetwork(p.opt.Mynetworks); reason != "" && (p.permitsNetworks(Relay) || p.permitsNetworks(Recipient)) {
		wrong = append(wrong, reason)
	}
	j := &judge{p: p}
	relay := j.stranger(p.lists[Relay], Relay)
	if relay.verdict == refuses {
		return wrong, j.doubtful
	}
	recipient := j.stranger(p.lists[Recipient], Recipient)
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
		a, least := n.Addr(), 8
		if a.Is6() && !a.Is4In6() {
			least = 16
		}
		if n.Bits() < least && !ownRange(n.Prefix) {
			return fmt.Sprintf("access.mynetworks: %s has most of the internet in it, and every client of mynetworks may relay: name your own networks only", n)
		}
	}
	return ""
}

// ownRange tells the large ranges that nobody has in the internet: RFC 4193, RFC 4291 §2.5.6.
func ownRange(p netip.Prefix) bool {
	for _, s := range []string{"fc00::/7", "fe80::/10"} {
		if own := netip.MustParsePrefix(s); own.Bits() <= p.Bits() && own.Contains(p.Addr()) {
			return true
		}
	}
	return false
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
}

func (j *judge) stranger(rules []rule, k Kind) found {
	for i := range rules {
		r := &rules[i]
		switch r.name {
		case "reject", "defer", "reject_unauth_destination", "defer_unauth_destination":
			if !r.warn {
				return found{refuses, r.text}
			}
		case "permit":
			return found{permits, r.text}
		case "check_helo_access", "check_sender_access", "check_reverse_client_hostname_access":
			if v := j.always(r); v.verdict != passes {
				return v
			}
			j.doubtful = append(j.doubtful, fmt.Sprintf("%s.%s: %q stands in front of reject_unauth_destination: anybody can say a name for which it answers OK, and relay",
				j.p.opt.Section, k.Setting(), r.text))
		case "check_client_access":
			if v := j.always(r); v.verdict != passes {
				return v
			}
			if j.everybody(r) {
				return found{permits, r.text}
			}
		case "check_recipient_access":
			if v := j.always(r); v.verdict != passes {
				return v
			}
		}
		if r.rules != nil {
			if v := j.stranger(r.rules, k); v.verdict != passes && !(v.verdict == refuses && r.warn) {
				return v
			}
		}
	}
	return found{}
}

// everybody tells a table of files that permits clients from all over the internet. Servers of databases are not asked.
func (j *judge) everybody(r *rule) bool {
	kind, _, _ := strings.Cut(r.arg, ":")
	switch kind {
	case "hash", "btree", "lmdb", "cdb", "texthash", "cidr", "regexp", "pcre", "inline":
	default:
		return false
	}
	// The addresses of documentation, RFC 5737, are nobody's; three of them in one table are no list of friends.
	for _, a := range []string{"192.0.2.77", "198.51.100.77", "203.0.113.77"} {
		keys := append(table.Host(unknown, true, j.p.dotted), table.Client(netip.MustParseAddr(a))...)
		value, _, ok, err := r.tables.First(context.Background(), keys)
		if action, bad := ParseAction(value); !ok || err != nil || bad != nil || action.Verb != OK {
			return false
		}
	}
	return true
}

// always tells a table that has one answer for everybody.
func (j *judge) always(r *rule) found {
	value, ok := strings.CutPrefix(r.arg, "static:")
	if !ok {
		return found{}
	}
	a, err := ParseAction(strings.Trim(value, "{} "))
	if err != nil {
		return found{}
	}
	switch a.Verb {
	case OK:
		return found{permits, r.text}
	case Reject, Defer, Reply:
		if !r.warn {
			return found{refuses, r.text}
		}
	case Restrictions:
		if rules, err := j.p.answer(Recipient, a.Text); err == nil {
			return j.stranger(rules, Recipient)
		}
	}
	return found{}
}
