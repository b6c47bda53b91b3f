package screen

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
)

const rblZone = `11.0.0.127.bl.test. A 127.0.0.2
11.0.0.127.bl.test. TXT "see https://bl.test/?ip=127.0.0.11"
12.0.0.127.bl.test. A 127.0.0.9
13.0.0.127.bl.test. A 127.0.0.9
13.0.0.127.bl.test. A 127.0.0.4
14.0.0.127.second.test. A 127.0.0.2
14.0.0.127.second.test. TXT "you know $rbl_code ${why}"
15.0.0.127.second.test. A 127.0.0.2
19.0.0.127.second.test. A 127.0.0.2
19.0.0.127.second.test. TXT "two " "strings"
16.0.0.127.bl.test. A 127.0.0.3
16.0.0.127.wl.test. A 127.0.5.2
17.0.0.127.bl.test. A 127.0.0.3
17.0.0.127.wl.test. A 127.0.5.4
18.0.0.127.second.test. A 127.255.255.254
bad.example.dom.test. A 127.0.1.2
bad.example.dom.test. TXT "bad name"
worse.example.dom.test. A 127.0.1.3
`

// rblReplies has a reply with every kind of reference.
const rblReplies = "second.test $rbl_code 5.7.9 Go away, $client_address: ${rbl_reason?because $rbl_reason}${rbl_reason:for no reason} [$helo_name] $$ $sender_domain\n"

// TestDNSListReplies: the restrictions of access control that ask DNS lists give Postfix's replies, text by text.
func TestDNSListReplies(t *testing.T) {
	server := serveDNS(t, rblZone)
	replies := filepath.Join(t.TempDir(), "replies")
	if err := os.WriteFile(replies, []byte(rblReplies), 0o644); err != nil {
		t.Fatal(err)
	}
	const rules = "permit_dnswl_client wl.test=127.0.[2..15].[0..3], reject_rbl_client bl.test=127.0.0.[2..4;7], reject_rbl_client second.test, " +
		"reject_rhsbl_sender dom.test=127.0.1.[2;4..9], reject_rhsbl_helo dom.test=127.0.1.3"
	p := postfix.Start(t, postfix.Config{Main: "relay_domains = here.example\nrelay_transport = discard:\nrbl_reply_maps = texthash:{dir}/replies\n" +
		"smtpd_recipient_restrictions = " + rules + "\n", Files: map[string]string{"replies": rblReplies}})
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf("dns.resolvers=[%q]", server),
		fmt.Sprintf("access.smtp.smtpd_recipient_restrictions=[%q]", rules), fmt.Sprintf(`access.rbl_reply_maps=["texthash:%s"]`, replies)}})
	for _, c := range []client{
		{name: "on no list", from: "127.0.0.10"},
		{name: "with a reason", from: "127.0.0.11"},
		{name: "filtered out", from: "127.0.0.12"},
		{name: "one answer of two", from: "127.0.0.13"},
		{name: "with a reply of its own", from: "127.0.0.14"},
		{name: "with that, without a reason", from: "127.0.0.15"},
		{name: "a reason of two strings", from: "127.0.0.19", differs: "Postfix takes the first string of a TXT record only"},
		{name: "permitted", from: "127.0.0.16"},
		{name: "not good enough to be permitted", from: "127.0.0.17"},
		{name: "refused by a list", from: "127.0.0.18", differs: "127.255.255.254 says that the list does not serve this resolver: no listing here"},
		{name: "bad sender", from: "127.0.0.10", sender: "x@bad.example"},
		{name: "bad sender in capitals", from: "127.0.0.10", sender: "x@BAD.Example",
			differs: "domains are in small letters here from the moment they are read"},
		{name: "sender that the filter lets pass", from: "127.0.0.10", sender: "x@worse.example"},
		{name: "sender with an address", from: "127.0.0.10", sender: "x@[127.0.0.2]"},
		{name: "bad helo", from: "127.0.0.10", helo: "worse.example"},
		{name: "helo that the filter lets pass", from: "127.0.0.10", helo: "bad.example"},
		{name: "helo with an address", from: "127.0.0.10", helo: "[127.0.0.2]"},
	} {
		_, theirs := visit(p.Address, c)
		_, ours := visit(s.Listeners["smtp"], c)
		if (ours == theirs) != (c.differs == "") {
			t.Errorf("%s: we say\n%s\nPostfix\n%s\n%s", c.name, ours, theirs, c.differs)
		}
		t.Logf("%s: %s", c.name, ours)
	}
}
