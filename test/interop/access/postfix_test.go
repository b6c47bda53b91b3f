package access

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
)

// dialogueCase is a list of restrictions that a recipient leads to, and what is said to it.
type dialogueCase struct {
	list string
	from string // default sender@third.example
	to   string // domain; default here.example
	helo string // default client.example
	// differs is why ours answers something else, and what.
	differs string
}

// notLoggedIn: Postfix asks for owners only on a service that has AUTH; our port 25 has none, and refuses all the same.
const notLoggedIn = "553 5.7.1 <owned@third.example>: Sender address rejected: not logged in"

func dialogueCases() []dialogueCase {
	access := func(action string) string {
		return "check_sender_access inline:{{sender@third.example = " + action + "}}"
	}
	return []dialogueCase{
		{list: "permit"}, {list: "reject"}, {list: "defer"}, {list: "dunno", differs: "taken"},
		{list: "defer_if_permit"}, {list: "defer_if_permit, reject"}, {list: "defer_if_reject"}, {list: "defer_if_reject, reject"}, {list: "defer_if_reject, defer"},
		{list: "warn_if_reject reject"}, {list: "warn_if_reject reject, reject"}, {list: "warn_if_reject defer_if_permit"},
		{list: access("OK") + ", reject"}, {list: access("ok") + ", reject"}, {list: access("1234567890") + ", reject"}, {list: access("DUNNO")},
		{list: access("REJECT")}, {list: access("reject not you")}, {list: access("REJECT 5.7.9 not you")}, {list: access("REJECT 4.7.9 not you")},
		{list: access("DEFER")}, {list: access("DEFER come later")}, {list: access("DEFER 4.2.0 later")},
		{list: access("550")}, {list: access("550 no")}, {list: access("450 4.7.25 later")}, {list: access("554 5.7.1 closed")}, {list: access("499 x")},
		{list: access("550 4.7.1 odd class")}, {list: access("450 5.7.1 odd class")}, {list: access("5500")}, {list: access("350 no refusal")},
		{list: access("DEFER_IF_PERMIT")}, {list: access("DEFER_IF_PERMIT busy")}, {list: access("DEFER_IF_PERMIT busy") + ", reject"},
		{list: access("DEFER_IF_REJECT")}, {list: access("DEFER_IF_REJECT busy") + ", reject"}, {list: access("DEFER_IF_REJECT 4.2.0 busy") + ", reject"},
		{list: access("HOLD")}, {list: access("HOLD look at it")}, {list: access("DISCARD")}, {list: access("DISCARD bulk") + ", reject"},
		{list: access("WARN odd")}, {list: access("INFO seen")}, {list: access("PREPEND X-A: b")}, {list: access("REDIRECT box@here.example")}, {list: access("BCC box@here.example")},
		{list: access("reject_unauth_destination, permit") + ", reject"}, {list: access("strict")}, {list: access("strict, permit") + ", reject"},
		{list: access("frobnicate")}, {list: access("permit_mynetworks reject")},
		{list: "strict", from: "x@short"}, {list: "reject_non_fqdn_sender", from: "x@short"}, {list: "reject_non_fqdn_sender", from: "<>"},
		{list: "reject_unauth_destination", to: "elsewhere.example"}, {list: "defer_unauth_destination", to: "elsewhere.example"},
		{list: "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination", to: "elsewhere.example"},
		{list: "permit_auth_destination, reject"}, {list: "permit_auth_destination, reject", to: "elsewhere.example"},
		{list: "reject_non_fqdn_recipient", to: "short"},
		{list: "reject_invalid_helo_hostname", helo: "a..b"}, {list: "reject_invalid_helo_hostname", helo: "-a.example"}, {list: "reject_invalid_helo_hostname", helo: "a_b.example"},
		{list: "reject_invalid_helo_hostname", helo: "192.0.2.1"}, {list: "reject_invalid_helo_hostname", helo: "[192.0.2.1]"}, {list: "reject_invalid_helo_hostname", helo: "[192.0.2]"},
		{list: "reject_invalid_helo_hostname", helo: "host.example."}, {list: "reject_invalid_helo_hostname", helo: "[IPv6:2001:db8::1]"}, {list: "reject_invalid_helo_hostname", helo: "[2001:db8::1]"},
		{list: "reject_non_fqdn_helo_hostname", helo: "pc"}, {list: "reject_non_fqdn_helo_hostname", helo: "pc."}, {list: "reject_non_fqdn_helo_hostname", helo: "[192.0.2.1]"},
		{list: "reject_non_fqdn_helo_hostname", helo: "a..b"}, {list: "reject_non_fqdn_helo_hostname", helo: "192.0.2.1"},
		{list: "reject_plaintext_session"}, {list: "reject_unauth_pipelining"}, {list: "reject_multi_recipient_bounce", from: "<>"},
		{list: "reject_unknown_client_hostname"}, {list: "reject_unknown_reverse_client_hostname"},
		{list: "check_client_access inline:{{127.0.0 = REJECT}}"}, {list: "check_client_access inline:{{unknown = REJECT}}"}, {list: "check_client_access inline:{{127.0 = REJECT}}"},
		{list: "check_client_access static:REJECT"}, {list: "check_helo_access inline:{{example = REJECT}}"}, {list: "check_helo_access inline:{{.example = REJECT}}"},
		{list: "check_sender_access inline:{{third.example = REJECT}}"}, {list: "check_sender_access inline:{{sender@ = REJECT}}"}, {list: "check_sender_access inline:{{example = REJECT}}"},
		{list: "check_sender_access inline:{{sender@ = REJECT}}", from: "sender+x@third.example"}, {list: "check_sender_access inline:{{<> = REJECT}}", from: "<>"},
		{list: "check_sender_access inline:{{sender@third.example = REJECT}}", from: "sender+x@third.example"}, {list: "check_sender_access static:REJECT", from: "<>"},
		{list: "check_recipient_access inline:{{here.example = REJECT}}"}, {list: "check_recipient_access static:REJECT"}, {list: "check_recipient_access static:DUNNO, reject"},
		{list: "check_reverse_client_hostname_access static:REJECT"}, {list: "check_sasl_access static:REJECT"}, {list: "check_ccert_access static:REJECT"},
		{list: "check_sender_access fail:x"}, {list: "warn_if_reject check_sender_access fail:x"},
		{list: "reject_sender_login_mismatch", from: "owned@third.example", differs: notLoggedIn}, {list: "reject_sender_login_mismatch"},
		{list: "reject_known_sender_login_mismatch", from: "owned@third.example", differs: notLoggedIn}, {list: "reject_unauthenticated_sender_login_mismatch", from: "owned@third.example", differs: notLoggedIn},
		{list: "reject_authenticated_sender_login_mismatch", from: "owned@third.example"}, {list: "permit_tls_clientcerts, reject"}, {list: "permit_tls_all_clientcerts, reject"},
	}
}

// Debian's Postfix and ours are asked the same; each list is a restriction class that one recipient leads to. Codes and texts
// agree.
func TestRepliesAreThoseOfPostfix(t *testing.T) {
	cases := dialogueCases()
	var classes, names, leads []string
	for i, c := range cases {
		name := fmt.Sprintf("c%d", i)
		classes = append(classes, name+" = "+c.list)
		names = append(names, name)
		leads = append(leads, fmt.Sprintf("case%d@ %s", i, name), fmt.Sprintf("case%d@short %s", i, name))
	}
	classes, names = append(classes, "strict = reject_non_fqdn_sender"), append(names, "strict")
	lead := strings.Join(leads, "\n") + "\n"
	const logins = "inline:{{owned@third.example = somebody}}"
	p := postfix.Start(t, postfix.Config{Files: map[string]string{"lead": lead}, Main: "smtpd_restriction_classes = " + strings.Join(names, ", ") + "\n" +
		strings.Join(classes, "\n") + "\nsmtpd_relay_restrictions =\nsmtpd_recipient_restrictions = check_recipient_access texthash:{dir}/lead, permit_mynetworks, reject_unauth_destination\n" +
		"virtual_mailbox_domains = here.example, short\nvirtual_mailbox_maps = static:x\nvirtual_transport = discard:\ndefault_transport = discard:\n" +
		"recipient_delimiter = +\nsmtpd_helo_required = yes\nsmtpd_sender_login_maps = " + logins + "\nappend_dot_mydomain = no\nsmtpd_delay_reject = yes\n" +
		"parent_domain_matches_subdomains = smtpd_access_maps\nunverified_sender_reject_reason =\n"})
	set := []string{`access.smtp.smtpd_relay_restrictions=[]`, fmt.Sprintf("access.smtp.smtpd_recipient_restrictions=[%q]", "check_recipient_access texthash:"+p.Dir+"/lead, permit_mynetworks, reject_unauth_destination"),
		"access.restriction_classes=[" + quoted(classes) + "]", fmt.Sprintf("access.smtpd_sender_login_maps=[%q]", logins),
		`routing.virtual_mailbox_domains=["short"]`, `routing.virtual_alias_maps=["inline:{{@here.example = alice@here.example}, {@short = alice@here.example}}"]`,
		`mta.smart_host.host="[127.0.0.1]"`, "mta.smart_host.port=1", `mta.smart_host.tls="none"`, "smtp.max_errors=10000", "routing.append_dot_mydomain=false"}
	s := system.Start(t, system.Options{Set: set})
	for i, c := range cases {
		theirs, ours := c.run(t, p.Address, i), c.run(t, s.Listeners["smtp"], i)
		if theirs != ours && c.differs != ours {
			t.Errorf("%s | from=%s to=%s helo=%s\nPostfix: %s\n   ours: %s", c.list, c.from, c.to, c.helo, theirs, ours)
		}
	}
	t.Logf("%d lists", len(cases))
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// run returns the first refusal, or "taken".
func (c *dialogueCase) run(t *testing.T, addr string, no int) string {
	t.Helper()
	k := dial(t, addr)
	defer k.Close()
	if got := k.say("EHLO " + or(c.helo, "client.example")); got[0] != '2' {
		return "EHLO " + got
	}
	if got := k.say("MAIL FROM:<" + strings.Trim(or(c.from, "sender@third.example"), "<>") + ">"); got[0] != '2' {
		return "MAIL " + got
	}
	if got := k.say(fmt.Sprintf("RCPT TO:<case%d@%s>", no, or(c.to, "here.example"))); got[0] != '2' {
		return got
	}
	if got := k.say("DATA"); got[0] != '3' {
		return "DATA " + got
	}
	if got := k.say("Subject: x\r\n\r\nx\r\n."); got[0] != '2' {
		return "end " + got
	}
	return "taken"
}
