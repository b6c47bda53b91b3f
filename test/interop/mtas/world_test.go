package mtas

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	wire "github.com/miekg/dns"
	"github.com/postrider/postrider/internal/dns/dnstest"
)

// zone is what the DNS knows. The best exchanger of each domain is one where nobody listens.
const zone = `
a.example.        60 IN MX   10 dead.a.example.
a.example.        60 IN MX   20 mx.a.example.
dead.a.example.   60 IN A    ` + deadInA + `
mx.a.example.     60 IN A    ` + riderIPv4 + `
mx.a.example.     60 IN AAAA ` + riderIPv6 + `
b.example.        60 IN MX   20 mx.b.example.
b.example.        60 IN MX   10 dead.b.example.
dead.b.example.   60 IN A    ` + deadInB + `
mx.b.example.     60 IN A    ` + postfixIPv4 + `
mx.b.example.     60 IN AAAA ` + postfixIPv6 + `
direct.example.   60 IN A    ` + postfixIPv4 + `
host.c.example.   60 IN A    ` + customerIPv4 + `
null.example.     60 IN MX   0 .
expiring.example. 60 IN MX   10 away.expiring.example.
away.expiring.example. 60 IN A ` + expiringInB + `
`

// world is all that the tests need.
type world struct {
	a, b     namespace
	rider    *rider   // in A, for a.example
	postfix  *postfix // in B, for b.example
	customer *rider   // in B, for c.example; its smart host is the other
	dns      *dnstest.Server
	tokens   atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	w.a, w.b = namespaces(t)
	w.serveDNS(t)
	dir := folder(os.Getpid()) // not t.TempDir, which others than root cannot enter
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	w.postfix = newPostfix(t, w.b, filepath.Join(dir, "postfix"))
	w.postfix.start(t)
	t.Cleanup(func() { w.postfix.stop(t) })

	w.rider = newRider(t, w.a, filepath.Join(dir, "rider"), riderIPv4, listeners(riderIPv4, riderIPv6)+
		"hostname = \"mx.a.example\"\ndomain = \"a.example\"\nsmtp.max_received = 30\nsubmission.require_sender_ownership = false\nmta.retry = [\"1s\"]\nmta.idle_timeout = \"500ms\"\nmta.expire_after = \"25s\"\n")
	w.rider.start(t)
	for _, user := range []string{"alice@a.example", "müller@a.example"} {
		w.rider.addAccount(t, user)
	}
	w.rider.operate(t, "", "alias", "add", "loop@a.example", "loop@b.example")

	home := filepath.Join(dir, "customer")
	w.customer = newRider(t, w.b, home, customerIPv4, listeners(customerIPv4)+
		"hostname = \"host.c.example\"\ndomain = \"c.example\"\nmta.retry = [\"1s\"]\nmta.inet_protocols = \"ipv4\"\n"+
		"mta.smart_host.host = \"mx.a.example\"\nmta.smart_host.user = \"alice@a.example\"\nmta.smart_host.tls = \"verify\"\n"+
		fmt.Sprintf("mta.source_ipv4 = %q\nmta.smart_host.password_file = %q\ntls.ca = %q\n", customerIPv4, filepath.Join(home, "secret"),
			filepath.Join(w.rider.dir, "data", "tls", "ca.pem")))
	w.customer.start(t)
	w.customer.addAccount(t, "carl@c.example")
	return w
}

// serveDNS runs the DNS server in namespace A and makes B's programs ask it.
func (w *world) serveDNS(t *testing.T) {
	t.Helper()
	text := zone
	for host, addresses := range map[string][]string{"mx.a.example.": {riderIPv4, riderIPv6}, "mx.b.example.": {postfixIPv4, postfixIPv6},
		"host.c.example.": {customerIPv4}} {
		for _, a := range addresses {
			name, err := wire.ReverseAddr(a)
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("%s 60 IN PTR %s\n", name, host)
		}
	}
	w.dns = dnstest.New(t, text)
	if err := w.a.do(func() error {
		_, err := w.dns.ListenOn(t, dnsIPv4+":53")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []namespace{w.a, w.b} {
		if err := os.MkdirAll(ns.etc(), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(ns.etc(), "resolv.conf"), []byte("nameserver "+dnsIPv4+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// listeners is the part of a configuration with the real ports on given addresses.
func listeners(ips ...string) string {
	var b strings.Builder
	for _, l := range []struct {
		name string
		port int
	}{{"smtp", 25}, {"submission", 587}, {"submissions", 465}, {"imap", 143}, {"imaps", 993}} {
		var addrs []string
		for _, ip := range ips {
			if strings.Contains(ip, ":") {
				ip = "[" + ip + "]"
			}
			addrs = append(addrs, fmt.Sprintf("%q", fmt.Sprintf("%s:%d", ip, l.port)))
		}
		fmt.Fprintf(&b, "listeners.%s.addresses = [%s]\n", l.name, strings.Join(addrs, ", "))
	}
	return b.String() + fmt.Sprintf("dns.resolvers = [%q]\n", dnsIPv4+":53")
}

// token is a word that no other message has.
func (w *world) token() string { return fmt.Sprintf("token%dnekot", w.tokens.Add(1)) }
