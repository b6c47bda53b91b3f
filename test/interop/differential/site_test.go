package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// site is a configuration of Postfix.
type site struct {
	main  string
	files map[string]string
}

// base is what every site has: domains of each class, each with a way of its own.
func base(ports map[string]string) site {
	at := func(way string) string { return "smtp:[127.0.0.1]:" + ports[way] }
	return site{
		main: strings.Join([]string{
			"mynetworks = 10.1.0.0/16, 192.0.2.0/28, [2001:db8:1::]/48",
			"inet_protocols = all",
			"smtpd_authorized_xclient_hosts = 127.0.0.1",
			"recipient_delimiter = +",
			"virtual_alias_domains = alias.example, alias2.example",
			"virtual_alias_maps = texthash:{dir}/virtual, regexp:{dir}/virtual.re",
			"virtual_mailbox_domains = box.example, box2.example",
			"virtual_mailbox_maps = texthash:{dir}/boxes",
			"virtual_transport = " + at("box"),
			"relay_domains = relay.example, relay2.example, sub.relay3.example",
			"relay_recipient_maps = texthash:{dir}/relayrcpt",
			"relay_transport = " + at("relay"),
			"default_transport = " + at("other"),
			"transport_maps = texthash:{dir}/transport",
			"smtp_tls_security_level = none",
			"local_recipient_maps = texthash:{dir}/localusers",
			"smtpd_delay_open_until_valid_rcpt = yes",
			"smtp_connection_cache_on_demand = no",
			"",
		}, "\n"),
		files: map[string]string{
			"virtual": "info@alias.example one@box.example\n" +
				"team@alias.example one@box.example, two@box.example, far@other.example\n" +
				"@alias2.example catchall@box.example\n" +
				"exact@alias2.example exact@relay.example\n" +
				"nested@alias.example team@alias.example, three@box2.example\n" +
				"plus+tag@alias.example tagged@box.example\n" +
				"plus@alias.example plain@box.example\n" +
				"out@box.example out@other.example\n" +
				"same@alias.example same@alias.example, one@box.example\n",
			"virtual.re": "/^list-(.+)@alias\\.example$/ $1@box.example\n/^(.*)-old@box\\.example$/ $1@box.example\n",
			"boxes":      "one@box.example x\ntwo@box.example x\nthree@box2.example x\ntagged@box.example x\nplain@box.example x\ncatchall@box.example x\n@box2.example x\n",
			"localusers": "postmaster x\n",
			"relayrcpt":  "exact@relay.example x\n@relay2.example x\nuser@sub.relay3.example x\nuser@relay.example x\n",
			"transport": "special.example " + at("special") + "\n.special.example " + at("special") + "\nvip@other.example " + at("special") + "\ngone.example error:5.1.2 this domain is gone\n" +
				"three@box2.example " + at("special") + "\n",
			"clients.cidr": "198.51.100.0/26 REJECT\n198.51.100.64/26 450 4.7.1 try later\n198.51.100.128/26 OK\n!10.0.0.0/8 DUNNO\n",
			"clients":      "bad.client.example REJECT go away\n.dyn.example 554 5.7.1 dynamic\n203.0.113 DEFER slow\nunknown DUNNO\n",
			"helos":        "/^\\[?\\d+\\.\\d+/ REJECT no numbers\n/localhost/ 550 5.7.1 you are not me\nif /client/\n/^good\\./ OK\nendif\n",
			"senders":      "spam.example REJECT\nuser@slow.example DEFER\npromo@ DISCARD silently\n<> DUNNO\nfriend@far.example OK\n.sub.far.example 550 5.1.8 odd\n",
			"rcpts":        "one@box.example OK\ntwo@box.example 550 5.7.1 closed\nabuse@ OK\nrelay2.example DUNNO\nlater@ 451 4.3.0 later\n",
		},
	}
}

// restrictions that a site may have, in any order and choice.
var (
	clientRules = []string{"permit_mynetworks", "check_client_access cidr:{dir}/clients.cidr", "check_client_access texthash:{dir}/clients", "warn_if_reject reject", "reject_unauth_pipelining"}
	heloRules   = []string{"permit_mynetworks", "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "check_helo_access pcre:{dir}/helos"}
	senderRules = []string{"permit_mynetworks", "check_sender_access texthash:{dir}/senders", "reject_non_fqdn_sender", "defer_if_reject check_sender_access texthash:{dir}/senders"}
	rcptRules   = []string{"permit_mynetworks", "reject_non_fqdn_recipient", "check_recipient_access texthash:{dir}/rcpts", "reject_unlisted_recipient", "permit_auth_destination",
		"check_client_access cidr:{dir}/clients.cidr", "check_sender_access texthash:{dir}/senders", "defer_if_permit check_helo_access pcre:{dir}/helos", "defer_unauth_destination"}
	rewrites = []string{
		"sender_canonical_maps = inline:{ {old@box.example = new@box.example}, {@spoof.example = nobody@box.example} }",
		"recipient_canonical_maps = inline:{ {renamed@box.example = one@box.example} }",
		"canonical_maps = regexp:{dir}/canonical.re",
		"masquerade_domains = far.example\nmasquerade_exceptions = keep",
		"relocated_maps = inline:{ {moved@box.example = elsewhere@other.example} }",
		"always_bcc = archive@relay2.example",
		"sender_bcc_maps = inline:{ {friend@far.example = watch@relay2.example} }",
		"recipient_bcc_maps = inline:{ {@relay2.example = both@box2.example} }",
		"swap_bangpath = no",
		"allow_percent_hack = no",
		"smtpd_helo_required = yes",
		"smtpd_delay_reject = no",
		"strict_rfc821_envelopes = yes",
		"show_user_unknown_table_name = no",
		"propagate_unmatched_extensions =",
		"smtpd_data_restrictions = reject_unauth_pipelining, reject_multi_recipient_bounce",
		"soft_bounce = yes",
		"smtpd_reject_unlisted_sender = yes",
		"sender_dependent_default_transport_maps = inline:{ {friend@far.example = smtp:[127.0.0.1]:{smart}} }",
		"parent_domain_matches_subdomains = smtpd_access_maps",
	}
)

// newSite makes one by chance.
func newSite(r *rand.Rand, ports map[string]string) site {
	s := base(ports)
	s.files["canonical.re"] = "/^(.*)\\.alias@box\\.example$/ $1@box.example\n"
	list := func(name string, rules []string, always ...string) {
		var chosen []string
		for _, i := range r.Perm(len(rules)) {
			if r.IntN(2) == 0 {
				chosen = append(chosen, rules[i])
			}
		}
		chosen = append(chosen, always...)
		if len(chosen) > 0 {
			s.main += fmt.Sprintf("%s = %s\n", name, strings.Join(chosen, ", "))
		}
	}
	list("smtpd_client_restrictions", clientRules)
	list("smtpd_helo_restrictions", heloRules)
	list("smtpd_sender_restrictions", senderRules)
	if r.IntN(2) == 0 {
		s.main += "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"
		list("smtpd_recipient_restrictions", rcptRules)
	} else {
		s.main += "smtpd_relay_restrictions =\n"
		list("smtpd_recipient_restrictions", rcptRules, "reject_unauth_destination")
	}
	for _, line := range rewrites {
		if r.IntN(4) == 0 {
			s.main += strings.ReplaceAll(line, "{smart}", ports["smart"]) + "\n"
		}
	}
	return s
}

// dialogue is what a client says.
type dialogue struct {
	addr, name, helo string
	from             string
	to               []string
}

var (
	addrs = []string{"10.1.2.3", "192.0.2.5", "192.0.2.77", "198.51.100.7", "198.51.100.70", "198.51.100.130", "198.51.100.200", "203.0.113.9", "IPV6:2001:db8:1::5", "IPV6:2001:db8:9::5"}
	names = []string{"[UNAVAILABLE]", "bad.client.example", "x.dyn.example", "good.client.example", "mail.far.example"}
	helos = []string{"good.client.example", "mail.far.example", "localhost", "[192.0.2.5]", "192.0.2.5", "bad_name", "a..b", "friend", "-x.example"}
	froms = []string{"", "friend@far.example", "user@slow.example", "x@spam.example", "promo@far.example", "old@box.example", "someone@spoof.example", "u@host.far.example",
		"keep@host.far.example", "x@a.sub.far.example", "nodomain@local", "nobody@box.example", "one@box.example", "\"quoted local\"@far.example", "a+b@far.example"}
	tos = []string{"one@box.example", "two@box.example", "ONE@BOX.EXAMPLE", "one+x@box.example", "nobody@box.example", "any@box2.example", "three@box2.example", "info@alias.example",
		"team@alias.example", "nested@alias.example", "nobody@alias.example", "any@alias2.example", "exact@alias2.example", "plus+tag@alias.example", "plus+other@alias.example",
		"list-one@alias.example", "one-old@box.example", "out@box.example", "same@alias.example", "exact@relay.example", "nobody@relay.example", "user@relay.example", "user+x@relay.example",
		"x@relay2.example", "user@sub.relay3.example", "user@relay3.example", "far@other.example", "vip@other.example", "x@special.example", "x@deep.special.example", "x@gone.example",
		"abuse@box.example", "later@box.example", "moved@box.example", "renamed@box.example", "one.alias@box.example", "x%other.example@box.example", "other.example!x@box.example",
		"@other.example:one@box.example", "\"one\"@box.example", "\"x@other.example\"@box.example", "one@box.example.", "one@[127.0.0.1]", "x@local", "a@b@box.example", "one@@box.example"}
)

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

func newDialogue(r *rand.Rand) dialogue {
	d := dialogue{addr: pick(r, addrs), name: pick(r, names), helo: pick(r, helos), from: pick(r, froms)}
	if r.IntN(2) == 0 { // most mail is ordinary
		d.helo, d.name = helos[r.IntN(2)], names[3+r.IntN(2)]
	}
	for range 1 + r.IntN(4) {
		d.to = append(d.to, pick(r, tos))
	}
	return d
}
