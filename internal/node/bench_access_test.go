package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/dns/dnstest"
)

// BenchmarkAccess is the delivery of BenchmarkDelivery at 50 sessions with no restriction lists, with those of the defaults, and
// with twenty restrictions over ten tables of 10,000 lines; none of them refuses.
func BenchmarkAccess(b *testing.B) {
	const lists = "access.smtp.smtpd_"
	for _, c := range []struct {
		name string
		sets func(*testing.B) []string
	}{
		{"none", func(*testing.B) []string { return []string{lists + "relay_restrictions = []"} }},
		{"defaults", func(*testing.B) []string { return nil }},
		{"20-restrictions-10-tables", manyRestrictions},
	} {
		b.Run(c.name, func(b *testing.B) {
			benchmarkDelivery(b, &benchLoad{service: "smtp", sessions: 50, recipients: 1, sets: c.sets(b)})
		})
	}
}

func manyRestrictions(b *testing.B) []string {
	dir := b.TempDir()
	file := func(name string, line func(i int) string) string {
		var text strings.Builder
		for i := range 10_000 {
			text.WriteString(line(i))
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	names := func(name, pattern string) string {
		return "hash:" + file(name, func(i int) string { return fmt.Sprintf(pattern+" REJECT\n", i) })
	}
	cidr := "cidr:" + file("cidr", func(i int) string { return fmt.Sprintf("10.%d.%d.0/24 REJECT\n", i/250, i%250) })
	dns := dnstest.New(b, "far.example. 60 IN MX 10 mx.far.example.\nmx.far.example. 60 IN A 192.0.2.1\nbench.example. 60 IN A 192.0.2.2\n").Listen(b)
	const lists = "access.smtp.smtpd_"
	return []string{fmt.Sprintf("dns.resolvers = [%q]", dns),
		fmt.Sprintf(lists+"client_restrictions = [%q]", "check_client_access "+cidr+", check_client_access "+names("client", "host%d.example")+
			", check_reverse_client_hostname_access "+names("reverse", "host%d.example")+", reject_unknown_reverse_client_hostname"),
		fmt.Sprintf(lists+"helo_restrictions = [%q]", "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_unknown_helo_hostname, check_helo_access "+
			names("helo", "host%d.example")),
		fmt.Sprintf(lists+"sender_restrictions = [%q]", "reject_non_fqdn_sender, reject_unknown_sender_domain, check_sender_access "+names("sender", "user%d@bad.example")+
			", check_sender_access "+names("domains", "domain%d.example")+", check_sender_mx_access "+names("mx", "mx%d.example")),
		fmt.Sprintf(lists+"relay_restrictions = [%q]", "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"),
		fmt.Sprintf(lists+"recipient_restrictions = [%q]", "reject_non_fqdn_recipient, reject_unlisted_recipient, check_recipient_access "+names("recipient", "gone%d@here.example")+
			", check_recipient_access "+names("protected", "list%d@here.example")),
		fmt.Sprintf(lists+"data_restrictions = [%q]", "reject_unauth_pipelining, reject_multi_recipient_bounce, check_sender_access "+names("last", "spam%d@far.example")),
	}
}
