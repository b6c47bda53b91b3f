package node

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/internal/obs"
)

// screenZone has two lists: 127.0.0.11 is bad, 127.0.0.12 a little, 127.0.0.13 good.
const screenZone = `11.0.0.127.bl.test. A 127.0.0.2
12.0.0.127.bl.test. A 127.0.0.10
11.0.0.127.wl.test. A 127.255.255.254
13.0.0.127.wl.test. A 127.0.5.2
`

func screenConfig(t *testing.T, dir string, sets ...string) *config.Config {
	t.Helper()
	resolver := dnstest.New(t, screenZone).Listen(t)
	table := filepath.Join(t.TempDir(), "screen.cidr")
	if err := os.WriteFile(table, []byte("127.0.0.20 permit\n127.0.0.21 reject\n127.0.0.22 dunno\n127.0.0.16/28 reject\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return testConfig(t, dir, append([]string{fmt.Sprintf("dns.resolvers = [%q]", resolver), `screen.exempt_networks = []`, `log.format = "maillog"`,
		`screen.postscreen_greet_wait = "1s"`, fmt.Sprintf(`screen.postscreen_access_list = ["permit_mynetworks, cidr:%s"]`, table),
		`access.mynetworks = ["127.0.0.30/32"]`, `access.smtpd_peername_lookup = false`,
		`screen.postscreen_dnsbl_sites = ["bl.test=127.0.0.2*4", "bl.test=127.0.0.10*1", "wl.test*-2"]`,
		`screen.postscreen_dnsbl_threshold = 3`, `screen.postscreen_dnsbl_allowlist_threshold = -2`}, sets...)...)
}

// crowd is clients that all hang up before the server stops, which would wait for their transactions.
type crowd []*talk

func (all *crowd) from(t *testing.T, n *Node, address string) *talk {
	t.Helper()
	c := dialFrom(t, n, address, "smtp")
	k := &talk{t, c, bufio.NewReader(c)}
	*all = append(*all, k)
	return k
}

func (all *crowd) leave() {
	for _, k := range *all {
		_ = k.Close()
	}
}

func addBob(t *testing.T, n *Node) {
	t.Helper()
	if _, err := n.API().AddAccount(t.Context(), admin.NewAccount{Address: "bob@here.example", Password: "secret password"}); err != nil {
		t.Fatal(err)
	}
}

// rcpt goes as far as the recipient and returns the reply.
func (k *talk) rcpt(from string) string {
	k.t.Helper()
	k.say("EHLO client.example", "250 ")
	k.say("MAIL FROM:<"+from+">", "250 ")
	return k.say("RCPT TO:<bob@here.example>", "")
}

// TestScreen: strangers wait once; who talks too early or is on a list is refused; who is known does not wait, also after a restart.
func TestScreen(t *testing.T) {
	dir, log := t.TempDir(), &logBuffer{}
	c := screenConfig(t, dir, "screen.postscreen_pipelining_enable = true", "screen.postscreen_bare_newline_enable = true",
		`screen.postscreen_bare_newline_action = "enforce"`)
	n, stop := startLogging(t, c, log)
	var clients crowd
	addBob(t, n)
	waits := func(from string) bool {
		t.Helper()
		began := time.Now()
		k := clients.from(t, n, from)
		k.until("220 ")
		return time.Since(began) > 900*time.Millisecond
	}
	expect := func(what, reply, want string) {
		t.Helper()
		if !strings.HasPrefix(reply, want) {
			t.Errorf("%s: %q, want %q", what, reply, want)
		}
	}
	early := clients.from(t, n, "127.0.0.9")
	fmt.Fprint(early, "EHLO early.example\r\n")
	early.until("250 ")
	early.say("MAIL FROM:<>", "250 ")
	expect("an early talker", early.say("RCPT TO:<bob@here.example>", ""), "550 5.5.1 Protocol error")
	listed := clients.from(t, n, "127.0.0.11")
	listed.until("220 ")
	expect("a listed client", listed.rcpt("a@sender.example"), "550 5.7.1 Service unavailable; client [127.0.0.11] blocked using bl.test")
	if waits("127.0.0.13") || waits("127.0.0.20") || waits("127.0.0.30") {
		t.Error("one whom we allow waits")
	}
	if !waits("127.0.0.12") || !waits("127.0.0.22") {
		t.Error("a stranger does not wait")
	}
	denied := clients.from(t, n, "127.0.0.21")
	denied.until("220 ")
	expect("a denied client", denied.rcpt("a@sender.example"), "550 5.3.2 Service currently unavailable")
	hasty := clients.from(t, n, "127.0.0.14")
	hasty.until("220 ")
	fmt.Fprint(hasty, "EHLO hasty.example\r\nMAIL FROM:<>\r\nRCPT TO:<bob@here.example>\r\nQUIT\r\n")
	expect("a hasty client", hasty.until("550 "), "550 5.5.1 Protocol error")
	bare := clients.from(t, n, "127.0.0.15")
	bare.until("220 ")
	fmt.Fprint(bare, "NOOP\nx\r\n")
	bare.until("500 ")
	expect("one with bare newlines", bare.rcpt("a@sender.example"), "550 5.5.1 Protocol error")
	good := clients.from(t, n, "127.0.0.8")
	good.until("220 ")
	expect("a good client", good.rcpt("a@sender.example"), "250 ")
	page, err := http.Get("http://" + n.Addresses()["http"].String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(page.Body)
	page.Body.Close()
	for _, metric := range []string{`postrider_screened_total{found="pass_new"}`, `postrider_screened_total{found="pregreet"} 1`, "postrider_screen_waiting 0"} {
		if !strings.Contains(string(text), metric) {
			t.Errorf("no metric %s", metric)
		}
	}
	clients.leave()
	stop()
	n, stop = startLogging(t, c, log)
	if waits("127.0.0.8") {
		t.Error("who passed is forgotten by the restart")
	}
	clients.leave()
	stop()
	for _, line := range []string{
		"]: PASS NEW [127.0.0.8]:", "]: PASS OLD [127.0.0.8]:", " from [127.0.0.9]:", `: EHLO early.example\r\n`, "]: PREGREET 20 after ",
		"postfix/dnsblog[", "addr 127.0.0.11 listed by domain bl.test as 127.0.0.2", "]: DNSBL rank 4 for [127.0.0.11]:",
		"]: ALLOWLISTED [127.0.0.20]:", "]: DENYLISTED [127.0.0.21]:", "]: COMMAND PIPELINING from [127.0.0.14]:", "]: BARE NEWLINE from [127.0.0.15]:",
		"]: HANGUP after ", "a DNS list is of no use",
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log has no %q", line)
		}
	}
	if t.Failed() {
		t.Log(log.String())
	}
}

// TestGreylist: a stranger's mail is taken at the second try; users and networks that we know need none.
func TestGreylist(t *testing.T) {
	table := filepath.Join(t.TempDir(), "recipients")
	if err := os.WriteFile(table, []byte("impatient@here.example yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, log := t.TempDir(), &logBuffer{}
	c := screenConfig(t, dir, "greylist.enabled = true", `greylist.delay = "1s"`, `screen.postscreen_greet_wait = "0s"`,
		`access.smtp.smtpd_recipient_restrictions = ["reject_unauth_destination", "permit"]`, // says nothing of who sends
		fmt.Sprintf(`greylist.exempt_recipients = ["texthash:%s"]`, table))
	n, stop := startLogging(t, c, log)
	var clients crowd
	addBob(t, n)
	if _, err := n.API().AddAccount(t.Context(), admin.NewAccount{Address: "impatient@here.example", Password: "secret password"}); err != nil {
		t.Fatal(err)
	}
	first := clients.from(t, n, "127.0.0.10")
	if reply := first.rcpt("list-1@sender.example"); reply != "450 4.2.0 Recipient address rejected: Greylisted for 1 seconds; try again later" {
		t.Error(reply)
	}
	for to, want := range map[string]string{"impatient@here.example": "250 ", "postmaster@here.example": "250 ", "nobody@here.example": "550 "} {
		if reply := first.say("RCPT TO:<"+to+">", ""); !strings.HasPrefix(reply, want) {
			t.Errorf("%s: %s", to, reply)
		}
	}
	for from, why := range map[string]string{"127.0.0.13": "lists allow it", "127.0.0.30": "it may relay"} {
		if reply := clients.from(t, n, from).rcpt("list-1@sender.example"); !strings.HasPrefix(reply, "250 ") {
			t.Errorf("%s, though %s: %s", from, why, reply)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(300 * time.Millisecond) { // a server's queue does no other
		again := clients.from(t, n, "127.0.0.99")
		reply := again.rcpt("list-2@sender.example") // its neighbour, another message of the list
		again.Close()
		if strings.HasPrefix(reply, "250 ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal(reply)
		}
	}
	for range 2 { // also when it has passed the tests already
		if reply := clients.from(t, n, "127.0.0.13").rcpt("other@sender.example"); !strings.HasPrefix(reply, "250 ") {
			t.Errorf("one whom lists allow: %s", reply)
		}
	}
	explained(t, n, "127.0.0.12", "x@sender.example", "postscreen_dnsbl_sites", "score 1", "greylist", "reject 450 4.2.0")
	explained(t, n, "127.0.0.12", "x@sender.example", "greylist", "reject 450 4.2.0 Recipient address rejected: Greylisted for 1 seconds")
	explained(t, n, "127.0.0.13", "x@sender.example", "greylist", "allowed by DNS lists")
	explained(t, n, "127.0.0.11", "x@sender.example", "screen", "reject 550 5.7.1 Service unavailable; client [127.0.0.11] blocked using bl.test")
	clients.leave()
	stop()
	n, stop = startLogging(t, c, log)
	if reply := clients.from(t, n, "127.0.0.10").rcpt("list-3@sender.example"); !strings.HasPrefix(reply, "250 ") {
		t.Errorf("after a restart: %s", reply)
	}
	clients.leave()
	stop()
	if !strings.Contains(log.String(), "450 4.2.0 Recipient address rejected: Greylisted for 1 seconds") {
		t.Error("the log has no refusal")
	}
}

// TestGreylistRestriction: greylisting for whom a list says; a refusal further on comes first.
func TestGreylistRestriction(t *testing.T) {
	table := filepath.Join(t.TempDir(), "protected")
	if err := os.WriteFile(table, []byte("bob@here.example check_greylist\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := screenConfig(t, t.TempDir(), `screen.postscreen_greet_wait = "0s"`,
		fmt.Sprintf(`access.smtp.smtpd_recipient_restrictions = ["check_recipient_access texthash:%s", "reject_non_fqdn_sender"]`, table))
	n, stop := start(t, c)
	var clients crowd
	addBob(t, n)
	one := clients.from(t, n, "127.0.0.10")
	if reply := one.rcpt("a@sender.example"); !strings.HasPrefix(reply, "450 4.2.0 Recipient address rejected: Greylisted for 300 seconds") {
		t.Error(reply)
	}
	if reply := one.say("RCPT TO:<postmaster@here.example>", ""); !strings.HasPrefix(reply, "250 ") {
		t.Error(reply)
	}
	if reply := clients.from(t, n, "127.0.0.10").rcpt("a@unqualified"); !strings.HasPrefix(reply, "504 ") {
		t.Error(reply)
	}
	clients.leave()
	stop()
}

// explained expects texts in what `postrider explain` says of a client.
func explained(t *testing.T, n *Node, client, from string, want ...string) {
	t.Helper()
	x, err := n.API().Explain(t.Context(), admin.ExplainQuery{Client: client, From: from, To: []string{"bob@here.example"}})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", x)
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s: no %q in %s", client, w, text)
		}
	}
}

func TestBadScreenSettings(t *testing.T) {
	for set, want := range map[string]string{
		`screen.postscreen_dnsbl_sites = ["bl.test=127.0.0.[2..999]"]`: "screen.postscreen_dnsbl_sites: DNS list",
		`screen.postscreen_access_list = ["permit_all"]`:               `screen.postscreen_access_list: "permit_all" is none of permit_mynetworks`,
		`screen.postscreen_access_list = ["cidr:/nowhere"]`:            "screen.postscreen_access_list",
		`greylist.exempt_clients = ["hash:/nowhere"]`:                  "greylist.exempt_clients",
	} {
		c := testConfig(t, t.TempDir(), set)
		wrong, _ := CheckTables(c, "")
		found := false
		for _, p := range wrong {
			found = found || strings.Contains(p.Key+": "+p.Text, want)
		}
		if !found {
			t.Errorf("%s: %v", set, wrong)
		}
	}
}

// TestAcquaintances: where our users log in, and whom we sent mail to, is no stranger to greylisting either, whether or not clients
// are tested before the greeting.
func TestAcquaintances(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), "screen.enabled = false", "greylist.enabled = true"))
	n.events.Emit(obs.Login{Peer: obs.Peer{Addr: netip.MustParseAddrPort("198.51.100.7:1")}})
	n.events.Emit(obs.Delivery{Relay: "mx.example[203.0.113.7]:25", Outcome: obs.Sent, Transport: "smtp"})
	for _, a := range []string{"198.51.100.8", "203.0.113.9"} {
		if !n.strangers.screen.Knows(n.opt.Now(), netip.MustParseAddr(a)) {
			t.Errorf("the network of %s is not known", a)
		}
	}
}
