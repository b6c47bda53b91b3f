package access

import (
	"testing"

	"github.com/postrider/postrider/internal/mail/status"
)

// Each restriction in small dialogues: lists, what is known, what comes of it.
func TestRestrictions(t *testing.T) {
	w := &world{
		files: map[string]string{"nets": "198.51.100.0/24 REJECT not from there\n0.0.0.0/0 DUNNO\n", "ns": "203.0.113.53 REJECT bad name server\n"},
		dns: map[string]string{"known.example MX": "mx.known.example", "addr.example A": "192.0.2.1", "null.example MX": ".", "temp.example MX": "temp",
			"mx.known.example A": "203.0.113.5", "far.example NS": "ns.far.example", "ns.far.example A": "203.0.113.53",
			"backup.example MX": "mx1.backup.example us.example", "mx1.backup.example A": "203.0.113.9", "us.example A": "192.0.2.25",
			"7.100.51.198.bl.example A": "127.0.0.2", "7.100.51.198.bl.example TXT": "spam seen", "far.example.rh.example A": "127.0.0.2",
			"7.100.51.198.wl.example A": "127.0.9.1", "7.100.51.198.down.example A": "temp", "heloname.example A": "192.0.2.3"},
		probes: map[string]error{"gone@far.example": status.Perm(550, 1, 1, "No such user"), "slow@far.example": status.Temp(450, 2, 0, "wait")},
	}
	const relayed = "to=x@elsewhere.example"
	for _, c := range []struct{ lists, facts, want string }{
		{"", "", "ok"},
		{"recipient: permit", "", "ok"}, // nothing is said of who sends: it may be greylisted
		{"recipient: permit", relayed, "ok relay"},
		{"recipient: check_client_access inline:{198.51.100.7=permit}", "", "ok relay"},
		{"recipient: reject", "", "rcpt: 554 5.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"recipient: defer", "", "rcpt: 450 4.3.2 <alice@here.example>: Recipient address rejected: Try again later"},
		{"client: reject", "name=h.example", "rcpt: 554 5.7.1 <h.example[198.51.100.7]>: Client host rejected: Access denied"},
		{"client: reject\nset: early", "", "connect: 554 5.7.1 <unknown[198.51.100.7]>: Client host rejected: Access denied"},
		{"helo: reject\nset: early", "", "helo: 554 5.7.1 <mx.far.example>: Helo command rejected: Access denied"},
		{"sender: reject\nset: early", "", "mail: 554 5.7.1 <x@far.example>: Sender address rejected: Access denied"},
		{"data: reject", "", "data: 554 5.7.1 <DATA>: Data command rejected: Access denied"},
		{"eod: reject", "", "message: 554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied"},
		// OK ends its own list only; the relay list comes before the recipient's.
		{"client: permit\nhelo: reject", "", "rcpt: 554 5.7.1 <mx.far.example>: Helo command rejected: Access denied"},
		{"sender: permit\nrelay: reject_unauth_destination", relayed, "rcpt: 554 5.7.1 <x@elsewhere.example>: Relay access denied"},
		{"relay: permit\nrecipient: reject", relayed, "rcpt: 554 5.7.1 <x@elsewhere.example>: Recipient address rejected: Access denied"},
		{"relay: defer\nrecipient: reject", "", "rcpt: 450 4.3.2 <alice@here.example>: Recipient address rejected: Try again later"},
		{"client: permit\nsender: permit", relayed, "ok"}, // the router refuses it: nobody gave the permission to relay
		// Relaying.
		{"relay: permit_mynetworks, reject_unauth_destination", relayed + " client=10.1.2.3", "ok relay"},
		{"relay: permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination", relayed + " login=alice", "ok relay"},
		{"relay: permit_mynetworks, reject_unauth_destination", relayed, "rcpt: 554 5.7.1 <x@elsewhere.example>: Relay access denied"},
		{"relay: permit_mynetworks, defer_unauth_destination", relayed, "rcpt: 454 4.7.1 <x@elsewhere.example>: Relay access denied"},
		{"relay: reject_unauth_destination", "to=x@relay.example", "ok"},
		{"relay: reject_unauth_destination", "to=postmaster", "ok"},
		{"relay: reject_unauth_destination", "to=x@broken.example", "rcpt: 451 4.3.0 <x@broken.example>: Temporary lookup failure"},
		{"relay: permit_auth_destination, reject", "to=x@relay.example", "ok"},
		{"relay: permit_auth_destination, reject", relayed, "rcpt: 554 5.7.1 <x@elsewhere.example>: Recipient address rejected: Access denied"},
		{"relay: permit_mx_backup, reject_unauth_destination", "to=x@backup.example", "ok relay"},
		{"relay: permit_mx_backup, reject_unauth_destination", "to=x@known.example", "rcpt: 554 5.7.1 <x@known.example>: Relay access denied"},
		{"relay: permit_mx_backup, reject_unauth_destination", "to=x@temp.example", "rcpt: 450 4.4.3 <x@temp.example>: Recipient address rejected: Unable to look up mail exchanger information"},
		{"relay: permit_inet_interfaces, reject", "client=192.0.2.25", "ok relay"},
		{"relay: permit_tls_all_clientcerts, reject_unauth_destination", relayed + " cert", "rcpt: 554 5.7.1 <x@elsewhere.example>: Relay access denied"},
		{"certs: inline:{2E:7D:2C:03:A9:50:7A:E2:65:EC:F5:B5:35:68:85:A5:33:93:A2:02:9D:24:13:94:99:72:65:A1:A2:5A:EF:C6=x}\nrelay: permit_tls_clientcerts, reject",
			relayed + " cert", "ok relay"},
		{"recipient: check_ccert_access inline:{2E:7D:2C:03:A9:50:7A:E2:65:EC:F5:B5:35:68:85:A5:33:93:A2:02:9D:24:13:94:99:72:65:A1:A2:5A:EF:C6=REJECT}",
			"cert", "rcpt: 554 5.7.1 <2E:7D:2C:03:A9:50:7A:E2:65:EC:F5:B5:35:68:85:A5:33:93:A2:02:9D:24:13:94:99:72:65:A1:A2:5A:EF:C6>: Client certificate rejected: Access denied"},
		// What the client does and is called.
		{"data: reject_unauth_pipelining", "ahead", "data: 503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining"},
		{"client: reject_plaintext_session", "", "rcpt: 450 4.7.1 Session encryption is required"},
		{"client: reject_plaintext_session", "tls", "ok"},
		{"helo: reject_invalid_helo_hostname", "helo=a..b", "rcpt: 501 5.5.2 <a..b>: Helo command rejected: Invalid name"},
		{"helo: reject_invalid_helo_hostname", "helo=192.0.2.1", "ok"},
		{"helo: reject_invalid_helo_hostname", "helo=[192.0.2.1]", "ok"},
		{"helo: reject_invalid_helo_hostname", "helo=[192.0.2]", "rcpt: 501 5.5.2 <[192.0.2]>: Helo command rejected: invalid ip address"},
		{"helo: reject_invalid_hostname", "helo=my_pc", "ok"},
		{"helo: reject_non_fqdn_helo_hostname", "helo=pc", "rcpt: 504 5.5.2 <pc>: Helo command rejected: need fully-qualified hostname"},
		{"helo: reject_non_fqdn_helo_hostname", "helo=[IPv6:2001:db8::1]", "ok"},
		{"helo: reject_unknown_helo_hostname", "helo=none.example", "rcpt: 450 4.7.1 <none.example>: Helo command rejected: Host not found"},
		{"helo: reject_unknown_helo_hostname", "helo=heloname.example", "ok"},
		{"helo: reject_unknown_helo_hostname", "helo=known.example", "ok"},
		{"helo: reject_unknown_helo_hostname\nrecipient: reject", "helo=temp.example", "rcpt: 554 5.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"client: reject_unknown_client_hostname", "", "rcpt: 450 4.7.25 Client host rejected: cannot find your hostname, [198.51.100.7]"},
		{"client: reject_unknown_client_hostname", "name=h.example", "ok"},
		{"client: reject_unknown_client_hostname", "reverse=h.example nameerr", "rcpt: 450 4.7.25 Client host rejected: cannot find your hostname, [198.51.100.7]"},
		{"client: reject_unknown_reverse_client_hostname", "reverse=h.example", "ok"},
		{"client: reject_unknown_reverse_client_hostname", "", "rcpt: 450 4.7.1 Client host rejected: cannot find your reverse hostname, [198.51.100.7]"},
		// Addresses.
		{"sender: reject_non_fqdn_sender", "from=x@far", "rcpt: 504 5.5.2 <x@far>: Sender address rejected: need fully-qualified address"},
		{"sender: reject_non_fqdn_sender", "from=<>", "ok"},
		{"recipient: reject_non_fqdn_recipient", "to=x@far", "rcpt: 504 5.5.2 <x@far>: Recipient address rejected: need fully-qualified address"},
		{"recipient: reject_non_fqdn_recipient", "to=postmaster", "ok"},
		{"sender: reject_unknown_sender_domain", "", "rcpt: 450 4.1.8 <x@far.example>: Sender address rejected: Domain not found"},
		{"sender: reject_unknown_sender_domain", "from=x@known.example", "ok"},
		{"sender: reject_unknown_sender_domain", "from=x@addr.example", "ok"},
		{"sender: reject_unknown_sender_domain", "from=x@here.example", "ok"},
		{"sender: reject_unknown_sender_domain", "from=x@null.example", "rcpt: 550 5.7.27 <x@null.example>: Sender address rejected: Domain null.example does not accept mail (nullMX)"},
		{"sender: reject_unknown_sender_domain", "from=x@temp.example", "rcpt: 450 4.1.8 <x@temp.example>: Sender address rejected: Domain not found"},
		{"recipient: reject_unknown_recipient_domain", relayed, "rcpt: 450 4.1.2 <x@elsewhere.example>: Recipient address rejected: Domain not found"},
		{"recipient: reject_unknown_recipient_domain", "to=x@null.example", "rcpt: 556 5.1.10 <x@null.example>: Recipient address rejected: Domain null.example does not accept mail (nullMX)"},
		{"sender: reject_unlisted_sender", "from=none@here.example", "rcpt: 550 5.1.0 <none@here.example>: Sender address rejected: User unknown in local recipient table"},
		{"sender: permit\nset: unlisted", "from=none@here.example", "rcpt: 550 5.1.0 <none@here.example>: Sender address rejected: User unknown in local recipient table"},
		{"recipient: reject_unlisted_recipient", "to=none@here.example", "rcpt: 550 5.1.1 <none@here.example>: Recipient address rejected: User unknown in local recipient table"},
		{"recipient: reject_unlisted_recipient", "", "ok"},
		{"data: reject_multi_recipient_bounce", "from=<> to=alice@here.example,bob@here.example", "data: 550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce"},
		{"data: reject_multi_recipient_bounce", "from=<>", "ok"},
		{"recipient: reject_unverified_recipient", "to=gone@far.example", "rcpt: 450 4.1.1 <gone@far.example>: Recipient address rejected: undeliverable address: No such user"},
		{"sender: reject_unverified_sender", "from=gone@far.example", "rcpt: 450 4.1.7 <gone@far.example>: Sender address rejected: undeliverable address: No such user"},
		{"sender: reject_unverified_sender", "from=slow@far.example", "rcpt: 450 4.1.7 <slow@far.example>: Sender address rejected: unverified address: Address verification in progress"},
		{"sender: reject_unverified_sender", "", "ok"},
		// Owners of senders.
		{"sender: reject_sender_login_mismatch", "from=alice@here.example", "rcpt: 553 5.7.1 <alice@here.example>: Sender address rejected: not logged in"},
		{"sender: reject_sender_login_mismatch", "from=bob@here.example login=alice", "rcpt: 553 5.7.1 <bob@here.example>: Sender address rejected: not owned by user alice"},
		{"sender: reject_sender_login_mismatch", "from=alice@here.example login=alice", "ok"},
		{"logins: inline:{{@far.example = al, bert}}\nsender: reject_sender_login_mismatch", "login=bert", "ok"},
		{"logins: inline:{{@far.example = al, bert}}\nsender: reject_sender_login_mismatch", "login=carl", "rcpt: 553 5.7.1 <x@far.example>: Sender address rejected: not owned by user carl"},
		{"logins: inline:{{@far.example = al}}\nsender: reject_known_sender_login_mismatch", "login=carl from=y@third.example", "ok"},
		{"logins: inline:{{@far.example = al}}\nsender: reject_authenticated_sender_login_mismatch", "login=carl from=y@third.example", "rcpt: 553 5.7.1 <y@third.example>: Sender address rejected: not owned by user carl"},
		{"logins: inline:{{@far.example = al}}\nsender: reject_authenticated_sender_login_mismatch", "", "ok"},
		{"logins: inline:{{@far.example = al}}\nsender: reject_unauthenticated_sender_login_mismatch", "", "rcpt: 553 5.7.1 <x@far.example>: Sender address rejected: not logged in"},
		{"logins: fail:x\nsender: reject_sender_login_mismatch", "login=al", "rcpt: 451 4.3.0 <x@far.example>: Temporary lookup failure"},
		// DNS lists.
		{"client: reject_rbl_client bl.example", "", "rcpt: 554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using bl.example; spam seen"},
		{"client: reject_rbl_client bl.example=127.0.0.[3..9]", "", "ok"},
		{"client: reject_rbl_client down.example", "", "ok"},
		{"replies: inline:{{bl.example = 450 4.7.9 not you, $client_address}}\nclient: reject_rbl_client bl.example", "", "rcpt: 450 4.7.9 not you, 198.51.100.7"},
		{"sender: reject_rhsbl_sender rh.example", "", "rcpt: 554 5.7.1 Service unavailable; Sender address [x@far.example] blocked using rh.example"},
		{"helo: reject_rhsbl_helo rh.example", "helo=far.example", "rcpt: 554 5.7.1 Service unavailable; Helo command [far.example] blocked using rh.example"},
		{"client: reject_rhsbl_client rh.example", "name=far.example", "rcpt: 554 5.7.1 Service unavailable; Client host [far.example] blocked using rh.example"},
		{"recipient: reject_rhsbl_recipient rh.example", "to=y@far.example", "rcpt: 554 5.7.1 Service unavailable; Recipient address [y@far.example] blocked using rh.example"},
		{"recipient: permit_dnswl_client wl.example=127.0.[0..255].1, reject", "", "ok relay"},
		{"recipient: permit_dnswl_client wl.example, reject", relayed, "rcpt: 554 5.7.1 <x@elsewhere.example>: Recipient address rejected: Access denied"},
		{"recipient: permit_dnswl_client down.example, reject", "", "rcpt: 450 4.7.1 <alice@here.example>: Recipient address rejected: DNSWL lookup error"},
		{"recipient: permit_rhswl_client rh.example, reject", "name=far.example", "ok relay"},
		// Tables.
		{"client: check_client_access cidr:nets", "", "rcpt: 554 5.7.1 <unknown[198.51.100.7]>: Client host rejected: not from there"},
		{"client: check_client_access inline:{198.51=REJECT}", "", "rcpt: 554 5.7.1 <unknown[198.51.100.7]>: Client host rejected: Access denied"},
		{"client: check_client_access inline:{far.example=REJECT}", "name=h.far.example", "rcpt: 554 5.7.1 <h.far.example[198.51.100.7]>: Client host rejected: Access denied"},
		{"client: check_client_access inline:{far.example=REJECT}\nset: dotted", "name=h.far.example", "ok"},
		{"client: check_client_access inline:{.far.example=REJECT}\nset: dotted", "name=h.far.example", "rcpt: 554 5.7.1 <h.far.example[198.51.100.7]>: Client host rejected: Access denied"},
		{"client: check_reverse_client_hostname_access inline:{h.example=REJECT}", "reverse=h.example", "rcpt: 554 5.7.1 <h.example>: Unverified Client host rejected: Access denied"},
		{"helo: inline:{far.example=REJECT}", "", "rcpt: 554 5.7.1 <mx.far.example>: Helo command rejected: Access denied"},
		{"sender: check_sender_access inline:{x@=REJECT}", "from=x+tag@far.example", "rcpt: 554 5.7.1 <x+tag@far.example>: Sender address rejected: Access denied"},
		{"sender: check_sender_access inline:{<>=REJECT}", "from=<>", "rcpt: 554 5.7.1 <>: Sender address rejected: Access denied"},
		{"recipient: check_recipient_access inline:{here.example=REJECT}", "", "rcpt: 554 5.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"recipient: check_sasl_access inline:{alice=HOLD}", "login=alice", "ok hold=check_sasl_access inline:{alice=HOLD} <alice>"},
		{"sender: check_sender_access fail:x", "", "rcpt: 451 4.3.5 <x@far.example>: Sender address rejected: Server configuration error"},
		{"sender: check_sender_ns_access cidr:ns", "from=x@sub.far.example", "rcpt: 554 5.7.1 <x@sub.far.example>: Sender address rejected: bad name server"},
		{"sender: check_sender_mx_access inline:{203.0.113.5=REJECT}", "from=x@known.example", "rcpt: 554 5.7.1 <x@known.example>: Sender address rejected: Access denied"},
		{"sender: check_sender_mx_access inline:{203.0.113.5=OK}", "from=x@known.example", "rcpt: 451 4.3.5 Server configuration error"},
		{"sender: check_sender_a_access inline:{192.0.2.1=REJECT}", "from=x@addr.example", "rcpt: 554 5.7.1 <x@addr.example>: Sender address rejected: Access denied"},
		{"helo: check_helo_a_access inline:{192.0.2.1=REJECT}", "helo=[192.0.2.1]", "rcpt: 554 5.7.1 <[192.0.2.1]>: Helo command rejected: Access denied"},
		{"recipient: check_recipient_mx_access inline:{us.example=REJECT}", "to=x@backup.example", "rcpt: 554 5.7.1 <x@backup.example>: Recipient address rejected: Access denied"},
		// Actions.
		{"recipient: check_recipient_access static:OK, reject", "", "ok relay"},
		{"recipient: check_recipient_access static:1234567, reject", "", "ok relay"},
		{"recipient: check_recipient_access static:{521 5.3.2 go away}", "", "rcpt: 521 5.3.2 <alice@here.example>: Recipient address rejected: go away"},
		{"recipient: check_recipient_access static:{450 later}", "", "rcpt: 450 4.7.1 <alice@here.example>: Recipient address rejected: later"},
		{"recipient: check_recipient_access static:DEFER", "", "rcpt: 450 4.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"recipient: check_recipient_access static:{DEFER_IF_PERMIT wait}", "", "rcpt: 450 4.7.1 <alice@here.example>: Recipient address rejected: wait"},
		{"recipient: check_recipient_access static:{DEFER_IF_PERMIT wait}, reject", "", "rcpt: 554 5.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"recipient: check_recipient_access static:{DEFER_IF_REJECT wait}, reject", "", "rcpt: 450 4.7.1 <alice@here.example>: Recipient address rejected: wait"},
		{"recipient: check_recipient_access static:{DEFER_IF_REJECT wait}", "", "ok"},
		{"client: defer_if_permit", "", "rcpt: 450 4.7.0 <unknown[198.51.100.7]>: Client host rejected: defer_if_permit requested"},
		{"client: defer_if_permit\nset: early", "", "rcpt: 450 4.7.0 <unknown[198.51.100.7]>: Client host rejected: defer_if_permit requested"},
		{"client: defer_if_reject\nrecipient: reject", "", "rcpt: 554 5.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"relay: defer_if_reject\nrecipient: reject", "", "rcpt: 450 4.7.0 <alice@here.example>: Recipient address rejected: defer_if_reject requested"},
		{"recipient: check_recipient_access static:{HOLD look at it}", "", "ok hold=look at it"},
		{"recipient: check_recipient_access static:{DISCARD bulk}, reject", "", "ok relay discard=bulk"},
		{"sender: check_sender_access static:{DISCARD bulk}\nrelay: reject\nrecipient: defer_if_permit sleep 0, reject", "", "ok discard=bulk"},
		{"client: defer_if_permit\nsender: check_sender_access static:{DISCARD bulk}", "", "ok discard=bulk"},
		{"recipient: check_recipient_access static:{FILTER smtp:[127.0.0.1]:10025}", "", "ok filter=smtp:[127.0.0.1]:10025"},
		{"recipient: check_recipient_access static:{REDIRECT box@far.example}", "", "ok redirect=box@far.example"},
		{"recipient: check_recipient_access static:{BCC log@here.example}", "to=alice@here.example,bob@here.example", "ok bcc=log@here.example"},
		{"recipient: check_recipient_access static:{PREPEND X-Seen: yes}", "to=alice@here.example,bob@here.example", "ok prepend=X-Seen: yes"},
		{"recipient: check_recipient_access static:{WARN odd}, check_recipient_access static:{INFO odd}", "", "ok"},
		{"recipient: check_recipient_access static:{permit_mynetworks, reject}", "", "rcpt: 554 5.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"recipient: check_recipient_access static:{FROB x}", "", "rcpt: 451 4.3.5 Server configuration error"},
		{"recipient: check_recipient_access static:{check_sender_access hash:x}", "", "rcpt: 451 4.3.5 Server configuration error"},
		{"class: strict = reject_non_fqdn_sender, permit\nrecipient: strict, reject", "", "ok"},
		{"class: strict = reject_non_fqdn_sender\nrecipient: check_recipient_access static:strict", "from=x@far", "rcpt: 504 5.5.2 <x@far>: Sender address rejected: need fully-qualified address"},
		{"recipient: warn_if_reject reject, check_recipient_access static:DUNNO", "", "ok"},
		{"class: c = reject\nrecipient: warn_if_reject c, permit", "", "ok"},
		{"recipient: warn_if_reject check_recipient_access static:{HOLD x}", "", "ok"},
		{"recipient: {reject_non_fqdn_sender, reject}", "", "rcpt: 554 5.7.1 <alice@here.example>: Recipient address rejected: Access denied"},
		{"recipient: sleep 1, dunno, check_etrn_access static:REJECT", "", "ok"},
		{"recipient: check_policy_service inet:broken:1", "", "rcpt: 451 4.3.5 Server configuration error"},
	} {
		p, err := New(w.options(t, c.lists))
		if err != nil {
			t.Errorf("%s: %v", c.lists, err)
			continue
		}
		if got := talk(t, p, c.facts); got != c.want {
			t.Errorf("%s | %s:\n got %s\nwant %s", c.lists, c.facts, got, c.want)
		}
	}
}

func TestPolicyService(t *testing.T) {
	w := &world{action: "DEFER_IF_PERMIT greylisted"}
	p := build(t, w, "recipient: check_policy_service { inet:127.0.0.1:10023, timeout=10s }")
	if got := talk(t, p, "login=alice name=h.example"); got != "rcpt: 450 4.7.1 <alice@here.example>: Recipient address rejected: greylisted" {
		t.Error(got)
	}
	have := map[string]string{}
	for _, a := range w.asked {
		have[a.Name] = a.Value
	}
	for k, v := range map[string]string{"request": "smtpd_access_policy", "protocol_state": "RCPT", "sender": "x@far.example", "recipient": "alice@here.example",
		"client_address": "198.51.100.7", "client_name": "h.example", "reverse_client_name": "h.example", "sasl_username": "alice", "recipient_count": "0", "helo_name": "mx.far.example"} {
		if have[k] != v {
			t.Errorf("%s=%q, want %q", k, have[k], v)
		}
	}
}

// Mistakes are refused with the place and the mend.
func TestMistakes(t *testing.T) {
	w := &world{}
	for lists, want := range map[string]string{
		"recipient: permit_mynetwork, reject":      `access.smtp.smtpd_recipient_restrictions: unknown restriction "permit_mynetwork"; did you mean "permit_mynetworks"?`,
		"relay: check_sender_access":               `access.smtp.smtpd_relay_restrictions: check_sender_access wants a table, type:name behind it`,
		"recipient: check_sender_access foo:bar":   `access.smtp.smtpd_recipient_restrictions: check_sender_access: unknown type "foo"`,
		"recipient: reject_rbl_client bl..example": `access.smtp.smtpd_recipient_restrictions: reject_rbl_client: DNS list "bl..example": "bl..example" is not a domain name`,
		"recipient: warn_if_reject":                `access.smtp.smtpd_recipient_restrictions: warn_if_reject wants a restriction behind it`,
		"recipient: reject_maps_rbl":               `access.smtp.smtpd_recipient_restrictions: reject_maps_rbl: is no more: use reject_rbl_client and the list's domain`,
		"recipient: {reject":                       `access.smtp.smtpd_recipient_restrictions: a brace { is not closed in "{reject"`,
		"recipient: sleep x":                       `access.smtp.smtpd_recipient_restrictions: sleep: "x" is not a number of seconds from 0 to 60`,
		"recipient: check_policy_service foo":      `access.smtp.smtpd_recipient_restrictions: check_policy_service: "foo" is not inet:host:port or unix:path`,
		"data: static:OK":                          `access.smtp.smtpd_data_restrictions: "static:OK": a table without a restriction in front says nothing in this list`,
		"class: reject = permit":                   `access.restriction_classes: "reject" is the name of a restriction; choose another`,
		"class: a = b\nclass: b = a\nrecipient: a": `restriction class "a" leads to itself: a -> b -> a`,
		"class: a":         `access.restriction_classes: "a": expected is "name = restriction, ..."`,
		"recipient: zebra": `access.smtp.smtpd_recipient_restrictions: unknown restriction "zebra"`,
	} {
		_, err := New(w.options(t, lists))
		if err == nil || !contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", lists, err, want)
		}
	}
}
