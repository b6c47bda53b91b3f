package node

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// transaction says one, and returns the last reply.
func transaction(t *testing.T, n *Node, from, to string) (reply string) {
	t.Helper()
	k := dialTalk(t, n, "smtp")
	k.until("220")
	k.say("EHLO client.example", "250-")
	k.until("250 ")
	for _, c := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA", "Subject: x\r\n\r\nx\r\n."} {
		if _, err := fmt.Fprintf(k, "%s\r\n", c); err != nil {
			t.Fatal(err)
		}
		if reply = k.line(); reply[0] != '2' && reply[0] != '3' {
			return reply
		}
	}
	return reply
}

// The lists of a configuration judge the sessions of the running server, and what their tables want is done.
func TestAccessInTheServer(t *testing.T) {
	actions := []string{"hold=HOLD look at it", "gone=DISCARD bulk", "away=REDIRECT bob@here.example", "copy=BCC bob@here.example",
		"mark=PREPEND X-Marked: yes", "no=REJECT 5.7.9 not you"}
	var inline []string
	for _, a := range actions {
		name, action, _ := strings.Cut(a, "=")
		inline = append(inline, "{"+name+"@far.example = "+action+"}")
	}
	var log logBuffer
	dir := t.TempDir()
	sets := []string{fmt.Sprintf("access.smtp.smtpd_sender_restrictions = [%q]", "check_sender_access inline:{"+strings.Join(inline, ", ")+"}")}
	n, _ := startLogging(t, testConfig(t, dir, sets...), &log)
	addUser(t, n, "alice", "pw")
	addUser(t, n, "bob", "pw")
	for from, want := range map[string]string{"hold": "250 2.0.0", "gone": "250 2.0.0", "away": "250 2.0.0", "copy": "250 2.0.0", "mark": "250 2.0.0",
		"no": "554 5.7.9 <no@far.example>: Sender address rejected: not you"} {
		if got := transaction(t, n, from+"@far.example", "alice@here.example"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	if got := transaction(t, n, "x@far.example", "x@elsewhere.example"); got != "554 5.7.1 <x@elsewhere.example>: Relay access denied" {
		t.Error(got)
	}
	alice, bob := login(t, n, "alice@here.example", "pw"), login(t, n, "bob@here.example", "pw")
	arrived(t, alice, "INBOX", 2) // copy, mark
	arrived(t, bob, "INBOX", 2)   // away, copy
	if a, b := string(bodyOf(t, alice, 1)), string(bodyOf(t, alice, 2)); !strings.Contains(a+b, "X-Marked: yes\r\n") {
		t.Errorf("%s%s", a, b)
	}
	jobs, err := n.queue.List(t.Context())
	if err != nil || len(jobs) != 1 || jobs[0].State != "hold" || jobs[0].Held != "look at it" {
		t.Fatalf("%+v %v", jobs, err)
	}
	id, err := queueid.Parse(jobs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.queue.Hold(id, false); err != nil {
		t.Fatal(err)
	}
	arrived(t, alice, "INBOX", 3)
	if !lineHas(log.String(), "command=RCPT", "from=no@far.example", "reason=sender") || !lineHas(log.String(), "command=RCPT", "reason=relay") {
		t.Errorf("log: %s", log.String())
	}

	// soft_bounce holds from the reload on; clients of mynetworks may relay.
	if _, err := n.Reload(testConfig(t, dir, append(sets, "access.soft_bounce = true")...)); err != nil {
		t.Fatal(err)
	}
	if got := transaction(t, n, "x@far.example", "x@elsewhere.example"); got != "450 4.7.1 <x@elsewhere.example>: Relay access denied" {
		t.Error(got)
	}
	if got := transaction(t, n, "x@far.example", "none@here.example"); !strings.HasPrefix(got, "450 4.1.1 ") {
		t.Error(got)
	}
	if _, err := n.Reload(testConfig(t, dir, append(sets, `access.mynetworks = ["127.0.0.0/8"]`)...)); err != nil {
		t.Fatal(err)
	}
	if got := transaction(t, n, "x@far.example", "x@elsewhere.example"); !strings.HasPrefix(got, "250 2.0.0") {
		t.Error(got)
	}
}

// A reload that would make an open relay, or names what there is not, changes nothing and says why.
func TestReloadRefusesOpenRelay(t *testing.T) {
	dir := t.TempDir()
	n, _ := start(t, testConfig(t, dir))
	for set, want := range map[string]string{
		`access.smtp.smtpd_relay_restrictions = ["permit"]`:                                   "lets every client relay",
		`access.mynetworks = ["0.0.0.0/0"]`:                                                   "name your own networks only",
		`access.smtp.smtpd_recipient_restrictions = ["reject_unauth_destinatio"]`:             `did you mean "reject_unauth_destination"?`,
		`access.smtp.smtpd_client_restrictions = ["check_client_access cidr:/nonexistent/x"]`: "no such file",
	} {
		if _, err := n.Reload(testConfig(t, dir, set)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", set, err)
		}
	}
	if got := transaction(t, n, "x@far.example", "x@elsewhere.example"); got != "554 5.7.1 <x@elsewhere.example>: Relay access denied" {
		t.Error(got)
	}
	wrong, _ := CheckAccess(testConfig(t, dir, `access.mynetworks = ["::/0"]`), "")
	if len(wrong) == 0 || wrong[0].Key != "open relay" {
		t.Errorf("%+v", wrong)
	}
}

// A sender is verified where its mail goes, once.
func TestVerifiedSender(t *testing.T) {
	there, sets := elsewhere(t)
	here, _ := start(t, testConfig(t, t.TempDir(), append(sets, `access.smtp.smtpd_sender_restrictions = ["reject_unverified_sender"]`,
		`access.codes.unverified_sender_reject_code = 550`)...))
	addSilentUser(t, here, "alice")
	for range 2 {
		if got := transaction(t, here, "bob@there.example", "alice@here.example"); !strings.HasPrefix(got, "250 2.0.0") {
			t.Error(got)
		}
		want := "550 5.1.7 <nobody@there.example>: Sender address rejected: undeliverable address: host mx.there.example[127.0.0.1]"
		if got := transaction(t, here, "nobody@there.example", "alice@here.example"); !strings.HasPrefix(got, want) {
			t.Error(got)
		}
		if got := transaction(t, here, "x@down.example", "alice@here.example"); !strings.HasPrefix(got, "450 4.1.7 ") {
			t.Error(got)
		}
	}
	if n := len(queueIDs(t, there)); n != 0 {
		t.Errorf("probes left %d messages", n)
	}
}

// A client has a name if the name leads back to it.
func TestClientNames(t *testing.T) {
	const zone = "1.2.0.192.in-addr.arpa. 60 IN PTR mail.example.\nmail.example. 60 IN A 192.0.2.1\n" +
		"2.2.0.192.in-addr.arpa. 60 IN PTR liar.example.\nliar.example. 60 IN A 192.0.2.1\n"
	server := dnstest.New(t, zone)
	c := newClientNames(resolverFor(t, server))
	for addr, want := range map[string]names{"192.0.2.1": {name: "mail.example", reverse: "mail.example"}, "192.0.2.2": {reverse: "liar.example"}, "192.0.2.3": {}} {
		if got := c.lookup(t.Context(), netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %+v", addr, got)
		}
	}
	server.SetFault("1.2.0.192.in-addr.arpa", dnstest.ServFail)
	if got := newClientNames(resolverFor(t, server)).lookup(t.Context(), netip.MustParseAddr("192.0.2.1")); got.err == nil || got.name != "" {
		t.Errorf("%+v", got)
	}
}

func resolverFor(t *testing.T, s *dnstest.Server) *dns.Resolver {
	return dns.New(dns.Options{Servers: []string{s.Listen(t)}, Attempts: 1})
}

// deafDNS is a DNS that never answers.
type deafDNS struct{}

func (deafDNS) LookupPTR(ctx context.Context, _ netip.Addr) ([]string, dns.Meta, error) {
	<-ctx.Done()
	return nil, dns.Meta{}, ctx.Err()
}

func (deafDNS) LookupIP(ctx context.Context, _ string, _ dns.IPVersions) ([]netip.Addr, dns.Meta, error) {
	<-ctx.Done()
	return nil, dns.Meta{}, ctx.Err()
}

// A DNS that is silent holds a client up once, and briefly; the look-up ends with the session.
func TestClientNamesAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := namesGate{newClientNames(deafDNS{}), waitForNobody, false}
		conn := &gate.Conn{}
		conn.Client.Addr = netip.MustParseAddrPort("192.0.2.1:1000")
		s, err := g.Connect(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 3 {
			if err := s.Mail(t.Context(), &gate.Transaction{Transaction: &flow.Transaction{}, Conn: conn}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != waitForNobody || conn.NameErr == nil {
			t.Errorf("%v, %v", took, conn.NameErr)
		}
		s.Close()
		// Nobody is asked where a host in front of us said that there is no name.
		conn, began = &gate.Conn{NameTold: true, Client: conn.Client}, time.Now()
		if s, err = g.Connect(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		if err := s.Mail(t.Context(), &gate.Transaction{Transaction: &flow.Transaction{}, Conn: conn}); err != nil || conn.NameErr != nil || time.Since(began) != 0 {
			t.Errorf("%v, %v, %v", err, conn.NameErr, time.Since(began))
		}
		s.Close()
	})
}
